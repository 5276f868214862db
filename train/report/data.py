"""The faces of a run, read again by its own options: thumbnails of the dev part, and how often labels occur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from affectkit.errors import AffectKitError
from affectkit.spec import InputSpec
from affectkit.train.crops import crop_of
from affectkit.train.faces import FaceSet
from affectkit.train.options import read_sets
from affectkit.train.report.html import data_url
from affectkit.train.run_folder import RunFolder

_LISTS = ("labels", "images", "landmarks", "manifests", "leave_out")


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The two parts of a run's faces."""

    train: FaceSet
    dev: FaceSet


def faces_of(run: RunFolder) -> Faces:
    """Read the faces that a run was trained on and chosen by.

    Raises:
        ValueError: the run does not say which, or they are gone; the message says so.
    """
    data = run.run.get("data")
    if not isinstance(data, Mapping):
        raise ValueError("run.json, which says where its faces are, is missing or older")
    gone = [name for key in _LISTS for name in data.get(key) or () if not Path(name).exists()]
    if gone:
        raise ValueError(f"its data is not here any more: {gone[0]}")
    try:
        return Faces(*read_sets(_options(data))[:2])
    except click.ClickException as error:
        raise ValueError(f"its data cannot be read again: {error.format_message()}") from error
    except (AffectKitError, OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"its data cannot be read again: {error}") from error


def _options(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the data options of the command line would be: the one place that knows the form of ``run.json``'s part."""
    options: dict[str, Any] = {key: tuple(map(Path, data.get(key) or ())) for key in _LISTS}
    options["tasks"] = tuple(data.get("tasks") or ("expression", "au", "va"))
    options["share"] = float(data.get("share") or 1.0)
    options["dev"], options["au_at"] = data.get("dev"), data.get("au_at")
    return options


def input_spec(run: RunFolder) -> InputSpec:
    """The crop that the run's network takes.

    Raises:
        ValueError: the run does not say.
    """
    network = run.network
    try:
        return InputSpec(
            int(network["size"]),
            1 if int(network["channels"]) == 1 else 3,
            str(network["template"]),
            float(network.get("margin", 1.0)),
            network.get("aligned_size"),
        )
    except KeyError as error:
        raise ValueError(f"its configuration has no {error}") from error


class Thumbnails:
    """The network's own crops of the dev part, by the row of ``dev.npz``, as pictures inside the page."""

    def __init__(self, faces: FaceSet, spec: InputSpec, names: Sequence[str]) -> None:
        """``names``: of the rows of ``dev.npz``; where the set is in another order now, faces are found by them."""
        self._faces, self._spec = faces, spec
        by_name = {name: row for row, name in enumerate(faces.names)}
        same = tuple(names) == tuple(faces.names)
        self._rows = [row if same else by_name.get(name) for row, name in enumerate(names)]

    def __call__(self, row: int) -> str | None:
        """The URL of a face; None where the set has no such face any more, or it cannot be read."""
        found = self._rows[row]
        if found is None:
            return None
        try:
            crop = crop_of(self._faces.image(found), self._faces.landmarks[found], self._spec)
        except AffectKitError:
            return None
        bgr = np.ascontiguousarray(crop[:, :, ::-1])  # (S, S, C); of one channel the same
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
        return data_url(data.tobytes(), "image/jpeg") if done else None

"""Skins, hair, brows, lashes and teeth from a folder in the layout of makehuman-assets (base/, CC0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from affectkit.errors import SourceError
from affectkit.train.render.head import Surface, surface
from affectkit.train.render.makehuman import Attachment, read_attachment, read_obj
from affectkit.types import Array, UInt8

SKIN_FROM = 0.6
"""Share of a skin's width, from the left, that shows the body and is cut off."""
PICTURE_PX = 1024
"""Skins and cards are made this wide at most: a face is drawn over some 150 pixels, and is a quarter of a skin."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Something that is worn: a mesh, how it follows the body, and its picture."""

    name: str
    mesh: Path
    attachment_file: Path
    picture_file: Path | None

    @cached_property
    def attachment(self) -> Attachment:
        """How it follows the body."""
        return read_attachment(self.attachment_file)

    @cached_property
    def surface(self) -> Surface:
        """What is drawn."""
        mesh = read_obj(self.mesh)
        return surface(mesh.faces, mesh.texture_faces, mesh.texture, len(mesh.vertices), refined=False)

    @cached_property
    def picture(self) -> UInt8:
        """RGBA."""
        return read_picture(self.picture_file) if self.picture_file else np.full((8, 8, 4), 255, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Assets:
    """All pieces by name."""

    skins: dict[str, Path]
    hair: dict[str, Piece]
    brows: dict[str, Piece]
    lashes: dict[str, Piece]
    teeth: Piece
    tongue: Piece


def read_assets(folder: Path) -> Assets:
    """Look through a folder that holds ``base/``, or is it.

    Raises:
        SourceError: something that a face needs is not there.
    """
    base = folder / "base" if (folder / "base").is_dir() else folder
    skins = {
        path.stem: path for path in sorted((base / "skins").rglob("*_diffuse*")) if path.suffix in (".jpg", ".png")
    }
    if not skins:
        raise SourceError(
            f"{folder}: no skins (base/skins/.../*_diffuse*.jpg or .png); --assets takes makehuman-assets"
        )
    return Assets(
        skins,
        _pieces(base, "hair"),
        _pieces(base, "eyebrows"),
        _pieces(base, "eyelashes"),
        _piece(base / "teeth" / "teeth_base", picture=_first(base / "teeth", "teeth.png")),
        _piece(base / "tongue" / "tongue01"),
    )


def read_picture(path: Path) -> UInt8:
    """RGBA, at most PICTURE_PX wide.

    Raises:
        SourceError: it is no picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SourceError(f"{path}: cannot be read as a picture")
    code = {2: cv2.COLOR_GRAY2RGBA}.get(image.ndim, cv2.COLOR_BGR2RGBA if image.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA)
    image = cv2.cvtColor(image, code)
    if image.shape[1] > PICTURE_PX:
        image = cv2.resize(image, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def mixed_skin(first: UInt8, second: UInt8, share: float) -> tuple[UInt8, Array]:
    """The head's part of two skins as one RGB picture, and the mean colour (3,) of its face, linear."""
    if first.shape != second.shape:
        second = np.asarray(cv2.resize(second, first.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    height, width = first.shape[:2]
    start = round(SKIN_FROM * width)
    parts = [np.ascontiguousarray(picture[:, start:, :3]) for picture in (first, second)]
    mixed = np.asarray(cv2.addWeighted(parts[0], 1 - share, parts[1], share, 0), np.uint8)
    face = mixed[int(0.46 * height) : int(0.58 * height), int(0.79 * width) - start : int(0.93 * width) - start]
    return mixed, np.asarray(((face / 255.0) ** 2).reshape(-1, 3).mean(0), np.float32)


def _pieces(base: Path, kind: str) -> dict[str, Piece]:
    found = {
        path.name: _piece(path) for path in sorted((base / kind).glob("*")) if (path / f"{path.name}.mhclo").exists()
    }
    if not found:
        raise SourceError(f"{base}: no {kind} ({kind}/NAME/NAME.mhclo); --assets takes makehuman-assets")
    return found


def _piece(folder: Path, picture: Path | None = None) -> Piece:
    name = folder.name
    for path in (folder / f"{name}.obj", folder / f"{name}.mhclo"):
        if not path.exists():
            raise SourceError(f"{path}: not there; --assets takes a folder in the layout of makehuman-assets")
    return Piece(
        name,
        folder / f"{name}.obj",
        folder / f"{name}.mhclo",
        picture or _first(folder, f"{name}.png", f"{name}_diffuse.png"),
    )


def _first(folder: Path, *names: str) -> Path | None:
    """The first of these files that is in a folder or below it."""
    for name in names:
        for path in sorted(folder.rglob(name)):
            return path
    return None

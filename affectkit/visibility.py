"""What can be seen of a face: which action units are left empty, and how good the picture of a face is.

Nothing is said of what cannot be seen. A network with the output ``visibility`` tells the visible share of brows, eyes
and mouth; a share under the threshold of the model's spec counts as hidden. An action unit is empty where a region that
it is seen in is hidden (``UNIT_REGIONS``); where all three are hidden the face is none, or turned so that nothing can
be said, and everything is empty, expression, valence, arousal and pose too. docs/visibility.md has the reasons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affectkit.face_results import Affect
from affectkit.spec import ModelSpec
from affectkit.types import REGIONS, Array, Float32, UInt8

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_BROWS, _EYES, _MOUTH = REGIONS

UNIT_REGIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("AU01", "AU02", "AU04"), (_BROWS,)),
    **dict.fromkeys(("AU05", "AU06", "AU07", "AU43", "AU45", "AU46"), (_EYES,)),
    # The nose lies between the two, and no network tells whether it is seen: its root wrinkles between the eyes, its
    # wings draw up the lip, and what hides the eyes or the mouth (a mask, a hand) hides one of these.
    "AU09": (_EYES, _MOUTH),
    **dict.fromkeys(
        (
            *("AU10", "AU11", "AU12", "AU13", "AU14", "AU15", "AU16", "AU17", "AU18", "AU19"),
            *("AU20", "AU22", "AU23", "AU24", "AU25", "AU26", "AU27", "AU28"),
        ),
        (_MOUTH,),
    ),
}
"""Where each action unit is seen: it is empty where one of these regions is hidden. Of units that are not listed
nothing is known, so they need all three (:func:`regions_of`)."""

SOFT, SHARP = 0.25, 0.40
"""Ratios that :func:`sharpness` is 0 and 1 at. A surface without detail has .25; sharp photographs of faces, cut to 64
px, have .42 in the median (.37 to .48), after a blur of 1 px of the crop .33, of 2 px .28."""


def regions_of(unit: str) -> tuple[str, ...]:
    """The regions that an action unit (``AU12``) is seen in; all of them of one that is not known."""
    return UNIT_REGIONS.get(unit, REGIONS)


Band = tuple[Array, Array, Array]
"""A strip of a face: where it starts and ends, and from its middle line to its lower edge."""


def region_bands(points: Array) -> tuple[tuple[Band, ...], ...]:
    """Where brows, eyes and mouth are, with the skin over and under them that moves with them: a strip or two each.

    A brow lies about .3 of the way from the mouth to the eyes above its eye and is .56 eye distances wide, an eye is .4
    wide.

    Args:
        points: (5, D) eyes, nose tip, mouth corners; the strips are sums of them.
    """
    eyes, mouth = points[:2], points[3:]
    across, down = eyes[1] - eyes[0], mouth.mean(0) - eyes.mean(0)
    up = -0.3 * down
    return (
        tuple((eye + up - 0.28 * across, eye + up + 0.28 * across, 0.13 * down) for eye in eyes),
        tuple((eye - 0.2 * across, eye + 0.2 * across, 0.1 * down) for eye in eyes),
        ((mouth[0], mouth[1], 0.2 * down),),
    )


def _region_samples() -> Float:
    """(45, 5) places in brows, eyes and mouth as sums of the five points: 18, 18 and 9 of them, nine a strip."""
    return np.stack(
        [
            (1 - along) * start + along * end + side * half
            for bands in region_bands(np.eye(5))
            for start, end, half in bands
            for along in (0, 0.5, 1)
            for side in (-1, 0, 1)
        ]
    )


_SAMPLES = _region_samples()
_SAMPLES_OF = (slice(0, 18), slice(18, 36), slice(36, 45))
WHOLE = np.ones(3)
"""Shares of brows, eyes and mouth that lie in a picture that holds the whole face."""
WHOLE.setflags(write=False)


def inside(points: Array, width: int, height: int) -> Float:
    """(3,) shares of brows, eyes and mouth that lie in the picture: of what its edge cuts off nothing can be seen.

    What is cropped beyond the edge repeats its last pixels, in which a network may see anything.

    Args:
        points: (5, 2) px: eyes, nose tip, mouth corners; they may lie outside.
    """
    x, y = (_SAMPLES @ points).T
    within = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    if within.all():
        return WHOLE
    return np.array([within[part].mean() for part in _SAMPLES_OF])


@lru_cache(maxsize=64)
def _needed(units: tuple[str, ...]) -> Bool:
    """(A, 3) whether each unit needs each region; shared, not to be written to."""
    needed = np.array([[region in regions_of(unit) for region in REGIONS] for unit in units], np.bool_)
    return needed.reshape(len(units), len(REGIONS))


def hidden_units(hidden: Array, units: Sequence[str]) -> Bool:
    """(N, A) whether a region that each action unit is seen in is hidden; ``hidden`` (N, 3): brows, eyes, mouth."""
    return np.asarray((hidden[:, None] & _needed(tuple(units))).any(2))


def hidden_regions(visibility: Array, spec: ModelSpec) -> Bool:
    """(N, 3) whether brows, eyes and mouth count as hidden; ``visibility`` (N, 3) shares of 0..1."""
    assert spec.visibility_thresholds is not None
    return ~np.asarray(visibility >= np.array(spec.visibility_thresholds))  # what is no number is not seen either


def sharpness(crops: UInt8) -> Float:
    """(N,) 0..1, how much fine detail the crops (N, S, S, C) hold, whatever their contrast and brightness.

    Mean square of the difference between pixels a 32nd of the crop apart over that of pixels a 16th apart (2 and 4
    of 64 px), the smaller one of rows and columns (a face may move one way only), stretched so that ``SOFT`` is 0
    and ``SHARP`` is 1. Where a picture is smooth, twice the distance is four times the square; noise of the camera,
    which is as large at any distance, makes a blurred face hardly sharper. A crop of one brightness has 0.
    """
    return np.array([_sharp(crop.astype(np.float32).mean(2)) for crop in crops], np.float64)


def _sharp(grey: Float32) -> float:
    """:func:`sharpness` of one crop (S, S)."""
    ratios, step = [], max(1, round(len(grey) / 32))
    for lines in (grey, grey.T):
        near, far = ((lines[gap:] - lines[:-gap]).ravel() for gap in (step, 2 * step))
        # In single faces and by `dot`: twice as fast as over the whole batch, and the same in any batch.
        away = float(far @ far) / max(1, len(far))
        ratios.append(float(near @ near) / max(1, len(near)) / away if away > 0 else 0.0)
    return min(1.0, max(0.0, (min(ratios) - SOFT) / (SHARP - SOFT)))


def quality(size: Array, sharp: Array, visibility: Array, pose: Array | None) -> Float:
    """(N,) 0..1, how well the faces can be seen.

    The smaller one of size and sharpness (both say how much detail there is), times the cosines of pitch and yaw (how
    much of the face is turned to the camera; 0 beyond 90 degrees; left out without a pose), times the mean of the
    visible shares of brows, eyes and mouth.

    Args:
        size: (N,) the distance between the eyes in px over that which the network is given, at most 1.
        sharp: (N,) of :func:`sharpness`.
        visibility: (N, 3) 0..1.
        pose: (N, 3) pitch, yaw and roll in degrees; None of a model that does not tell.
    """
    value = np.minimum(size, sharp) * visibility.mean(1)
    if pose is not None:
        value = value * np.clip(np.cos(np.radians(pose[:, :2])), 0, 1).prod(1)
    return np.asarray(value, np.float64)


def withheld(
    affects: Sequence[Affect], spec: ModelSpec, detail: Array | None = None, min_quality: float = 0.0
) -> list[Affect]:
    """The answers without what cannot be seen, and with the faces' quality; as they are of models that do not tell.

    Args:
        affects: of N faces, all with a visibility.
        detail: (N, 2) size and sharpness of each face, see :func:`quality`; None: not known, there is no quality then.
        min_quality: faces of less are not judged: of them only visibility, pose and quality are left.
    """
    if spec.visibility_thresholds is None or not affects:
        return list(affects)
    visibility = _stacked([affect.visibility for affect in affects])
    hidden = hidden_regions(visibility, spec)
    found: list[float] | list[None] = [None] * len(affects)
    poor = np.zeros(len(affects), np.bool_)
    if detail is not None:
        pose = _stacked([affect.pose for affect in affects]) if spec.pose else None
        values = quality(detail[:, 0], detail[:, 1], visibility, pose)
        found, poor = values.tolist(), values < min_quality
    lost = np.asarray(hidden.all(1))
    units = np.asarray(hidden_units(hidden, spec.labels.action_units) | (lost | poor)[:, None])
    return [
        _without(affect, units[i], found[i], everything=bool(lost[i] or poor[i]), pose=bool(lost[i]))
        for i, affect in enumerate(affects)
    ]


def within(affect: Affect, share: Array) -> Affect:
    """The answer with what lies outside of the picture counted as hidden; as it is of models that do not tell.

    Args:
        share: (3,) of :func:`inside`.
    """
    if affect.visibility is None or (share >= 1).all():
        return affect
    return dataclasses.replace(affect, visibility=(affect.visibility * share).astype(np.float32))


def _stacked(rows: Sequence[Float32 | None]) -> Float32:
    """(N, 3) of what each of N faces has."""
    return np.stack([row for row in rows if row is not None])


def _without(affect: Affect, units: Bool, found: float | None, *, everything: bool, pose: bool) -> Affect:
    """An answer without the action units that are marked, or without any, and if asked without the pose."""

    def emptied(values: Float32 | None) -> Float32 | None:
        return None if values is None else np.where(units, np.float32(np.nan), values)

    changes: dict[str, object] = {"quality": found}
    if units.any():
        changes |= {
            "au_probabilities": emptied(affect.au_probabilities),
            "au_active": affect.au_active & ~units,
            "au_std": emptied(affect.au_std),
            "au_intensities": emptied(affect.au_intensities),
        }
    if everything:
        changes |= {
            "expression_probabilities": np.full_like(affect.expression_probabilities, np.nan),
            "valence": float("nan"),
            "arousal": float("nan"),
            "valence_std": None,
            "arousal_std": None,
        }
    if pose and affect.pose is not None:
        changes["pose"] = np.full_like(affect.pose, np.nan)
    return dataclasses.replace(affect, **changes)  # type: ignore[arg-type]

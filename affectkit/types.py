"""The values that cross a file boundary: frozen, checked once when they are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affectkit.documented import fields_shown

AU_NAMES = ("AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25")
"""The eight action units of the shipped models (Facial Action Coding System numbers)."""

AU_TITLES = {
    "AU01": "Inner brow raiser",
    "AU02": "Outer brow raiser",
    "AU04": "Brow lowerer",
    "AU05": "Upper lid raiser",
    "AU06": "Cheek raiser",
    "AU07": "Lid tightener",
    "AU09": "Nose wrinkler",
    "AU10": "Upper lip raiser",
    "AU11": "Nasolabial deepener",
    "AU12": "Lip corner puller",
    "AU13": "Sharp lip puller",
    "AU14": "Dimpler",
    "AU15": "Lip corner depressor",
    "AU16": "Lower lip depressor",
    "AU17": "Chin raiser",
    "AU18": "Lip pucker",
    "AU20": "Lip stretcher",
    "AU22": "Lip funneler",
    "AU23": "Lip tightener",
    "AU24": "Lip pressor",
    "AU25": "Lips part",
    "AU26": "Jaw drop",
    "AU27": "Mouth stretch",
    "AU28": "Lip suck",
    "AU43": "Eyes closed",
    "AU45": "Blink",
    "AU46": "Wink",
}
"""The names that the Facial Action Coding System gives them (Ekman, Friesen & Hager 2002)."""

EXPRESSION_NAMES = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
"""The seven expressions of the shipped models."""

REGIONS = ("brows", "eyes", "mouth")
"""Parts of the face of which a model may tell whether they can be seen."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a model answers; each of its parts may be empty, where a model has no such task.

    The order of the names is the order of every array that holds their values: action units by their number, the seven
    usual expressions as in ``EXPRESSION_NAMES`` and others behind them (:meth:`of` sorts names so).
    """

    expressions: tuple[str, ...] = EXPRESSION_NAMES
    """Mutually exclusive classes, such as ``neutral``; none or at least two."""
    action_units: tuple[str, ...] = AU_NAMES
    """``AU01``, ``AU12``: at least two digits."""
    valence_arousal: bool = True
    # What a network says beside its labels. Not compared: label sets of training know only the labels.
    intensity: bool = field(default=False, compare=False)
    """Whether the intensity of each action unit is told."""
    visibility: bool = field(default=False, compare=False)
    """Whether it is told how much of brows, eyes and mouth can be seen."""
    pose: bool = field(default=False, compare=False)
    """Whether the turn of the head is told."""

    def __post_init__(self) -> None:
        for names, form, what in (
            (self.expressions, r"[a-z][a-z0-9_]*", "expression"),
            (self.action_units, r"AU(\d\d|[1-9]\d\d)", "action unit"),
        ):
            for name in names:
                if not re.fullmatch(form, name):
                    raise ValueError(f"{name!r} is no name of an {what}; it should look like {_EXAMPLES[what]}")
                if name in _TAKEN:
                    raise ValueError(
                        f"an expression cannot be called {name!r}: tables have another column of that name"
                    )
            if len(set(names)) != len(names):
                raise ValueError(f"an {what} is named twice: {', '.join(names)}")
        if len(self.expressions) == 1:
            raise ValueError(f"one expression alone, {self.expressions[0]!r}, says nothing; name at least two or none")
        if not (self.expressions or self.action_units or self.valence_arousal):
            raise ValueError("a label set needs expressions, action units, or valence and arousal")
        if self.intensity and not self.action_units:
            raise ValueError("intensities are those of action units, and there are none")

    @classmethod
    def of(
        cls,
        expressions: Iterable[str] = (),
        action_units: Iterable[str] = (),
        *,
        valence_arousal: bool = True,
        intensity: bool = False,
        visibility: bool = False,
        pose: bool = False,
    ) -> LabelSet:
        """The label set with these names in the usual order; ``AU1`` is understood as ``AU01``."""
        usual = {name: i for i, name in enumerate(EXPRESSION_NAMES)}
        given = list(dict.fromkeys(expressions))
        ordered = sorted(given, key=lambda name: (usual.get(name, len(usual)), given.index(name)))
        units = sorted({au_name(name) for name in action_units}, key=lambda name: int(name[2:]))
        return cls(tuple(ordered), tuple(units), valence_arousal, intensity, visibility, pose)

    def same_columns(self, other: LabelSet) -> bool:
        """Whether a table for the one has the columns of the other."""
        mine, theirs = ((x.intensity, x.visibility, x.pose) for x in (self, other))
        return self == other and mine == theirs


_TAKEN = frozenset(
    [
        *("input", "frame", "face_id", "timestamp", "confidence", "success", "expression", "valence", "arousal"),
        *("expression_entropy", "valence_std", "arousal_std", "approx_time", "frames_ids", "lookahead", "dropped"),
        *("pitch", "yaw", "roll", "visible_upper", "visible_lower", "quality", "baseline"),
    ]
)
"""Columns of tables beside those of the labels."""

_EXAMPLES = {"expression": "'happiness' (small letters)", "action unit": "'AU12'"}


def au_name(name: str) -> str:
    """The action unit's name with two digits: ``AU1``, ``au01`` or ``1`` -> ``AU01``.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(r"(?:AU)?0*(\d{1,3})", name.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError(f"{name!r} is no name of an action unit; it should look like 'AU12'")
    return f"AU{int(found[1]):02d}"


def published_au_name(name: str) -> str:
    """The action unit's name as label files write it: ``AU01`` -> ``AU1``."""
    return f"AU{int(name[2:])}"


Array = npt.NDArray[Any]
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

RunNetwork = Callable[[Mapping[str, Array]], dict[str, Array]]
"""What a stage asks of a network: named arrays in, named arrays out. ``Engine.run`` is one."""


def check_image(image: Array, what: str = "image") -> UInt8:
    """Return ``image`` if it is RGB uint8 (H, W, 3) with at least one pixel.

    Raises:
        TypeError: it is no array, or not of uint8.
        ValueError: it has another shape; the message says which and how to convert.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{what} must be a numpy array (H, W, 3) of uint8, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise TypeError(f"{what} must be of dtype uint8 (values 0..255), got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"{what} must have shape (H, W, 3) in RGB order, got {image.shape}; "
            "repeat a grey image over three channels, drop an alpha channel"
        )
    if 0 in image.shape:
        raise ValueError(f"{what} has no pixels: shape {image.shape}")
    return image


class Picture(Protocol):
    """A decoded picture, from which the stages take what they need (:mod:`affectkit.picture`)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        ...

    def rgb(self) -> UInt8:
        """The whole picture, RGB (H, W, 3); computed when it is first asked for."""
        ...

    def detector_rgb(self) -> UInt8:
        """The whole picture, RGB (H, W, 3), as detectors are shown it: equal where the rest of what is here is equal.

        Of video it is made of the planes that all else is cut from, whose range and detail are those that nearly all
        video has; :meth:`rgb` is finer where a file is.
        """
        ...

    def crop(self, matrix: Array, size: int, channels: int) -> UInt8:
        """A square (size, size, channels), 3 RGB or 1 luma, along ``matrix`` (2, 3), picture -> crop.

        As :func:`affectkit.picture.warp` cuts: shrunk by averaging, the border continued.
        """
        ...

    def patches(self, firsts: Array, steps: Array, size: int, outside: int, *, average: bool = False) -> UInt8:
        """Bilinear RGB squares (N, size, size, 3) with sides along those of the picture, grey beyond it.

        Args:
            firsts: (N, 2) x, y of each one's first pixel, px.
            steps: (N, 2) px from one of its pixels to the next.
            outside: the grey, 0..255.
            average: whether what is larger than a square is averaged, or only sampled.
        """
        ...

    def small(self, box: tuple[int, int, int, int], size: int) -> UInt8:
        """RGB (size, size, 3): what lies in ``box`` (left, top, right, bottom; inside the picture), averaged."""
        ...

    def sampled(self, width: int, height: int) -> UInt8:
        """RGB (height, width, 3): single pixels, evenly spread."""
        ...

    def brightness(self, columns: int, rows: int) -> UInt8:
        """(rows, columns): mean brightness of each cell of a grid, on the picture's own scale."""
        ...


@fields_shown
@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of a source."""

    index: int
    """Count of decoded frames before it; the first is 0."""
    time_s: float
    """Presentation time in seconds as the stream says; NaN where the source has no times (pictures)."""
    picture: Picture
    """Upright."""
    name: str
    """What the table's ``input`` column shows: the path of the video or the picture."""
    reduced: int = 1
    """How many of the file's pixels one of the picture's sides is made of: over 1 only for very large pictures."""

    @property
    def image(self) -> UInt8:
        """RGB, uint8, (H, W, 3), upright."""
        return self.picture.rgb()


POINTS_IN_BOX = ((0.26, 0.385), (0.74, 0.385), (0.5, 0.59), (0.29, 0.737), (0.71, 0.737))
"""Where the five points of a face that looks at the camera lie in MTCNN's box: medians, mirrored and averaged."""


@fields_shown
@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face as a detector sees it, in pixels of the picture; (0, 0) is the centre of the top left pixel."""

    box: tuple[float, float, float, float]
    """x, y, width, height in px; may reach beyond the picture."""
    score: float = 1.0
    """The detector's confidence, 0..1."""
    landmarks: Float32 = field(default_factory=lambda: np.full((5, 2), np.nan, np.float32))
    """(5, 2) x, y in px: eye on the left of the picture, the other eye, nose tip, left and right mouth corner.

    Left out by a detector that finds boxes only: then they are put where they mostly lie in a box."""

    def __post_init__(self) -> None:
        if not isinstance(self.landmarks, np.ndarray) or np.isnan(self.landmarks).all():
            if self.landmarks is not None and not isinstance(self.landmarks, np.ndarray):
                raise TypeError(f"Detection.landmarks must be an array (5, 2), got {type(self.landmarks).__name__}")
            x, y, width, height = self.box
            points = np.asarray(POINTS_IN_BOX, np.float64) * (width, height) + (x, y)
            object.__setattr__(self, "landmarks", points.astype(np.float32))
        if self.landmarks.shape != (5, 2):
            raise ValueError(f"Detection.landmarks must have shape (5, 2), got {self.landmarks.shape}")

    @classmethod
    def at(cls, landmarks: npt.ArrayLike, score: float = 1.0) -> Detection:
        """A face of which only the five points are known; its box is put around them.

        Args:
            landmarks: (5, 2) px, in the order of :attr:`landmarks`.

        Raises:
            ValueError: another shape, or not finite.
        """
        points = np.asarray(landmarks, np.float32)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise ValueError(f"landmarks must be finite, of shape (5, 2), got {points.shape}")
        # A box like a detector's: about 2.2 inter-ocular distances wide.
        low, high = points.min(0), points.max(0)
        margin = 0.6 * float(np.linalg.norm(points[1] - points[0]))
        width, height = float(high[0] - low[0]), float(high[1] - low[1])
        box = (float(low[0]) - margin, float(low[1]) - 1.3 * margin, width + 2 * margin, height + 2.1 * margin)
        return cls(box, score, points)


@fields_shown
@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """A detection with the identity it has in this video."""

    track_id: int
    """0, 1, 2 ... in order of appearance; never reused within a video."""
    detection: Detection


@fields_shown
@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """A frame and the faces in it, by track id."""

    frame: Frame
    faces: tuple[TrackedFace, ...]
    cut: bool = False
    """Whether this frame begins another shot than the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class CroppedFrame:
    """A tracked frame and its aligned faces, ready for the network."""

    tracked: TrackedFrame
    crops: UInt8
    """(faces, S, S, C) uint8, C = 3 RGB or 1 luma as the model's spec says; same order as ``tracked.faces``."""
    inside: Array | None = None
    """(faces, 3) shares of brows, eyes and mouth that lie in the picture; None: all of them."""

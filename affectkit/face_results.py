"""What is said about a face, and of a frame: the values that users are given, checked when they are made."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affectkit.documented import fields_shown
from affectkit.types import Float32, LabelSet, UInt8

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHIPPED = LabelSet()


@fields_shown
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Affect:
    """What the model says about one face; ``labels`` names what the arrays hold.

    A model that tells what can be seen says nothing of the rest (:mod:`affectkit.visibility`): the values of an action
    unit whose part of the face is hidden are NaN, and all values of a face of which nothing can be seen.
    """

    expression_probabilities: Float32
    """(E,) in the order of ``labels.expressions``, sums to 1, or all NaN; (0,) of a model without expressions."""
    au_probabilities: Float32
    """(A,) in the order of ``labels.action_units``, each 0..1 or NaN; (0,) of a model without action units."""
    au_active: npt.NDArray[np.bool_]
    """(A,) probability at or over the model's calibrated threshold; False of a hidden one."""
    valence: float
    """-1 (unpleasant) .. 1 (pleasant); NaN of a model that does not tell, or a face that cannot be seen."""
    arousal: float
    """-1 (calm) .. 1 (excited); NaN of a model that does not tell, or a face that cannot be seen."""
    au_std: Float32 | None = None
    """(A,) standard deviation of the probabilities over the ensemble's members; None with one member."""
    valence_std: float | None = None
    """Standard deviation over the members; None with one member."""
    arousal_std: float | None = None
    """Standard deviation over the members; None with one member."""
    labels: LabelSet = SHIPPED
    """What the model answers; the shipped models' seven expressions and eight action units unless it is said."""
    au_intensities: Float32 | None = None
    """(A,) 0..1, share of the person's own full movement, NaN where hidden; not FACS' A to E. None of a model that
    does not tell."""
    visibility: Float32 | None = None
    """(3,) share of brows, eyes and mouth that can be seen, 0..1; None of a model that does not tell."""
    pose: Float32 | None = None
    """(3,) pitch (> 0: down), yaw (> 0: towards the picture's right) and roll (> 0: counter-clockwise as seen) of the
    head in degrees; NaN where nothing can be seen, None of a model that does not tell."""
    quality: float | None = None
    """0..1, how well the face can be seen (:func:`affectkit.visibility.quality`); None: the model does not tell."""
    au_raw: Float32 | None = None
    """(A,) where ``au_probabilities`` are told relative to the person's neutral: what they were; else None."""
    au_intensities_raw: Float32 | None = None
    """(A,) the same of ``au_intensities``."""

    def __post_init__(self) -> None:
        expressions, units = (len(self.labels.expressions),), (len(self.labels.action_units),)
        if (
            self.expression_probabilities.shape != expressions
            or self.au_probabilities.shape != units
            or self.au_active.shape != units
            or (self.au_std is not None and self.au_std.shape != units)
            or (self.au_intensities is not None and self.au_intensities.shape != units)
            or (self.au_raw is not None and self.au_raw.shape != units)
        ):
            std = () if self.au_std is None else self.au_std.shape
            raise ValueError(
                f"Affect.expression_probabilities should be {expressions}, au_probabilities, au_active and au_std "
                f"{units} as its labels say; got {self.expression_probabilities.shape}, "
                f"{self.au_probabilities.shape}, {self.au_active.shape} and {std or None}"
            )
        for name, values in (("visibility", self.visibility), ("pose", self.pose)):
            if values is not None and values.shape != (3,):
                raise ValueError(f"Affect.{name} should be (3,), got {values.shape}")

    @property
    def expression(self) -> str:
        """The most probable expression; empty where the model knows none, or nothing of the face can be seen."""
        names = self.labels.expressions
        place = int(np.argmax(self.expression_probabilities)) if names else 0  # of the first NaN, where there is any
        return names[place] if names and not np.isnan(self.expression_probabilities[place]) else ""

    @property
    def au_hidden(self) -> npt.NDArray[np.bool_]:
        """(A,) whether nothing is said of an action unit, since its part of the face cannot be seen."""
        return np.isnan(self.au_probabilities)

    @property
    def visible_upper(self) -> float | None:
        """The smaller of the visible shares of brows and eyes; None of a model that does not tell."""
        return None if self.visibility is None else float(self.visibility[:2].min())

    @property
    def visible_lower(self) -> float | None:
        """The visible share of the mouth; None of a model that does not tell."""
        return None if self.visibility is None else float(self.visibility[2])

    @property
    def expression_entropy(self) -> float:
        """Entropy of the expression probabilities in nats: 0 (certain) .. ln of the number of classes (no idea).

        Of seven classes that is ln 7 = 1.946. NaN where the model knows none, or nothing of the face can be seen.
        """
        if not self.labels.expressions:
            return float("nan")
        p = np.clip(self.expression_probabilities.astype(np.float64), 1e-12, 1.0)
        return float(-(p * np.log(p)).sum())

    @property
    def expressions(self) -> dict[str, float]:
        """Probability by expression name."""
        return dict(zip(self.labels.expressions, map(float, self.expression_probabilities), strict=True))

    @property
    def action_units(self) -> dict[str, float]:
        """Probability by action unit name (``AU01`` ...); NaN of a hidden one."""
        return dict(zip(self.labels.action_units, map(float, self.au_probabilities), strict=True))

    @property
    def intensities(self) -> dict[str, float]:
        """Intensity by action unit name, NaN of a hidden one; empty of a model that does not tell."""
        values = () if self.au_intensities is None else map(float, self.au_intensities)
        return dict(zip(self.labels.action_units if self.au_intensities is not None else (), values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON knows it, by name; None where nothing is told."""
        from affectkit.tables.display import affect_dict

        return affect_dict(self)

    def __repr__(self) -> str:
        from affectkit.tables.display import affect_text

        return affect_text(self)


@fields_shown
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Face:
    """One face of one frame, with what the model says about it."""

    track_id: int
    """Stable within a video, never reused; 0, 1, 2 ... by position for a single picture."""
    box: tuple[float, float, float, float]
    """x, y, width, height in px of the file's picture."""
    score: float
    """The detector's confidence, 0..1."""
    landmarks: Float32
    """(5, 2) px of the file's picture: eyes, nose tip, mouth corners, left to right in the picture."""
    affect: Affect

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON knows it, named as in tables: ``face_id``, ``confidence``; None where nothing is told."""
        from affectkit.tables.display import face_dict

        return face_dict(self)

    def __repr__(self) -> str:
        from affectkit.tables.display import face_text

        return face_text(self)


@fields_shown
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FrameResult:
    """Everything found in one frame."""

    index: int
    """Count of decoded frames before it; the first is 0."""
    time_s: float
    """Presentation time in seconds; NaN where the source has none."""
    faces: tuple[Face, ...]
    """By track id; empty without a face."""
    name: str = ""
    """Path of the video or the picture."""
    image: UInt8 | None = field(default=None, repr=False)
    """RGB (H, W, 3), only where the caller asked for ``keep_images``."""
    cut: bool = False
    """Whether this frame begins another shot than the one before."""
    lookahead: int | None = None
    """Frames after this one that its answer takes into account, live; None: all of its sequence, or only itself."""
    reduced: int = 1
    """How many of the file's pixels, in which boxes and landmarks are, one of ``image``'s sides is made of."""

    def to_dict(self) -> dict[str, Any]:
        """Everything but the picture as JSON knows it, named as in tables; ``json.dumps`` takes it as it is."""
        from affectkit.tables.display import result_dict

        return result_dict(self)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The frame with its faces, by matplotlib (extra ``plot``); the picture only if ``keep_images`` was asked for.

        Args:
            ax: axes to draw into; None: those of a new figure.
        """
        from affectkit.tables.plots import plot_result

        return plot_result(self, ax)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it: ``.json`` (:meth:`to_dict`), or the plot as ``.png``, ``.jpg``, ``.svg`` or ``.pdf``.

        Raises:
            OutputError: another suffix, it cannot be written, or exists and ``overwrite`` is not given.
        """
        from affectkit.tables.saving import save_result

        save_result(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        from affectkit.tables.display import result_text

        return result_text(self)

"""From crops to answers: the network is asked, faces that are not upright are turned, and what cannot be seen is left
empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from affectkit.align import face_matrix
from affectkit.face_results import Affect
from affectkit.readout import read_out
from affectkit.spec import FURTHER, InputSpec, ModelSpec, Prior
from affectkit.turning import turned
from affectkit.types import Array, Detection, UInt8
from affectkit.visibility import sharpness, withheld, within

FACTS = "facts"
"""Name, among the outputs of a network, of what is known of the crops, (1, N, 6): size and sharpness as
:func:`affectkit.visibility.quality` takes them, the turn from the crop to the picture in degrees, > 0 counter-clockwise
as seen, and the shares of brows, eyes and mouth that lie in the picture."""


class Reader:
    """Asks a network about faces and reads out what it says, by one set of rules."""

    def __init__(
        self,
        run: Callable[[UInt8], dict[str, Array]],
        spec: ModelSpec,
        *,
        prior: Prior = "natural",
        min_quality: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            run: the network: faces (N, S, S, C) in, logits and features (M, N, ...) out; any N over 0.
            prior: how common the expressions are taken to be.
            min_quality: faces of less are not judged, 0..1.

        Raises:
            ValueError: the model does not tell what ``prior`` or ``min_quality`` ask for, or they are out of range.
        """
        spec.check_prior(prior)
        if not 0 <= min_quality <= 1:
            raise ValueError(f"min_quality must be 0 to 1, got {min_quality}")
        if min_quality and spec.visibility_thresholds is None:
            raise ValueError(
                f"model {spec.name!r} does not tell how well a face can be seen, so there is no quality to ask for; "
                "leave out min_quality, or take another model"
            )
        self._run, self._spec = run, spec
        self.prior, self.min_quality = prior, min_quality

    @property
    def carried(self) -> tuple[str, ...]:
        """Outputs that are of the single frame, also where the labels come from a sequence."""
        names = tuple(name for name in FURTHER if name in self._spec.further_widths)
        return (*names, FACTS) if names else ()

    def ask(
        self,
        crops: UInt8,
        faces: Sequence[Detection],
        *,
        inside: Array | None = None,
        turn: bool = True,
        aligned: bool = False,
    ) -> dict[str, Array]:
        """What the network says of crops, and what is known of them.

        Args:
            crops: (N, S, S, C) uint8, N over 0.
            faces: where they were cut out.
            inside: (N, 3) shares of brows, eyes and mouth that lie in the picture; None: all of them.
            turn: whether faces may be turned that are not upright by their points.
            aligned: the crops are whole pictures, whose owner has turned them; points say nothing.
        """
        outputs = self._run(crops)
        spec = self._spec
        if not spec.further_widths:
            return outputs
        turns: Array = np.zeros(len(crops))
        if spec.visibility_thresholds is not None and turn and not aligned:
            scores = np.array([face.score for face in faces])
            outputs, turns = turned(crops, outputs, scores, spec, self._run)
        facts = self._facts(crops, faces, turns, aligned)
        if inside is not None:
            facts[:, 3:] = inside
        return outputs | {FACTS: facts[None]}

    def _facts(self, crops: UInt8, faces: Sequence[Detection], turns: Array, aligned: bool) -> Array:
        """(N, 6) size, sharpness and turn of each crop, and what of it lies in the picture: all."""
        facts = np.ones((len(crops), 6))
        facts[:, [0, 2]] = [_placed(face, self._spec.input, aligned) for face in faces]
        if self._spec.visibility_thresholds is not None:
            facts[:, 1] = sharpness(crops)
        facts[:, 2] -= 90 * turns
        return facts

    def read(self, outputs: Mapping[str, Array]) -> list[Affect]:
        """One answer for each of the N faces, without what cannot be seen.

        Args:
            outputs: of :meth:`ask`, or of a recurrent part with :attr:`carried` of the same faces.
        """
        if FACTS not in outputs:
            return read_out(outputs, self._spec, self.prior)
        (facts,) = outputs[FACTS]
        affects = read_out(outputs, self._spec, self.prior, facts[:, 2])
        affects = [within(affect, share) for affect, share in zip(affects, facts[:, 3:], strict=True)]
        return withheld(affects, self._spec, facts[:, :2], self.min_quality)


def aligned_face(height: int, width: int, spec: InputSpec) -> Detection:
    """Where the face of an aligned picture is that is given to :func:`affectkit.align.fit_aligned` as it is.

    A picture of the input's size is the input, whatever it was cut from.
    """
    side = spec.aligned_size or spec.size
    if (height, width) == (spec.size, spec.size):
        height = width = side
    return Detection((0.0, 0.0, float(width), float(height)), 1.0)


def _placed(face: Detection, spec: InputSpec, aligned: bool) -> tuple[float, float]:
    """Size (px of the picture for a px of the crop, at most 1) and turn of the cut, degrees."""
    if aligned:
        return min(1.0, min(face.box[2:]) / (spec.aligned_size or spec.size)), 0.0
    matrix = face_matrix(face.landmarks, spec)
    scale, turn = np.hypot(matrix[0, 0], matrix[1, 0]), np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return min(1.0, 1.0 / max(float(scale), 1e-9)), float(turn)

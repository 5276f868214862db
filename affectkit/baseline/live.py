"""A baseline while the input goes on: values are told relative to each face's neutral from when that is known."""

from __future__ import annotations

import dataclasses

from affectkit.baseline.corrected import head_of, relative_affect, seen_of
from affectkit.baseline.finders import FromFile, FromSeconds
from affectkit.baseline.from_file import Finder, values_of
from affectkit.baseline.neutral import Neutral, Rule, timed
from affectkit.face_results import Face, FrameResult
from affectkit.types import Array


def check_live(rule: Rule) -> None:
    """Refuse what cannot be known while the input goes on.

    Raises:
        ValueError: the rule is ``auto``.
    """
    if rule.kind == "auto":
        raise ValueError(
            "baseline='auto' needs the whole input, and a live one has no end; give seconds from its beginning (0-3), "
            "or a table, picture or video of the neutral face"
        )


class LiveBaseline:
    """Corrects results as they come.

    Seconds are counted from the first frame. Until they are over, values stay as they are, as do those of faces that
    are not seen in them. A file of one face is for the one that is seen, of several for the one seen in most frames so
    far; one of several faces goes by face id.
    """

    def __init__(self, finder: Finder, thresholds: Array) -> None:
        """Set up.

        Args:
            finder: for seconds or a file.
            thresholds: (A,) of the model's action units.
        """
        assert isinstance(finder, FromSeconds | FromFile)
        check_live(finder.rule)
        self._finder: FromSeconds | FromFile = finder
        self._thresholds = thresholds
        self.reset()

    def reset(self) -> None:
        """Forget all faces: ids begin at 0 again, and the seconds too."""
        if isinstance(self._finder, FromSeconds):
            self._finder = FromSeconds(self._finder.rule)
        self._found: dict[int, Neutral] | None = None
        self._frames: dict[int, int] = {}
        self._first_s: float | None = None

    def apply(self, results: list[FrameResult]) -> list[FrameResult]:
        """The next results, told relative to what is known by then.

        Raises:
            SourceError: seconds were asked for, and a result has no time.
        """
        return [self._applied(result) for result in results]

    def _applied(self, result: FrameResult) -> FrameResult:
        if isinstance(self._finder, FromSeconds):
            neutrals = self._from_seconds(result, self._finder)
        else:
            neutrals = self._from_file(result, self._finder)
        faces = tuple(self._told(face, neutrals.get(face.track_id)) for face in result.faces)
        return dataclasses.replace(result, faces=faces) if neutrals else result

    def _told(self, face: Face, neutral: Neutral | None) -> Face:
        if neutral is None:
            return face
        affect = relative_affect(face.affect, values_of(face.affect), neutral, self._thresholds)
        return dataclasses.replace(face, affect=affect)

    def _from_seconds(self, result: FrameResult, finder: FromSeconds) -> dict[int, Neutral]:
        if self._found is not None:
            return self._found
        seen = [seen_of(head_of(result, face), values_of(face.affect)) for face in result.faces]
        if self._first_s is None:
            self._first_s = result.time_s
        for one in seen:
            finder.add(dataclasses.replace(one, time_s=timed(one.time_s) - self._first_s))
        if result.time_s - self._first_s >= finder.rule.end_s:
            self._found = finder.result().found
        return self._found or {}

    def _from_file(self, result: FrameResult, finder: FromFile) -> dict[int, Neutral]:
        tracks = [face.track_id for face in result.faces]
        if None not in finder.neutrals:
            return {track: finder.neutrals[track] for track in tracks if track in finder.neutrals}
        if not tracks:
            return {}
        for track in tracks:
            self._frames[track] = self._frames.get(track, 0) + 1
        return {max(tracks, key=lambda track: (self._frames[track], -track)): finder.neutrals[None]}

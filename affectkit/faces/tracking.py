"""Frames -> frames with faces that keep their identity.

A detector is asked every k-th frame, when a face is lost, when none is there, and after a cut; in between it only
follows the faces it knows, which costs a fraction. While nothing happens it is asked less and less often.

Who is who: a face is first the one that was there before and moved like that (overlap and motion); where that leaves a
choice, as when faces cross, it is the one that looks like it: a small picture of each face is kept and compared. A face
that is gone is remembered for ``keep_lost_s``. After a cut everybody is somebody else, unless the shot is one that was
shown before: then those who were in it are expected where they were.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from affectkit.faces.base import Detector
from affectkit.faces.changes import Searched
from affectkit.picture import RgbPicture
from affectkit.state import of_detection, to_detection
from affectkit.types import Array, Detection, Float32, Frame, Picture, TrackedFace, TrackedFrame

Box = tuple[float, float, float, float]

SAME_POINTS = 0.15
"""Mean distance of their points up to which two detections are one face, in sides of its box."""

LOOK_PX = 8
"""Side of the small picture that a face is recognised by."""

LOOK_MARGIN = 1.0
"""Side of what it shows, in sides of the box; more would show what is behind."""

SHOTS_REMEMBERED = 12

RESTING = 0.002
"""Share of a face's side by which its points have to move, or they stay where they were: looked for again in the same
picture they come out by half of that elsewhere, and so would a decision that is close to its threshold."""

LEFT_OUT = 2
"""Frames from one to the next up to which faces may be followed without being detected anew."""

SLOWS_S = 1.5
"""Time constant with which a face that is gone is thought to slow down."""

PICTURES_A_SECOND = 25
"""Pictures have no times; how long a face is gone among them is counted as if they came at this rate."""


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """How faces are found again from frame to frame."""

    detect_every: int = 6
    """Frames from one detection to the next while all faces are being followed; 1: detect in every frame."""
    settled_s: float = 0.5
    """The same, in seconds, while nothing happens: all known faces are there and apart, and the last detection brought
    nothing new. What a look sees counts ``detect_every`` frames later. Only what has changed is looked at, so who comes
    in close to a known face may be found as late as ``whole_s``. 0: always ``detect_every``."""
    whole_s: float = 2.0
    """Seconds from one search of the whole picture to the next, while only what has changed is searched in between."""
    enough_s: float = 2.0
    """``settled_s`` where there are ``max_faces`` already: only a larger one would take somebody's place."""
    min_score: float = 0.9
    """Score a face needs to begin a track; what is being followed may score less."""
    match_iou: float = 0.3
    """Overlap at which a detection is the face that a track saw last."""
    keep_lost_s: float = 3.0
    """How long a lost face is remembered, so that it comes back under its id."""
    same_look: float = 0.5
    """Likeness (correlation of the small pictures) under which a face is not the one that was followed."""
    stayed_look: float = 0.1
    """Likeness that a face needs to be the one that was there a moment ago: half hidden it looks like nobody."""
    moment_s: float = 0.3
    returned_look: float = 0.4
    """Likeness that a face needs to be taken for one that was lost about there."""
    known_look: float = 0.6
    """Likeness that a face needs to be taken for one that was lost somewhere else."""
    doubtful_look: float = 0.25
    """Likeness at which a face may still turn out to be one that was lost: it gets no id for ``moment_s``."""
    hidden_s: float = 0.8
    """The same for one with somebody close to it, who may hide a part of it."""
    cut_difference: float = 0.25
    """Mean change of a thumbnail's pixels, as a fraction of the range, that counts as a cut."""
    same_shot: float = 0.08
    """Difference of thumbnails up to which a shot is one that was shown before."""
    max_faces: int | None = None
    """Only the largest ones; None: all."""

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            raise ValueError(f"detect_every must be at least 1, got {self.detect_every}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {self.max_faces}")


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    track_id: int
    last: Detection
    look: Float32
    """What it looks like, an average over time; see :func:`look_of`."""
    first: int
    """Index of the frame it was first seen in."""
    seen: int
    """Index of the frame it was last seen in."""
    seen_s: float
    velocity: tuple[float, float] = (0.0, 0.0)
    """Of the box's centre, px a second."""

    def expected(self, time_s: float) -> Box:
        """Where it should be by now: it goes on as it moved, slower and slower."""
        x, y, width, height = self.last.box
        gone_s = SLOWS_S * -math.expm1(-max(0.0, time_s - self.seen_s) / SLOWS_S)
        return (x + self.velocity[0] * gone_s, y + self.velocity[1] * gone_s, width, height)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A search for new faces that is going on."""

    index: int
    """Of the frame in which."""
    saw_somebody: Callable[[], bool]
    """Waits until it is known."""


class Tracker:
    """Remembers who was where; one for each video."""

    def __init__(
        self,
        detector: Detector,
        config: TrackingConfig | None = None,
        *,
        states_kept: int = 4,
        lock: threading.Lock | None = None,
        pool: Executor | None = None,
    ) -> None:
        """Begin with nobody.

        Args:
            states_kept: frames that the tracker may be ahead of whoever asks for its state.
            lock: held while the detector is asked, where several trackers share it in several threads.
            pool: looks for new faces while known ones are followed. The results are the same without it.
        """
        self._detector = detector
        self._pool = pool
        self._detecting = lock or threading.Lock()
        self._keeping = threading.Lock()  # states are asked for in another thread
        self._states_kept = states_kept
        self._follow_picture = getattr(detector, "follow_picture", None)
        self._look = getattr(detector, "look", None)
        self._settle = getattr(detector, "settle", None)
        self._config = config or TrackingConfig()
        self.reset()

    def reset(self) -> None:
        """Forget everything; ids begin at 0 again."""
        self._tracks: list[_Track] = []
        self._shots: deque[tuple[Array, list[_Track]]] = deque(maxlen=SHOTS_REMEMBERED)
        self._next_id = 0
        self._thumbnail: Array | None = None
        self._size: tuple[int, int] | None = None
        self._index = -1
        self._time_s = -math.inf
        self._name: str | None = None
        self._detected_at, self._detected_s, self._whole_s = -1, -math.inf, -math.inf
        self._searched = Searched()
        self._looking: _Look | None = None
        self._uneventful = 0  # detections in a row that were due and brought nothing new
        self._doubts: list[tuple[Box, float]] = []  # faces that may be lost ones, and since when
        self._states: deque[tuple[int, Callable[[], dict[str, Any]]]] = deque(maxlen=self._states_kept)

    def forget(self) -> None:
        """The next picture has nothing to do with those before: forget all faces, but not which ids were given."""
        self._tracks, self._doubts = [], []
        self._shots.clear()
        self._thumbnail = self._size = self._looking = None
        self._uneventful = 0

    def update(self, frame: Frame) -> TrackedFrame:
        """Find the faces of the next frame."""
        config = self._config
        before, self._index = self._index, frame.index
        time_s = frame.time_s if math.isfinite(frame.time_s) else frame.index / PICTURES_A_SECOND
        backwards, self._time_s = time_s < self._time_s, time_s
        # The pictures of a folder may show anybody: nobody is followed there without looking for others, or doubted.
        another = self._name is not None and frame.name != self._name
        self._name = frame.name
        cut = self._begin_shot(frame.picture, backwards)
        active = [t for t in self._tracks if t.seen == before and not cut]
        since_s = self._time_s - config.keep_lost_s
        self._tracks = [t for t in self._tracks if t.seen == before or t.seen_s >= since_s]
        # Counted in frames of the source: where most are left out, a face has moved too far to be followed.
        due = frame.index - self._detected_at >= config.detect_every
        # Where frames are left out, a face has moved too far to be followed for long.
        settled = due and not another and frame.index - before <= LEFT_OUT and self._is_settled(active)
        if settled and self._may_wait(active):
            due = False
        looks = due and settled and self._look is not None
        must = another or bool(self._doubts) or not active or (due and not looks) or self._somebody_came(cut)
        if must or self._follow(frame.picture, active):
            must = True
            eventful = self._detect(frame.picture, active, before, doubts=not another)
            self._uneventful = 0 if eventful or not due else self._uneventful + 1
            self._searched.note(frame.picture)
            self._whole_s, self._looking = time_s, None
        elif looks:
            self._looking = self._begin_look(frame.picture)
        if must or due:
            self._detected_at, self._detected_s = frame.index, time_s
        faces = [t for t in self._tracks if t.seen == frame.index]
        if config.max_faces is not None:
            faces = sorted(faces, key=lambda t: -t.last.box[2] * t.last.box[3])[: config.max_faces]
        faces.sort(key=lambda t: t.track_id)
        with self._keeping:
            self._states.append((frame.index, self._state()))
        return TrackedFrame(frame, tuple(TrackedFace(t.track_id, t.last) for t in faces), cut)

    def _is_settled(self, active: list[_Track]) -> bool:
        """Whether nothing happens: the last detection brought nothing new, and all are there, and apart."""
        if not self._uneventful or self._doubts or not active or not self._config.settled_s:
            return False
        apart = all(not _touch(a.last.box, b.last.box) for a, b in combinations(active, 2))
        return len(active) == len(self._tracks) and apart  # nobody is lost, who may come back

    def _may_wait(self, active: list[_Track]) -> bool:
        """Whether it is not long ago that other faces were looked for, in a picture in which nothing happens."""
        config = self._config
        enough = config.max_faces is not None and len(active) >= config.max_faces
        wait_s = max(config.enough_s, config.settled_s) if enough else config.settled_s
        # A millisecond under it, so that the rounding of clocks does not decide whether a frame is the one.
        return 0 <= self._time_s - self._detected_s < wait_s - 1e-3

    def _begin_look(self, picture: Picture) -> _Look | None:
        """Look for faces that are not followed, in the whole picture from time to time, else where it has changed."""
        known = [t.last.box for t in self._tracks if t.seen == self._index]
        look, limit = self._look, self._config.match_iou
        region = self._searched.changed(picture, known)
        if self._time_s - self._whole_s >= self._config.whole_s - 1e-3:
            height, width = picture.shape
            region, self._whole_s = (0, 0, width, height), self._time_s
        if region is None or look is None:
            return None

        if self._pool is not None and isinstance(picture, RgbPicture):
            picture = RgbPicture(picture.rgb().copy())  # its owner may use the memory again before the look is over

        def somebody() -> bool:
            return any(
                all(iou(face.box, box) < limit for box in known) for face in look(picture.detector_rgb(), region)
            )

        if self._pool is None:
            seen = somebody()
            return _Look(self._index, lambda: seen)
        return _Look(self._index, self._pool.submit(somebody).result)

    def _somebody_came(self, cut: bool) -> bool:
        """What the look that was begun ``detect_every`` frames ago saw; until then nobody asks.

        Always so many frames, however fast it was: the results are the same in every run.
        """
        looking = self._looking
        if looking is None or (not cut and self._index - looking.index < self._config.detect_every):
            return False
        self._looking = None
        return not cut and looking.saw_somebody()

    def _begin_shot(self, picture: Picture, backwards: bool) -> bool:
        """Whether this frame has little to do with the one before; then those who were there are put by.

        So it is, whatever it shows, where its time runs ``backwards``: recordings were joined there.
        """
        small = picture.sampled(32, 18).astype(np.int16)
        before, self._thumbnail = self._thumbnail, small
        resized = self._size is not None and self._size != picture.shape  # a stream may change its size
        self._size = picture.shape
        changed = before is not None and _change(small, before) > self._config.cut_difference
        if before is None or not (changed or resized or backwards):
            return False
        if resized:  # places of the other size say nothing
            self._shots.clear()
            self._tracks = []
            return True
        self._shots.append((before, self._tracks))
        self._tracks = []
        likest = min(range(len(self._shots)), key=lambda k: _change(small, self._shots[k][0]))
        if _change(small, self._shots[likest][0]) <= self._config.same_shot:
            # Shown again: they are expected where they were, as if no time had passed.
            shown = self._shots[likest][1]
            self._tracks = [dataclasses.replace(t, seen_s=self._time_s, velocity=(0.0, 0.0)) for t in shown]
            del self._shots[likest]
        return True

    def _follow(self, picture: Picture, active: list[_Track]) -> bool:
        """Follow the active tracks; True where one was lost."""
        with self._detecting:
            found = self._follow_known(picture, active)
        lost = False
        for track, face in zip(active, found, strict=True):
            # O-Net may answer with a neighbour's face; a face does not jump by half its size from frame to frame.
            if face is None or iou(face.box, track.last.box) < self._config.match_iou:
                lost = True
                continue
            look = look_of(picture, face.box)
            if likeness(look, track.look) < self._config.same_look:
                lost = True  # whoever came in front of it
                continue
            self._see(track, face, look)
        return self._drop_doubles(picture) or lost

    def _see(self, track: _Track, face: Detection, look: Float32) -> None:
        """Note that a track is ``face`` in this frame."""
        look_now, velocity, step_s = track.look, track.velocity, self._time_s - track.seen_s
        # Only what is seen undisturbed is learned: half hidden, the box of what is left moves, and looks, otherwise.
        alone = all(t.track_id == track.track_id or iou(t.last.box, face.box) < 0.05 for t in self._tracks)
        if alone and (likeness(look, track.look) >= self._config.known_look or track.seen - track.first < 5):
            look_now = _unit(track.look + np.float32(0.1) * (look - track.look)) if track.look.any() else look
            if step_s > 0:
                (x, y), (old_x, old_y) = _centre(face.box), _centre(track.last.box)
                share = min(1.0, step_s / 0.2)  # an average over about a fifth of a second: single boxes jitter
                velocity = (
                    velocity[0] + share * ((x - old_x) / step_s - velocity[0]),
                    velocity[1] + share * ((y - old_y) / step_s - velocity[1]),
                )
        seen = dataclasses.replace(
            track, last=face, look=look_now, seen=self._index, seen_s=self._time_s, velocity=velocity
        )
        self._tracks[next(i for i, t in enumerate(self._tracks) if t.track_id == track.track_id)] = seen

    def _drop_doubles(self, picture: Picture) -> bool:
        """Two tracks on one face: it is the one that it looks like more; the other is lost. True where there were."""
        lost: set[int] = set()
        current = [t for t in self._tracks if t.seen == self._index]
        for i, one in enumerate(current):
            for other in current[i + 1 :]:
                if iou(one.last.box, other.last.box) > 0.5 and not {one.track_id, other.track_id} & lost:
                    look = look_of(picture, one.last.box)
                    # The older one where both are as like.
                    worse = other if likeness(look, one.look) >= likeness(look, other.look) - 0.02 else one
                    lost.add(worse.track_id)
        self._tracks = [dataclasses.replace(t, seen=self._index - 1) if t.track_id in lost else t for t in self._tracks]
        return bool(lost)

    def _detect(self, picture: Picture, active: list[_Track], before: int, *, doubts: bool) -> bool:
        """Detect, and give every face the id of the track it continues, or a new one.

        Args:
            before: index of the frame before.

        Returns:
            whether the faces are others than the ``active`` ones of the frame before.
        """
        with self._detecting:
            faces = self._detector.detect(picture.detector_rgb())
        looks = [look_of(picture, face.box) for face in faces]
        pairs = sorted(
            (-score, i, k)
            for i, track in enumerate(self._tracks)
            for k, face in enumerate(faces)
            if (score := self._match(track, face, looks[k])) is not None
        )
        chosen: dict[int, _Track] = {}
        used: set[int] = set()
        for _, i, k in pairs:
            if i not in used and k not in chosen:
                used.add(i)
                chosen[k] = self._tracks[i]
        if self._settle is not None:
            began_at = {k: track for k, track in chosen.items() if doubts and track.seen >= before}
            faces = self._steadied(picture, faces, began_at)
        for k, track in chosen.items():
            self._see(track, faces[k], looks[k])
        doubted, self._doubts = self._doubts, []
        for k, face in enumerate(faces):
            if k in chosen or face.score < self._config.min_score:
                continue
            if any(iou(face.box, t.last.box) > 0.5 for t in self._tracks if t.seen == self._index):
                continue
            since_s = min((s for box, s in doubted if iou(box, face.box) > 0.3), default=self._time_s)
            crowded = any(_touch(face.box, other.box) for i, other in enumerate(faces) if i != k)
            doubted_s = self._config.hidden_s if crowded else self._config.moment_s
            if doubts and self._time_s - since_s < doubted_s and self._may_be_lost(face, looks[k], crowded):
                self._doubts.append((face.box, since_s))
                continue
            self._tracks.append(_Track(self._next_id, face, looks[k], self._index, self._index, self._time_s))
            self._next_id += 1
        now = {t.track_id for t in self._tracks if t.seen == self._index}
        return bool(self._doubts) or now != {t.track_id for t in active}

    def _steadied(self, picture: Picture, faces: list[Detection], followed: dict[int, _Track]) -> list[Detection]:
        """Detected faces with the points that following gives, so that these do not jump with every detection.

        Args:
            followed: by index of ``faces``, the tracks they continue that were there in the frame before.
        """
        steady = list(faces)
        late = {k: t for k, t in followed.items() if t.seen < self._index}
        with self._detecting:
            found = dict(zip(late, self._follow_known(picture, list(late.values())), strict=True))
            found.update({k: t.last for k, t in followed.items() if k not in late})
            unsettled = []
            for k, face in enumerate(faces):
                known = found.get(k)
                stayed = known is not None and (k not in late or _stayed(late[k].last, known))
                if known is not None and stayed and same_face(known, face):
                    steady[k] = known
                else:
                    unsettled.append(k)
            if unsettled and self._settle is not None:
                for k, face in zip(unsettled, self._settle(picture, [faces[k] for k in unsettled]), strict=True):
                    steady[k] = face
        return steady

    def _follow_known(self, picture: Picture, tracks: list[_Track]) -> list[Detection | None]:
        """Where the faces of some tracks are in this picture; the detector is locked by the caller."""
        faces = [t.last for t in tracks]
        if self._follow_picture is not None:
            found = self._follow_picture(picture, faces)
        else:
            found = self._detector.follow(picture.detector_rgb(), faces)
        return [None if now is None else _at_rest(face, now) for face, now in zip(faces, found, strict=True)]

    def _match(self, track: _Track, face: Detection, look: Float32) -> float | None:
        """How likely a detection continues a track, higher is likelier; None: it does not."""
        config, like, expected = self._config, likeness(look, track.look), track.expected(self._time_s)
        overlap, gone_s, away = iou(expected, face.box), self._time_s - track.seen_s, _away(expected, face.box)
        if away is None:
            return None
        if overlap >= config.match_iou and gone_s <= config.moment_s:
            needed = config.stayed_look
        elif overlap >= config.match_iou or away < min(1.0, 0.5 + gone_s):
            needed = config.returned_look
        elif away < 1 + 2 * gone_s:
            needed = config.known_look
        else:
            return None
        return None if like < needed else overlap + 2 * like - 0.2 * away - 0.05 * gone_s

    def _may_be_lost(self, face: Detection, look: Float32, crowded: bool) -> bool:
        """Whether a face that nobody was found to be may be a lost one that is still half hidden."""
        for track in self._tracks:
            away = _away(track.expected(self._time_s), face.box)
            near = away is not None and away < 1 + 2 * (self._time_s - track.seen_s)
            alike = crowded or likeness(look, track.look) >= self._config.doubtful_look
            if track.seen < self._index and near and alike:
                return True
        return False

    def state_at(self, index: int) -> dict[str, Any] | None:
        """What was known after the frame of this index, for :mod:`affectkit.state`; None if that is long ago."""
        with self._keeping:
            state = next((state for at, state in self._states if at == index), None)
        return None if state is None else state()

    def _state(self) -> Callable[[], dict[str, Any]]:
        """The state as it is now, spelled out when it is asked for: every frame has one, and few are."""
        # Tracks never change, and the lists that shots hold are nobody else's.
        tracks, shots, doubts = tuple(self._tracks), tuple(self._shots), tuple(self._doubts)
        looking = self._looking
        plain = {
            "next_id": self._next_id,
            "thumbnail": self._thumbnail,
            "size": self._size,
            "index": self._index,
            "time_s": self._time_s,
            "name": self._name,
            "detected_at": self._detected_at,
            "detected_s": self._detected_s,
            "whole_s": self._whole_s,
            "searched": self._searched.state(),
            "uneventful": self._uneventful,
        }

        def spelled_out() -> dict[str, Any]:
            return {
                **plain,
                "tracks": [_stored(track) for track in tracks],
                "shots": [[thumbnail, [_stored(t) for t in there]] for thumbnail, there in shots],
                "doubts": [[list(box), since_s] for box, since_s in doubts],
                "looking": None if looking is None else [looking.index, looking.saw_somebody()],
            }

        return spelled_out

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_at`."""
        self.reset()
        self._tracks = [_restored(stored) for stored in state["tracks"]]
        self._shots.extend((thumbnail, [_restored(t) for t in tracks]) for thumbnail, tracks in state["shots"])
        self._doubts = [(tuple(box), since_s) for box, since_s in state["doubts"]]
        self._next_id, self._thumbnail = state["next_id"], state["thumbnail"]
        self._index, self._detected_at = state["index"], state["detected_at"]
        self._detected_s, self._uneventful = state["detected_s"], state["uneventful"]
        self._whole_s = state["whole_s"]
        self._searched.restore(state["searched"])
        if state["looking"] is not None:
            begun, seen = state["looking"]
            self._looking = _Look(begun, lambda: bool(seen))
        self._time_s, self._name = state["time_s"], state["name"]
        self._size = None if state["size"] is None else tuple(state["size"])


def _stored(track: _Track) -> list[Any]:
    velocity = list(track.velocity)
    return [track.track_id, of_detection(track.last), track.look, track.first, track.seen, track.seen_s, velocity]


def _restored(stored: list[Any]) -> _Track:
    track_id, last, look, first, seen, seen_s, velocity = stored
    return _Track(track_id, to_detection(last), look, first, seen, seen_s, tuple(velocity))


def _change(small: Array, before: Array) -> float:
    """Mean difference of two thumbnails, as a fraction of the range."""
    return float(np.abs(small - before).mean()) / 255


def look_of(picture: Picture, box: Box) -> Float32:
    """A small picture of a face and what surrounds it, (3 * LOOK_PX**2,), of mean 0 and length 1.

    All 0 where there is nothing to see: the picture is flat there, or the box lies outside.
    """
    x, y = _centre(box)
    half = max(box[2], box[3]) * LOOK_MARGIN / 2
    height, width = picture.shape
    left, right = (int(min(max(0.0, side), width)) for side in (x - half, x + half + 1))
    top, bottom = (int(min(max(0.0, side), height)) for side in (y - half, y + half + 1))
    if right - left < 2 or bottom - top < 2:
        return np.zeros(3 * LOOK_PX**2, np.float32)
    centred = picture.small((left, top, right, bottom), LOOK_PX).astype(np.float32).ravel()
    centred -= np.add.reduce(centred) / np.float32(len(centred))  # as the methods do, for half of their price
    if float(np.add.reduce(np.abs(centred))) < 2 * len(centred):  # grey levels
        return np.zeros(3 * LOOK_PX**2, np.float32)
    return _unit(centred)


def likeness(a: Float32, b: Float32) -> float:
    """Correlation of two looks, -1 .. 1; 1 where one of them is unknown, since nothing speaks against it."""
    product = float(a @ b)
    return product if product or (a.any() and b.any()) else 1.0


def _unit(values: Float32) -> Float32:
    length = math.sqrt(float(values @ values))
    return values / np.float32(length) if length > 0 else values


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def same_face(a: Detection, b: Detection) -> bool:
    """Whether two detections are of one face: their points are closer than those of two faces could be."""
    away = float(np.hypot(*(a.landmarks - b.landmarks).T).mean())
    return away <= SAME_POINTS * min(max(a.box[2:]), max(b.box[2:]))


def _centre(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _distance(a: Box, b: Box) -> float:
    return math.dist(_centre(a), _centre(b))


def _touch(a: Box, b: Box) -> bool:
    """Whether two heads, which are larger than their faces, are side by side or over each other."""
    return _distance(a, b) < 0.6 * (max(a[2:]) + max(b[2:]))


def _away(expected: Box, box: Box) -> float | None:
    """Distance of two boxes in sides of the first; None where one is more than twice as large as the other."""
    size, other = (max(1.0, math.sqrt(b[2] * b[3])) for b in (expected, box))
    return _distance(expected, box) / size if 0.5 < other / size < 2 else None


def track(frames: Iterable[Frame], tracker: Tracker, *, alone: bool = False) -> Iterator[TrackedFrame]:
    """Find and follow the faces of every frame; lazy, one in, one out.

    Args:
        alone: the pictures have nothing to do with each other: no face is in two of them.
    """
    for frame in frames:
        if alone:
            tracker.forget()
        yield tracker.update(frame)


STAYED = 0.1
"""Share of a face's side up to which one look from where it was finds its points where more looks would."""


def _stayed(before: Detection, now: Detection) -> bool:
    """Whether a face hardly moved; else one look from where it was has not yet come to rest where it is."""
    (x, y, width, height), (u, v, *sides) = before.box, now.box
    moved = math.hypot(u + sides[0] / 2 - x - width / 2, v + sides[1] / 2 - y - height / 2)
    return moved <= STAYED * max(width, height) and abs(sides[1] - height) <= STAYED * max(width, height)


def _at_rest(before: Detection, now: Detection) -> Detection:
    """A face that is followed: as it was, if its points moved by less than following can tell.

    From there to twice as far the more of the way, so that of two copies of a film in which it moved as good as equally
    far, one does not leave it and the other take it along.
    """
    away = float(np.abs(now.landmarks - before.landmarks).max())
    share = 2 - 2 * RESTING * max(before.box[2:]) / away if away > 0 else 0.0
    if share <= 0:
        return before
    if share >= 1:
        return now
    box = [b + share * (n - b) for b, n in zip(before.box, now.box, strict=True)]
    points = before.landmarks + np.float32(share) * (now.landmarks - before.landmarks)
    return Detection((box[0], box[1], box[2], box[3]), now.score, points)


def whole_pictures(frames: Iterable[Frame], *, alone: bool = False) -> Iterator[TrackedFrame]:
    """Like :func:`track` for pictures that are aligned faces already: one face each, the whole picture.

    All are the same person, 0, unless they are ``alone``; then each has the number of its picture.
    """
    for frame in frames:
        height, width = frame.picture.shape
        nowhere = np.full((5, 2), np.nan, np.float32)
        face = Detection((0.0, 0.0, float(width), float(height)), 1.0, nowhere)
        yield TrackedFrame(frame, (TrackedFace(frame.index if alone else 0, face),))

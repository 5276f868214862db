"""Frames -> frames with faces that keep their identity.

A detector is asked every k-th frame and after a cut; in between it only follows the faces it knows, which costs a
fraction. While nothing happens it is asked less and less often. Where a face is lost or none is there, it is asked in
every frame, or, if it can leave out small faces, watches the places in question (:mod:`affectkit.faces.watch`).

Who is who: a face is first the one that was there before and moved like that (overlap and motion); where that leaves a
choice, as when faces cross, it is the one that looks like it: a small picture of each face is kept and compared. A face
that is gone is remembered for ``max_lost_s``. After a cut every face is a new one, unless the shot is one that was
shown before: then those who were in it are expected where they were.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from concurrent.futures import Executor
from contextlib import AbstractContextManager

import numpy as np

from affectkit.faces.appearance import appearance_of, similarity, unit
from affectkit.faces.base import Detector, DetectsInRegions, DetectsLargeFaces, FollowsInPictures, SettlesPoints
from affectkit.faces.boxes import Box, at_rest, centre, iou, same_face, stayed, touch
from affectkit.faces.faint import all_faces
from affectkit.faces.matching import match, may_be_lost
from affectkit.faces.questions import Asks, by_waiting
from affectkit.faces.remembered import Remembered
from affectkit.faces.schedule import Schedule
from affectkit.faces.shots import Shots
from affectkit.faces.tracks import Track, TrackingConfig
from affectkit.faces.watch import Watch, smallest_px
from affectkit.serialization import State
from affectkit.types import Detection, Float32, Frame, Picture, TrackedFace, TrackedFrame

LEFT_OUT = 2
"""Frames from one to the next up to which faces may be followed without another detection."""

PICTURES_A_SECOND = 25
"""Pictures have no times; how long a face is gone among them is counted as if they came at this rate."""


class Tracker:
    """Remembers who was where; one for each video."""

    def __init__(
        self,
        detector: Detector,
        config: TrackingConfig | None = None,
        *,
        states_kept: int = 4,
        lock: AbstractContextManager[object] | None = None,
        pool: Executor | None = None,
    ) -> None:
        """Begin without tracks.

        Args:
            states_kept: frames that the tracker may be ahead of whoever asks for its state.
            lock: held while the detector is asked, where several trackers share it in several threads.
            pool: looks for new faces while known ones are followed. The results are the same without it.
        """
        self._detector, self.pool = detector, pool
        self._detecting = lock or threading.Lock()
        self._keeping = threading.Lock()  # states are asked for in another thread
        self._states_kept = states_kept
        self._in_pictures = detector if isinstance(detector, FollowsInPictures) else None
        self._settling = detector if isinstance(detector, SettlesPoints) else None
        self._config = config or TrackingConfig()
        self._schedule = Schedule(self._config, detector if isinstance(detector, DetectsInRegions) else None, pool)
        self._watch = Watch(self._config, detector if isinstance(detector, DetectsLargeFaces) else None)
        self.reset()

    def reset(self) -> None:
        """Forget everything; ids begin at 0 again."""
        self._tracks: list[Track] = []
        self._shots = Shots(self._config)
        self._schedule.reset()
        self._watch.forget()
        self._next_id = 0
        self._index = -1
        self._time_s = -math.inf
        self._name: str | None = None
        self._tentative: list[tuple[Box, float]] = []  # tentative tracks: faces that may be lost ones, and since when
        self._states: deque[Remembered] = deque(maxlen=self._states_kept)

    def forget(self) -> None:
        """The next picture has nothing to do with those before: forget all faces, but not which ids were given."""
        self._tracks, self._tentative = [], []
        self._shots.forget()
        self._schedule.forget()
        self._watch.forget()

    def update(self, frame: Frame, ask: Asks = by_waiting) -> TrackedFrame:
        """Find the faces of the next frame.

        Args:
            ask: says what searches for lost faces and new ones find.
        """
        config = self._config
        before, self._index = self._index, frame.index
        time_s = frame.time_s if math.isfinite(frame.time_s) else frame.index / PICTURES_A_SECOND
        backwards, self._time_s = time_s < self._time_s, time_s
        # The pictures of a folder may show anyone: no face is followed there without detection, or held back.
        another = self._name is not None and frame.name != self._name
        self._name = frame.name
        cut = self._begin_shot(frame.picture, backwards)
        active = [t for t in self._tracks if t.seen == before and not cut]
        since_s = self._time_s - config.max_lost_s
        self._tracks = [t for t in self._tracks if t.seen == before or t.seen_s >= since_s]
        # Where frames are left out, a face has moved too far to be followed for long.
        near = not another and frame.index - before <= LEFT_OUT
        watched = self._watch.works and near and before >= 0 and not cut
        calm = near and not self._tentative
        calm = calm and (watched or len(active) == len(self._tracks))  # none is lost that may come back
        boxes = [t.last.box for t in active]
        due, partly = self._schedule.plan(frame.index, time_s, boxes, calm=calm, watched=watched)
        must = another or (due and not partly) or (not watched and (bool(self._tentative) or not active))
        must = must or self._schedule.new_face_came(frame.index, ask, cut=cut)
        if not must:
            must = self._follow_and_watch(frame.picture, active, before, ask if watched else None)
        if must:
            eventful = self._detect(frame.picture, active, before, tentative=not another)
            self._schedule.detected(frame.picture, time_s, uneventful=due and not eventful)
        elif partly:
            known = [t.last.box for t in self._tracks if t.seen == self._index]
            self._schedule.begin_search(frame.picture, frame.index, time_s, known)
        if must or due:
            self._schedule.asked(frame.index, time_s)
        faces = [t for t in self._tracks if t.seen == frame.index]
        if config.max_faces is not None:
            faces = sorted(faces, key=lambda t: -t.last.box[2] * t.last.box[3])[: config.max_faces]
        faces.sort(key=lambda t: t.track_id)
        with self._keeping:
            self._states.append(self.remembered())
        return TrackedFrame(frame, tuple(TrackedFace(t.track_id, t.last) for t in faces), cut)

    def _begin_shot(self, picture: Picture, backwards: bool) -> bool:
        """Whether another shot begins; then those who were in the one before are put by."""
        shown = self._shots.cut_to(picture, self._tracks, backwards=backwards)
        if shown is None:
            return False
        # Shown again: they are expected where they were, as if no time had passed.
        self._tracks = [dataclasses.replace(t, seen_s=self._time_s, velocity=(0.0, 0.0)) for t in shown]
        return True

    def _follow_and_watch(self, picture: Picture, active: list[Track], before: int, ask: Asks | None) -> bool:
        """Follow the active tracks, and look for others where some are missing; True: the whole picture has to be."""
        lost = self._follow(picture, active)
        if ask is None:
            return lost
        followed = [t.last for t in self._tracks if t.seen == self._index]
        missing = [t for t in self._tracks if t.seen < self._index]
        if followed and not missing and not self._tentative:
            return False
        known = [face.box for face in followed]
        doubtful = [box for box, _ in self._tentative]
        look = self._watch.look(picture, self._index, self._time_s, known, [*missing, *doubtful])
        found: list[Detection] = [] if look is None or not look.places else ask(look.found, [])
        if found:
            self._detect(picture, active, before, tentative=True, faces=[*followed, *found])
        elif look is not None:
            self._tentative = []
        return False

    def _follow(self, picture: Picture, active: list[Track]) -> bool:
        """Follow the active tracks; True where one was lost."""
        with self._detecting:
            found = self._follow_known(picture, active)
        lost = False
        for track, face in zip(active, found, strict=True):
            # O-Net may answer with a neighbour's face; a face does not jump by half its size from frame to frame.
            if face is None or iou(face.box, track.last.box) < self._config.match_iou:
                lost = True
                continue
            appearance = appearance_of(picture, face.box)
            if similarity(appearance, track.appearance) < self._config.same_similarity:
                lost = True  # whoever came in front of it
                continue
            self._see(track, face, appearance)
        return self._drop_doubles(picture) or lost

    def _see(self, track: Track, face: Detection, appearance: Float32) -> None:
        """Note that a track is ``face`` in this frame."""
        average, velocity, step_s = track.appearance, track.velocity, self._time_s - track.seen_s
        # Only what is seen undisturbed is learned: half hidden, the box of what is left moves, and looks, otherwise.
        alone = all(t.track_id == track.track_id or iou(t.last.box, face.box) < 0.05 for t in self._tracks)
        known = similarity(appearance, average) >= self._config.known_similarity
        if alone and (known or track.seen - track.first < 5):
            average = unit(average + np.float32(0.1) * (appearance - average)) if average.any() else appearance
            if step_s > 0:
                (x, y), (old_x, old_y) = centre(face.box), centre(track.last.box)
                share = min(1.0, step_s / 0.2)  # an average over about a fifth of a second: single boxes jitter
                velocity = (
                    velocity[0] + share * ((x - old_x) / step_s - velocity[0]),
                    velocity[1] + share * ((y - old_y) / step_s - velocity[1]),
                )
        seen = dataclasses.replace(
            track, last=face, appearance=average, seen=self._index, seen_s=self._time_s, velocity=velocity
        )
        self._tracks[next(i for i, t in enumerate(self._tracks) if t.track_id == track.track_id)] = seen

    def _drop_doubles(self, picture: Picture) -> bool:
        """Two tracks on one face: it is the one that it looks like more; the other is lost. True where there were."""
        lost: set[int] = set()
        current = [t for t in self._tracks if t.seen == self._index]
        for i, one in enumerate(current):
            for other in current[i + 1 :]:
                if iou(one.last.box, other.last.box) > 0.5 and not {one.track_id, other.track_id} & lost:
                    seen = appearance_of(picture, one.last.box)
                    like, like_other = similarity(seen, one.appearance), similarity(seen, other.appearance)
                    worse = other if like >= like_other - 0.02 else one  # the older one where both are as like
                    lost.add(worse.track_id)
        self._tracks = [dataclasses.replace(t, seen=self._index - 1) if t.track_id in lost else t for t in self._tracks]
        return bool(lost)

    def _detect(
        self,
        picture: Picture,
        active: list[Track],
        before: int,
        *,
        tentative: bool,
        faces: list[Detection] | None = None,
    ) -> bool:
        """Detect, and give every face the id of the track it continues, or a new one.

        Args:
            before: index of the frame before.
            tentative: a face may be held back for a moment, as it may be one that was lost.
            faces: what there is, if it is known already.

        Returns:
            whether the faces are others than the ``active`` ones of the frame before.
        """
        if faces is None:
            faces = self._all_faces(picture)
        appearances = [appearance_of(picture, face.box) for face in faces]
        pairs = sorted(
            (-score, i, k)
            for i, track in enumerate(self._tracks)
            for k, face in enumerate(faces)
            if (score := match(self._config, track, face, appearances[k], self._time_s)) is not None
        )
        chosen: dict[int, Track] = {}
        used: set[int] = set()
        for _, i, k in pairs:
            if i not in used and k not in chosen:
                used.add(i)
                chosen[k] = self._tracks[i]
        if self._settling is not None:
            began_at = {k: track for k, track in chosen.items() if tentative and track.seen >= before}
            faces = self._steadied(picture, faces, began_at)
        for k, track in chosen.items():
            self._see(track, faces[k], appearances[k])
        known_before, self._tentative = self._tentative, []
        for k, face in enumerate(faces):
            if k in chosen or face.score < self._config.min_score:
                continue
            if any(iou(face.box, t.last.box) > 0.5 for t in self._tracks if t.seen == self._index):
                continue
            since_s = min((s for box, s in known_before if iou(box, face.box) > 0.3), default=self._time_s)
            crowded = any(touch(face.box, other.box) for i, other in enumerate(faces) if i != k)
            tentative_s = self._config.hidden_s if crowded else self._config.moment_s
            if tentative and self._time_s - since_s < tentative_s:
                lost = [t for t in self._tracks if t.seen < self._index]
                if may_be_lost(self._config, lost, face, appearances[k], self._time_s, crowded=crowded):
                    self._tentative.append((face.box, since_s))
                    continue
            self._tracks.append(Track(self._next_id, face, appearances[k], self._index, self._index, self._time_s))
            self._next_id += 1
        now = {t.track_id for t in self._tracks if t.seen == self._index}
        return bool(self._tentative) or now != {t.track_id for t in active}

    def _all_faces(self, picture: Picture) -> list[Detection]:
        """Of the whole picture."""
        # Who asks for a detection every so many frames gets just that.
        twice, whole = self._config.settled_s > 0, (0, 0, picture.shape[1], picture.shape[0])
        with self._detecting:
            return all_faces(self._detector, picture.detector_rgb(), twice=twice, smallest_px=smallest_px(whole))

    def _steadied(self, picture: Picture, faces: list[Detection], followed: dict[int, Track]) -> list[Detection]:
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
                still = known is not None and (k not in late or stayed(late[k].last, known))
                if known is not None and still and same_face(known, face):
                    steady[k] = known
                else:
                    unsettled.append(k)
            if unsettled and self._settling is not None:
                settled = self._settling.settle(picture, [faces[k] for k in unsettled])
                for k, face in zip(unsettled, settled, strict=True):
                    steady[k] = face
        return steady

    def _follow_known(self, picture: Picture, tracks: list[Track]) -> list[Detection | None]:
        """Where the faces of some tracks are in this picture; the detector is locked by the caller."""
        faces = [t.last for t in tracks]
        if self._in_pictures is not None:
            found = self._in_pictures.follow_picture(picture, faces)
        else:
            found = self._detector.follow(picture.detector_rgb(), faces)
        return [None if now is None else at_rest(face, now) for face, now in zip(faces, found, strict=True)]

    def state_at(self, index: int) -> State | None:
        """What was known after the frame of this index, for :mod:`affectkit.runs.state`; None if that is long ago."""
        with self._keeping:
            known = next((known for known in self._states if known.index == index), None)
        return None if known is None else known.spelled_out()

    def restore(self, state: State) -> None:
        """Go on from :meth:`state_at`."""
        self.reset()
        self.go_back(Remembered.read_back(state))

    def remembered(self) -> Remembered:
        """What is known now."""
        # Tracks never change, and the lists that shots hold are not shared.
        plain = self._next_id, self._index, self._time_s, self._name, tuple(self._tracks), tuple(self._tentative)
        return Remembered(*plain, self._shots.state(), self._schedule.state(), self._watch.state())

    def go_back(self, known: Remembered) -> None:
        """To what was known then; the frames after that one are forgotten."""
        self._next_id, self._index, self._time_s, self._name = known.next_id, known.index, known.time_s, known.name
        self._tracks, self._tentative = list(known.tracks), list(known.tentative)
        self._shots.restore(known.shots)
        self._schedule.restore(known.schedule)
        self._watch.restore(known.watch)
        with self._keeping:
            while self._states and self._states[-1].index > known.index:
                self._states.pop()

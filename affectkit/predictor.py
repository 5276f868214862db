"""Predictor: the stages wired together. It computes nothing itself."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack, get_args, overload

import numpy as np

from affectkit import models
from affectkit.ahead import ahead
from affectkit.align import align, crop_face, fit_aligned, take_whole
from affectkit.baseline import check_rule, parse_rule
from affectkit.baseline_file import finder_of
from affectkit.batch import batched
from affectkit.corrected import corrected_table
from affectkit.engines import Engine, Profile, may_use_cuda, open_engine, usable_cores
from affectkit.engines.cpu import multiplies_bytes_fast
from affectkit.errors import ModelError, SourceError
from affectkit.faces.base import Detector
from affectkit.faces.confident import confident
from affectkit.faces.mtcnn import Mtcnn
from affectkit.faces.own import OwnDetector
from affectkit.faces.tracking import Tracker, TrackingConfig, track, whole_pictures
from affectkit.gate import printable
from affectkit.given import PictureLike, as_rgb, boxes_given, points_given
from affectkit.live_baseline import LiveBaseline, check_live
from affectkit.options import (
    PredictKeywords,
    PredictorConfig,
    PredictorKeywords,
    StreamKeywords,
    StreamOptions,
    spelled_out,
    stream_keywords,
)
from affectkit.outputs.layouts import layout
from affectkit.outputs.table import Table, table_of
from affectkit.picture import RgbPicture
from affectkit.reading import FACTS, Reader, aligned_face
from affectkit.readout import check_outputs
from affectkit.results import Finisher, ResultStream, Session, Waiting, in_file
from affectkit.smooth import Smoother
from affectkit.spec import FURTHER, ModelSpec, Precision
from affectkit.tables.origin import Progress, counted, with_origin
from affectkit.temporal import TemporalBuffer, WindowConfig, run_sequence
from affectkit.thresholds import with_thresholds
from affectkit.types import (
    REGIONS,
    Affect,
    Array,
    CroppedFrame,
    Detection,
    Face,
    Frame,
    FrameResult,
    TrackedFrame,
    UInt8,
)
from affectkit.versions import deciding_versions
from affectkit.video import ArraySource, LiveSource, Source, SourceInfo, VideoFile, open_source
from affectkit.visible import inside

BYTES_AHEAD = 12 << 20
"""Of decoded frames that may wait for the tracker, which is slower at some frames than at others."""

FACE_WEIGHTS = Path(__file__).parent / "faces" / "weights"

BaselineLike = str | os.PathLike[str] | tuple[float, float]
SourceLike = str | os.PathLike[str] | Array | Iterable[Array] | Source


class Predictor:
    """Turns videos and pictures into action units, expression, valence and arousal.

    Example:
        >>> predictor = Predictor()
        >>> for result in predictor.stream("video.mp4"):
        ...     for face in result.faces:
        ...         print(result.time_s, face.track_id, face.affect.expression)

    One predictor may be used for any number of sources, one after the other or interleaved: each stream has a tracker
    of its own. It is not meant to be shared between threads.
    """

    @spelled_out(PredictorConfig)
    def __init__(
        self,
        model: str | os.PathLike[str] = models.DEFAULT_MODEL,
        *,
        engine: Engine | None = None,
        **options: Unpack[PredictorKeywords],
    ) -> None:
        """Load and verify the model.

        Args:
            model: name of an embedded model (``affectkit models list``) or path of a model folder.
            temporal: whether sequences of frames are looked at, or every frame by itself; None: as the model does.
                True takes the model's ``-temporal`` sibling where it has no temporal part itself.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt``, ``tensorrt:N`` or ``ort-tensorrt`` for the
                affect network; all but ``auto`` are binding. MTCNN runs on the CPU, insightface's detector on CUDA if
                the network does.
            detector: ``mtcnn``; ``insightface``, ``insightface:PACK`` or ``insightface:FOLDER`` (extra ``insightface``;
                its weights are for non-commercial research only); or an object with the method ``detect``, and any of
                the others, of :class:`affectkit.faces.base.Detector`. Such an object is not closed with the predictor.
            detect_every: frames from one face detection to the next; in between faces are followed. None: 6, and while
                nothing happens up to half a second; 1 where the detector cannot follow.
            min_face_px: smallest face, by the longer side of its box, px.
            batch_size: most faces that the network is given at once.
            max_wait_s: longest time a frame of a source that has its own pace (a stream, an iterator) waits for its
                batch to fill; a file's batches are always filled, so that every run of it does the same.
            threads: how many things are done at a time: faces computed, levels searched; None: as many as there are
                cores. With more than one, decoding, finding faces and the network work side by side as well. The
                results do not depend on it.
            precision: ``auto``, ``fp32``, ``fp16`` or ``int8``: what the network computes in. ``auto`` takes the int8
                copy of an embedded model (``lite-int8`` of ``lite``) on CPUs that are made for it, where it is twice as
                fast and 99 % of its decisions are the same; else the model as it is named. ``describe()`` tells.
            prior: ``natural``: expressions are as common as in the training data; ``balanced``: all alike, for faces of
                another kind. The model has to state how common they were.
            min_quality: faces of less (0..1, :func:`affectkit.visible.quality`) are found, but not judged. The model
                has to tell what can be seen.
            au_thresholds: from which probability on an action unit counts as active, ``{"AU04": 0.4}``, in place of the
                model's own thresholds; of the units that are not named these stay.
            engine: run this instead of the model's own network, as :class:`affectkit.FakeEngine` in tests of your code;
                ``device`` is ignored then. It takes ``faces`` and answers as the model's spec says.

        Raises:
            ModelError: the model is missing or damaged.
            MissingDependency: ONNX Runtime is not installed.
            DeviceUnavailable: the device is not there.
            ValueError: an argument is out of range.
            TypeError: it is of another type; ``detector`` is neither a name nor a detector.
        """
        self._set_up(PredictorConfig(model=model, **options), engine)

    @classmethod
    def from_config(cls, config: PredictorConfig, *, engine: Engine | None = None) -> Self:
        """The same with the arguments as one value, which can be kept, compared and sent to another process."""
        return cls(config.model, engine=engine, **config.keywords())

    def _set_up(self, config: PredictorConfig, engine: Engine | None) -> None:
        device, detector, detect_every, threads = config.device, config.detector, config.detect_every, config.threads
        own = None if isinstance(detector, str) else OwnDetector(detector)
        if own is not None and not own.follows and detect_every is None:
            detect_every = 1
        self._threads = threads or usable_cores()
        self._tracking = TrackingConfig()
        if detect_every is not None:
            self._tracking = TrackingConfig(detect_every=detect_every, settled_s=0)
        model = _chosen(config.model, config.temporal)
        if engine is None:
            model = in_precision(model, config.precision, device)
        self._model = with_thresholds(models.load(model), config.au_thresholds)
        self._reader = Reader(self.logits, self._model.spec, prior=config.prior, min_quality=config.min_quality)
        self._prior, self._min_quality = config.prior, config.min_quality
        self._batch_size = config.batch_size
        self._face_engines: list[Engine] = []
        with ExitStack() as opened:  # should a later part fail, what was opened before is let go
            self._engine = engine or self._open(self._model.frame_onnx, device, threads)
            opened.callback(self._engine.close)
            recurrent = self._model.temporal_onnx if config.temporal is not False else None
            self._temporal = None if recurrent is None else self._open(recurrent, device, threads)
            if self._temporal is not None:
                opened.callback(self._temporal.close)
            self._detector: Detector
            if isinstance(detector, str):
                self._detector_name, self._given = detector, None
                self._detector = self._open_detector(detector, config.min_face_px)
            else:
                assert own is not None
                self._detector_name, self._detector, self._given = type(detector).__name__, own, detector
            opened.pop_all()
        self._detecting = threading.Lock()
        self._looking = ThreadPoolExecutor(1, "affectkit look") if self._threads > 1 else None
        self._pushed: Session | None = None
        self._min_face_px = config.min_face_px if isinstance(detector, str) else None
        self._max_wait_s = config.max_wait_s

    def _open_detector(self, name: str, min_face_px: int) -> Detector:
        kind, _, where = name.partition(":")
        if kind == "insightface":
            from affectkit.faces.insight import InsightDetector  # late: loads insightface

            device = self._engine.device if self._engine.device.startswith("cuda") else "cpu"
            return InsightDetector(where or None, device=device, min_face_px=min_face_px)
        paths = [FACE_WEIGHTS / f"{stage}.onnx" for stage in ("pnet", "rnet", "onet")]
        # A thread a network and as many levels at once: such small networks gain nothing from more threads in each.
        self._face_engines = [open_engine(path, device="cpu", threads=1) for path in paths]
        runs = (engine.run for engine in self._face_engines)
        return Mtcnn(*runs, min_face_px=min_face_px, threads=self._threads)

    def _open(self, path: Path, device: str, threads: int | None) -> Engine:
        spec = self._model.spec
        frames = spec.temporal.sequence_length if spec.temporal else 1
        profile = Profile(1, min(32, self._batch_size), max(128, self._batch_size), frames)
        weights = spec.files[path.name]
        return open_engine(
            path, device=device, threads=threads, precision=spec.precision, weights=weights, profile=profile
        )

    @property
    def spec(self) -> ModelSpec:
        """What the model expects and what its outputs mean."""
        return self._model.spec

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._engine.device

    @property
    def detector(self) -> Detector:
        """What finds the faces; a detector that was given is that object itself."""
        return self._detector if self._given is None else self._given

    @property
    def temporal(self) -> bool:
        """Whether sequences of frames are looked at."""
        return self._temporal is not None

    @spelled_out(StreamOptions)
    def stream(
        self,
        source: SourceLike,
        *,
        keep_images: bool = False,
        fps: float | None = None,
        resume: Mapping[str, Any] | None = None,
        on_tracked: Callable[[TrackedFrame], None] | None = None,
        **options: Unpack[StreamKeywords],
    ) -> ResultStream:
        """Yield one result per frame, in order, as soon as its batch has run.

        With a temporal model a frame's result follows when the windows it lies in have been seen: at most two windows
        of frames later, or ``lookahead`` frames later in live mode.

        Args:
            source: what :func:`affectkit.open_source` takes, or what it returned.
            start_s: leave out frames before this time, and those at or after ``end_s``. ``index`` still counts them.
            every: only the frames whose index is a multiple of it.
            max_faces: only the largest ones of a frame; None: all.
            aligned: the pictures are aligned faces already: nothing is detected, each is resized to the model's input.
            keep_images: put each frame's picture into its result.
            fps: frame rate of arrays, folders of pictures and raw streams, which have no times of their own. Without it
                the pictures of a folder each stand for themselves: no face is in two of them.
            window: how a temporal model goes through a face's frames (:mod:`affectkit.temporal`): ``overlap``,
                ``paper``, or ``live``, which gives the numbers that :meth:`live` would.
            lookahead: ``live``: frames after a frame that its answer waits for, 0 to T - 1.
            max_gap_s: longest time that a face may be missing before its sequence is started again.
            smooth_s: average every value over this time (:mod:`affectkit.smooth`); 0: do not.
            min_confidence: leave out faces of which the detector is less sure (0..1).
            resume: a state that :meth:`ResultStream.checkpoint` gave, of the same source, model and options: the frame
                after the last result is the first.
            on_tracked: is shown every frame and its faces, with the picture, before the network has seen them; with a
                temporal model that is some frames before its result.

        Raises:
            SourceError: the source is missing, damaged or empty, or no frame lies in the times asked for. Damage in the
                middle does not raise: what can be read is, and ``source.report`` of a source from
                :func:`affectkit.open_source` tells.
        """
        asked = StreamOptions(**options)
        self._check_window(asked)
        if isinstance(source, LiveSource):
            raise TypeError("a live source does not wait for its reader: use Predictor.live")
        opened = source if isinstance(source, Source) else open_source(source, fps=fps)
        if opened.info.alone and self._temporal is not None and opened.info.frames != 1:
            raise SourceError(
                f"{printable(opened.info.name)}: its pictures have no times, and may have nothing to do with each "
                "other; leave out --temporal (temporal=), or give --fps (fps=) if they are the frames of a video"
            )
        finisher = self._finisher(asked, keep_images, on_tracked)
        tracker = self._tracker(asked.max_faces)
        first = 0
        if resume is not None:
            first = resume["last"] + 1
            finisher.restore(resume["finisher"])
            if resume["tracker"] is not None:
                tracker.restore(resume["tracker"])
        frames = opened.frames(start_s=asked.start_s, end_s=asked.end_s, every=asked.every, first=first)
        batches = self._batches(opened, frames, tracker, asked, keep_pictures=keep_images or on_tracked is not None)
        return ResultStream(batches, finisher, None if asked.aligned else tracker)

    def _check_window(self, asked: StreamOptions) -> None:
        """Refuse windows for what looks at single frames; live they mean something where values are smoothed."""
        window = asked.window
        if self._temporal is None and (window == "paper" or (window == "live" and not asked.smooth_s)):
            raise ValueError(
                f"model {self.spec.name!r} looks at single frames, for which there is no window {window!r}; "
                "take a temporal one (temporal=True)"
            )

    def _batches(
        self, source: Source, frames: Iterator[Frame], tracker: Tracker, asked: StreamOptions, *, keep_pictures: bool
    ) -> Iterator[list[CroppedFrame]]:
        """Frames -> their faces, followed and cut out; the stages work side by side where that helps."""
        # What a caller's own iterator does, it does in the thread that asked for it.
        most, alone = _frames_ahead(source.info), source.info.alone
        overlaps = self._threads > 1 and not isinstance(source, ArraySource) and most > 0
        side_by_side: Callable[[Iterator[Any], int], Iterator[Any]] = ahead if overlaps else lambda items, _: items
        # What may be silent for long is read in a thread in any case: Ctrl-C does not wait for it.
        read_ahead = ahead if source.info.paced and isinstance(source, VideoFile) else side_by_side
        frames = read_ahead(frames, max(1, most))
        faces = whole_pictures(frames, alone=alone) if asked.aligned else track(frames, tracker, alone=alone)
        faces = confident(faces, asked.min_confidence) if asked.min_confidence else faces
        tracked = side_by_side(faces, min(8, most))
        cut = take_whole if asked.aligned else align
        batches = batched(
            cut(tracked, self.spec.input, keep_pictures=keep_pictures),
            max_faces=self._batch_size,
            max_frames=self._batch_size,
            max_wait_s=self._max_wait_s if source.info.paced else math.inf,
        )
        # A batch of pictures is too much to have another one waiting.
        return batches if keep_pictures else side_by_side(batches, 1)

    def live(
        self,
        source: LiveSource | int | str | os.PathLike[str],
        *,
        lookahead: int = 0,
        max_faces: int | None = None,
        max_gap_s: float = 0.5,
        smooth_s: float = 0.0,
        keep_images: bool = False,
        baseline: BaselineLike | None = None,
    ) -> Iterator[FrameResult]:
        """Results of a source that goes on by itself, each as soon as it can be; the newest frame wins.

        While a frame is worked on the source goes on, and what it shows meanwhile is left out: ``source.report`` counts
        it. ``index`` counts all of its frames. Options as for :meth:`stream`, ``baseline`` as for :meth:`session`.
        """
        if not isinstance(source, LiveSource):
            source = LiveSource(source)
        session = self.session(
            lookahead=lookahead,
            max_faces=max_faces,
            max_gap_s=max_gap_s,
            smooth_s=smooth_s,
            keep_images=keep_images,
            baseline=baseline,
        )
        for frame in source.frames():
            yield from session.take(frame)
        yield from session.flush()

    def session(
        self,
        *,
        lookahead: int = 0,
        max_faces: int | None = None,
        max_gap_s: float = 0.5,
        smooth_s: float = 0.0,
        keep_images: bool = False,
        baseline: BaselineLike | None = None,
        name: str = "camera",
    ) -> Session:
        """For apps that own the camera: take its frames one by one. Options as for :meth:`stream`.

        Args:
            baseline: tell action units relative to each face's neutral, of seconds from the first frame, once these are
                over, or of a file (:class:`affectkit.live_baseline.LiveBaseline`); ``affect.au_raw`` holds what they
                were, and is None where they are not corrected.
            name: what ``FrameResult.name`` says.
        """
        asked = StreamOptions(
            window="live", lookahead=lookahead, max_faces=max_faces, max_gap_s=max_gap_s, smooth_s=smooth_s
        )
        finisher = self._finisher(asked, keep_images)
        relative = None
        if baseline is not None:
            rule = parse_rule(baseline)
            check_live(rule)
            found = finder_of(rule, self, StreamOptions(max_faces=max_faces))
            relative = LiveBaseline(found, self.spec.label_thresholds)
        return Session(self._tracker(max_faces), self.spec, finisher, name, relative)

    def push(self, image: UInt8, time_s: float) -> list[FrameResult]:
        """Take the next frame of a camera: :meth:`Session.push` of a session that is opened at the first call.

        For other options than the defaults, several cameras or a new beginning use :meth:`session`.
        """
        if self._pushed is None:
            self._pushed = self.session()
        return self._pushed.push(image, time_s)

    def _tracker(self, max_faces: int | None) -> Tracker:
        min_score = float(getattr(self._detector, "min_score", self._tracking.min_score))
        config = dataclasses.replace(self._tracking, min_score=min_score, max_faces=max_faces)
        safe = hasattr(self._detector, "look")  # such a detector may be asked in several threads at once
        return Tracker(
            self._detector,
            config,
            states_kept=8 * self._batch_size + 64,  # that of the frame whose result is given last is among them
            lock=None if safe else self._detecting,
            pool=self._looking,
        )

    def _finisher(
        self, asked: StreamOptions, keep_images: bool, on_tracked: Callable[[TrackedFrame], None] | None = None
    ) -> Finisher:
        spec, buffer, live, smooth_s = self.spec, None, asked.window == "live", asked.smooth_s
        if self._temporal is not None and spec.temporal is not None:
            config = WindowConfig(spec.temporal.sequence_length, asked.window, asked.lookahead, asked.max_gap_s)
            buffer = TemporalBuffer[Waiting](self._temporal.run, config, spec.tasks)
        elif asked.lookahead:
            raise ValueError(f"model {spec.name!r} looks at single frames, so there is nothing to look ahead for")
        smoother = Smoother(smooth_s, spec.label_thresholds, live=live, labels=spec.labels) if smooth_s else None
        return Finisher(
            self._reader,
            spec,
            buffer,
            smoother,
            lookahead=asked.lookahead if live else None,
            keep_images=keep_images,
            on_tracked=on_tracked,
            aligned=asked.aligned,
        )

    def logits(self, crops: UInt8) -> dict[str, Array]:
        """What the network says of any number of faces.

        Args:
            crops: (N, S, S, C) uint8 as the spec wants them, N over 0.

        Returns:
            by output name, the members' logits and features, (M, N, ...).
        """
        return _joined([self._run(crops[i : i + self._batch_size]) for i in range(0, len(crops), self._batch_size)])

    @spelled_out(StreamOptions)
    def predict(
        self,
        source: SourceLike,
        *,
        baseline: BaselineLike | None = None,
        fps: float | None = None,
        progress: Progress | None = None,
        **options: Unpack[PredictKeywords],
    ) -> Table:
        """Everything at once, as columns; options as for :meth:`stream`.

        Args:
            baseline: tell action units relative to each face's neutral, of ``"auto"``, its calmest seconds
                (:mod:`affectkit.calm`); of seconds of the input, ``(start, end)`` or ``"START-END"``; or of a table,
                picture or video of the neutral face. The raw values are in further columns (``AU12_raw``).
            progress: is told after each frame how many are done, and of how many, None where that is not known.

        Returns:
            one row for each frame and face; a frame without a face has one row. ``.to_pandas()`` gives a data frame,
            ``.summary()`` means and bouts, ``.save()`` a file; ``.meta`` says how it was made.
        """
        table, asked = layout(labels=self.spec.labels), StreamOptions(**stream_keywords(options))
        finder = None
        if baseline is not None:
            rule = parse_rule(baseline)
            check_rule(rule, start_s=asked.start_s, end_s=asked.end_s)
            finder = finder_of(rule, self, asked)
        opened = source if isinstance(source, Source | LiveSource) else open_source(source, fps=fps)
        if isinstance(opened, LiveSource):
            raise TypeError("a live source has no end: use Predictor.live")
        results = counted(self.stream(opened, **options), opened, progress)
        if finder is None:
            found = table_of(results, table)
        else:
            found = corrected_table(results, table, finder, self.spec.label_thresholds)
        return with_origin(found, self.describe(), opened, asked, baseline)

    @overload
    def predict_image(
        self, image: list[Any] | tuple[Any, ...], *, landmarks: None = None, boxes: None = None, bgr: bool = False
    ) -> list[list[Face]]: ...

    @overload
    def predict_image(
        self, image: PictureLike, *, landmarks: Array | None = None, boxes: Array | None = None, bgr: bool = False
    ) -> list[Face]: ...

    def predict_image(
        self, image: PictureLike, *, landmarks: Array | None = None, boxes: Array | None = None, bgr: bool = False
    ) -> list[Face] | list[list[Face]]:
        """The faces of one picture, or of each of a list.

        Args:
            image: a path, a Pillow image, or RGB uint8 (H, W, 3); or a list of them.
            landmarks: (N, 5, 2) px, known points of N faces (eyes, nose tip, mouth corners, left to right in the
                picture): nothing is detected then, and box and score are those of the points' surroundings and 1.
            boxes: (N, 4) x, y, width, height in px, known boxes of N faces: nothing is detected then, the score is 1,
                and the points are what the detector sees in them, or where they mostly lie, if it cannot follow.
            bgr: whether arrays are blue, green, red, as OpenCV reads them.

        Returns:
            faces in falling order of score, or in the order of ``landmarks`` or ``boxes``; ``track_id`` is the
            position. Of a list of pictures a list of such lists.

        Raises:
            SourceError: a file is missing, damaged or no picture.
            TypeError, ValueError: it is none of these, or of another shape or type.
        """
        if isinstance(image, list | tuple):
            if landmarks is not None or boxes is not None:
                raise ValueError("landmarks and boxes are those of one picture; give the pictures one by one")
            return [self._faces_of(one, None, None, bgr) for one in image]
        return self._faces_of(image, landmarks, boxes, bgr)

    def _faces_of(self, image: PictureLike, landmarks: Array | None, boxes: Array | None, bgr: bool) -> list[Face]:
        """The faces of one picture."""
        picture, reduced = as_rgb(image, bgr=bgr)
        found = self._found(picture, landmarks, boxes, reduced)
        if not found:
            return []
        crops = np.stack([crop_face(picture, face.landmarks, self.spec.input) for face in found])
        shares = np.stack([inside(face.landmarks, picture.shape[1], picture.shape[0]) for face in found])
        # Known points say which way up a face is.
        affects = self._reader.read(self._reader.ask(crops, found, inside=shares, turn=landmarks is None))
        return [
            Face(i, face.box, face.score, face.landmarks, affect)
            for i, (face, affect) in enumerate(zip((in_file(f, reduced) for f in found), affects, strict=True))
        ]

    def _found(self, picture: UInt8, landmarks: Array | None, boxes: Array | None, reduced: int = 1) -> list[Detection]:
        """The faces of a picture, in its pixels; known ones are in those of its file."""
        if landmarks is not None and boxes is not None:
            raise ValueError("give landmarks or boxes, not both: points say all that boxes do")
        if landmarks is not None:
            points = (points_given(landmarks) - (reduced - 1) / 2) / reduced
            return [Detection(_box_around(five), 1.0, five) for five in points]
        settle = getattr(self._detector, "settle", None)
        if boxes is not None:
            known = boxes_given(np.asarray(boxes, np.float64) / reduced)
            with self._detecting:
                seen = known if settle is None else settle(RgbPicture(picture), known)
            return [Detection(box.box, 1.0, face.landmarks) for box, face in zip(known, seen, strict=True)]
        with self._detecting:
            found = list(self._detector.detect(picture))
            return found if settle is None else list(settle(RgbPicture(picture), found))

    @overload
    def predict_aligned(self, crops: UInt8) -> list[Affect]: ...

    @overload
    def predict_aligned(self, crops: UInt8, *, return_logits: bool) -> tuple[list[Affect], dict[str, Array]]: ...

    def predict_aligned(
        self, crops: UInt8, *, return_logits: bool = False
    ) -> list[Affect] | tuple[list[Affect], dict[str, Array]]:
        """Faces that are aligned already.

        Args:
            crops: (N, H, W, 3) RGB or (N, H, W, 1) grey uint8; resized to the model's input where they differ.
            return_logits: also return the members' logits: of the tasks that the model has, ``expression`` (M, N, E),
                ``au`` (M, N, A), ``va`` (M, N, 2 * bins), ``intensity`` (M, N, A), ``visibility`` (M, N, 3), labels in
                the order of the spec's lists; ``pose`` (M, N, 3) in degrees; and ``features`` (M, N, K, F) of K tasks.
        """
        affects: list[Affect] = []
        parts: list[dict[str, Array]] = []
        for outputs in self._asked(crops):
            affects += self._reader.read(outputs)
            if return_logits:
                parts.append(outputs)
        if not return_logits:
            return affects
        if not parts:
            raise ValueError("no crops, so there are no logits to return")
        return affects, {name: values for name, values in _joined(parts).items() if name != FACTS}

    def _asked(self, crops: UInt8) -> Iterator[dict[str, Array]]:
        """What the network says of aligned faces, batch by batch, and what is known of them."""
        if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8:
            raise TypeError(
                f"crops must be a numpy array of uint8, got {getattr(crops, 'dtype', type(crops).__name__)}"
            )
        if crops.ndim != 4 or crops.shape[3] not in (1, 3) or 0 in crops.shape[1:]:
            raise ValueError(f"crops must have shape (N, H, W, 3) or (N, H, W, 1), got {crops.shape}")
        fitted = [fit_aligned(crop, self.spec.input, as_it_is=True) for crop in crops]
        face = aligned_face(crops.shape[1], crops.shape[2], self.spec.input)
        for start in range(0, len(fitted), self._batch_size):
            batch = np.stack(fitted[start : start + self._batch_size])
            yield self._reader.ask(batch, [face] * len(batch), aligned=True)

    @overload
    def predict_sequence(self, crops: UInt8) -> list[Affect]: ...

    @overload
    def predict_sequence(self, crops: UInt8, *, return_logits: bool) -> tuple[list[Affect], dict[str, Array]]: ...

    def predict_sequence(
        self, crops: UInt8, *, return_logits: bool = False
    ) -> list[Affect] | tuple[list[Affect], dict[str, Array]]:
        """Consecutive aligned faces of one person, through the model's temporal part.

        The frames are cut into windows of the length that the model was trained with, the last one moved back so that
        it ends on the last frame; a shorter clip is one window.

        Args:
            crops: (N, H, W, 3) RGB or (N, H, W, 1) grey uint8, in the order of time; N >= 1.
            return_logits: also return the members' logits: of the tasks that the model has, ``expression`` (M, N, E),
                ``au`` (M, N, A) and ``va`` (M, N, 2 * bins), labels in the order of the spec's lists.

        Raises:
            ModelError: the model has no temporal part.
        """
        if self._temporal is None or self.spec.temporal is None:
            raise ModelError(
                f"model {self.spec.name!r} has no temporal part: it looks at single frames; use predict_aligned"
            )
        parts = list(self._asked(crops))
        if not parts:
            raise ValueError("no crops, so there is no sequence to look at")
        single = _joined(parts)
        logits = run_sequence(
            self._temporal.run, single["features"], self.spec.temporal.sequence_length, self.spec.tasks
        )
        check_outputs(logits, self.spec, len(crops), recurrent=True)
        affects = self._reader.read(logits | {name: single[name] for name in self._reader.carried})
        return (affects, logits) if return_logits else affects

    def _run(self, crops: UInt8) -> dict[str, Array]:
        outputs = self._engine.run({"faces": crops})
        check_outputs(outputs, self.spec, len(crops))
        return outputs

    def warm_up(self, faces: int | None = None) -> None:
        """Run the network once on black faces, so that the first real ones do not wait for what is prepared then.

        Args:
            faces: number of them; None: a full batch. TensorRT and CUDA prepare again for each number.
        """
        size, channels = self.spec.input.size, self.spec.input.channels
        for _ in range(2):  # the second run of a size is the one that becomes a CUDA graph
            self._run(np.zeros((faces or self._batch_size, size, size, channels), np.uint8))

    def describe(self) -> dict[str, Any]:
        """What produced a result, ready for JSON: model, checksums, labels, thresholds, device, detector, versions."""
        spec = self.spec
        shares = spec.visibility_thresholds
        visibility = {} if shares is None else {"visibility_thresholds": dict(zip(REGIONS, shares, strict=True))}
        return {
            "model": {
                "name": spec.name,
                "version": spec.version,
                "precision": spec.precision,
                "path": str(self._model.path),
                "sha256": spec.files,
            },
            "labels": {
                "expressions": list(spec.labels.expressions),
                "action_units": list(spec.labels.action_units),
                "valence_arousal": spec.labels.valence_arousal,
                **{name: name in spec.further_widths for name in FURTHER},
            },
            "au_thresholds": dict(zip(spec.au_labels, spec.au_thresholds, strict=True)),
            **visibility,
            "prior": self._prior,
            "min_quality": self._min_quality,
            "device": self.device,
            "temporal": self.temporal,
            "detector": {
                "name": self._detector_name,
                "detect_every": self._tracking.detect_every,
                "settled_s": self._tracking.settled_s,
                "min_face_px": self._min_face_px,
            },
            "versions": {"python": platform.python_version(), **deciding_versions()},
        }

    def close(self) -> None:
        """Free the networks, and the detector unless it was given; the predictor cannot be used after."""
        if self._looking is not None:
            self._looking.shutdown(cancel_futures=True)
        for engine in (self._engine, self._temporal, *self._face_engines, self._detector):
            if engine is not None:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _frames_ahead(info: SourceInfo) -> int:
    """Frames that may wait for the next stage; 0: so large that the stages work one after the other."""
    if info.width is None or info.height is None:  # pictures, which may be large
        return 2
    frame_bytes = 1.5 * info.width * info.height
    return 0 if frame_bytes > 2 * BYTES_AHEAD else int(min(32, max(2, BYTES_AHEAD / frame_bytes)))


def _chosen(model: str | os.PathLike[str], temporal: bool | None) -> str | os.PathLike[str]:
    """The model itself, or its relative that looks at what ``temporal`` says."""
    if temporal is None:
        return model
    if temporal:
        sibling = models.temporal_sibling(model)
        if sibling is None:
            raise ModelError(f"{os.fspath(model)}: has no temporal part, and there is no {os.fspath(model)}-temporal")
        return sibling
    single = models.read_spec(models.find(model)).frame_model
    return model if single is None else models.frame_sibling(model)


def in_precision(model: str | os.PathLike[str], precision: str, device: str) -> str | os.PathLike[str]:
    """The copy of a model that computes in ``precision``.

    Raises:
        ModelError: there is none.
        ValueError: there is no such precision.
    """
    if precision != "auto":
        if precision not in get_args(Precision):
            raise ValueError(f"precision must be auto, {', '.join(get_args(Precision))}, got {precision!r}")
        found = models.precision_sibling(model, precision)
        if found is None:
            name, has = os.fspath(model), models.read_spec(models.find(model)).precision
            raise ModelError(
                f"{name}: computes in {has}, and has no {precision} copy; make one of the float32 model with: "
                f"affectkit export {name} --precision {precision} -o FOLDER"
            )
        return found
    if device not in ("auto", "cpu") or os.fspath(model) not in models.embedded_names():
        return model
    copy = models.precision_sibling(model, "int8")
    if copy is None or not multiplies_bytes_fast() or (device == "auto" and may_use_cuda()):
        return model
    return copy


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Outputs (M, N, ...) of several batches as those of one; at least one is given."""
    return parts[0] if len(parts) == 1 else {k: np.concatenate([p[k] for p in parts], axis=1) for k in parts[0]}


def _box_around(points: Array) -> tuple[float, float, float, float]:
    """A box like a detector's around five points: about 2.2 inter-ocular distances wide."""
    low, high = points.min(0), points.max(0)
    margin = 0.6 * float(np.linalg.norm(points[1] - points[0]))
    return (
        float(low[0] - margin),
        float(low[1] - 1.3 * margin),
        float(high[0] - low[0] + 2 * margin),
        float(high[1] - low[1] + 2.1 * margin),
    )

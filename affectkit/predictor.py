"""Predictor: the stages wired together. It computes nothing itself.

Over 350 lines: it is one class, and two thirds of it say what its methods take and give.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self, Unpack, overload

import numpy as np

from affectkit import models
from affectkit.align import crop_face
from affectkit.asynchronous import AsyncResultStream
from affectkit.baseline.corrected import corrected_table
from affectkit.baseline.from_file import finder_of
from affectkit.baseline.live import LiveBaseline, check_live
from affectkit.baseline.neutral import check_rule, parse_rule
from affectkit.engines import Engine, usable_cores
from affectkit.errors import SourceError
from affectkit.face_results import Face, FrameResult
from affectkit.faces.base import DetectsFaces
from affectkit.faces.known import detections_at
from affectkit.faces.search import FaceSearch
from affectkit.faces.user_detector import check_detector
from affectkit.forking import Lock
from affectkit.image_input import PictureLike, as_rgb, boxes_given
from affectkit.networks import Networks
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
from affectkit.pipeline import Pace, crops_of
from affectkit.result_stream import ResultStream, Session, in_file, resumed
from affectkit.sources.base import Source
from affectkit.sources.live import LiveSource
from affectkit.sources.names import printable
from affectkit.sources.opening import open_source
from affectkit.tables.metadata import Progress, counted, with_origin
from affectkit.types import Array, TrackedFrame, UInt8
from affectkit.versions import deciding_versions
from affectkit.visibility import inside

BaselineLike = str | os.PathLike[str] | tuple[float, float]
SourceLike = str | os.PathLike[str] | Array | Iterable[Array] | Source


class Predictor(Networks):
    """Turns videos and pictures into action units, expression, valence and arousal.

    Example:
        >>> predictor = Predictor()
        >>> for result in predictor.stream("video.mp4"):
        ...     for face in result.faces:
        ...         print(result.time_s, face.track_id, face.affect.expression)

    One predictor may be used for any number of sources, one after the other, interleaved, or in several threads at the
    same time: each stream has a tracker of its own, and results do not depend on what else runs. All methods may be
    called in any thread, but :meth:`close`, which ends everything. So may a stream or a session that it gives, which
    works for one thread after the other. A detector that was given is asked by one thread at a time, unless it has
    ``detect_in``; an engine that was given has to bear several.

    A child that forked after the predictor was made can use it: networks on the CPU are opened again there, others
    raise ``EngineError``, and so does a stream that began in the parent. To send one to another process, send its
    :class:`PredictorConfig` and make it there (:meth:`from_config`).
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
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt``, ``tensorrt:N``, ``ort-tensorrt``,
                ``tensorrt-rtx``, ``openvino`` or ``coreml`` for the
                affect network; all but ``auto`` are binding. MTCNN runs on the CPU, insightface's detector on CUDA if
                the network does.
            detector: ``mtcnn``; ``insightface``, ``insightface:PACK`` or ``insightface:FOLDER`` (extra ``insightface``;
                its weights are for non-commercial research only); or an object with the method ``detect``, and any of
                the others, of :class:`affectkit.faces.base.Detector`. Such an object is not closed with the predictor.
            detect_every: frames from one face detection to the next; in between faces are followed. None: 6, and while
                nothing happens up to half a second; lost faces are looked for around where they were, and while none is
                known only those of 1/17 of the picture's size and more in each frame. 1 finds most, and is the default
                where the detector cannot follow.
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
            min_quality: faces of less (0..1, :func:`affectkit.visibility.quality`) are found, but not judged. The model
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
        if not isinstance(config.detector, str):
            check_detector(config.detector)  # before the model is loaded
        super().__init__(config, engine)
        threads = config.threads or usable_cores()
        self._pace = Pace(config.batch_size, config.max_wait_s, threads)
        self._pushed: Session | None = None
        self._pushing = Lock()
        with ExitStack() as opened:  # should there be no detector, the networks are let go
            opened.callback(super().close)
            self._search = FaceSearch(
                config.detector,
                device=self.device,
                detect_every=config.detect_every,
                min_face_px=config.min_face_px,
                threads=threads,
                states_kept=8 * config.batch_size + 64,  # that of the frame whose result is given last is among them
            )
            opened.pop_all()

    @property
    def detector(self) -> DetectsFaces:
        """What finds the faces; a detector that was given is that object itself."""
        return self._search.detector

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
                "other; leave out temporal=True, or give fps= if they are the frames of a video"
            )
        postprocessing = self._postprocessing(asked, keep_images, on_tracked)
        tracker = self._search.tracker(asked.max_faces)
        first = 0 if resume is None else resumed(postprocessing, tracker, resume)
        frames = opened.frames(start_s=asked.start_s, end_s=asked.end_s, every=asked.every, first=first)
        kept = keep_images or on_tracked is not None
        batches = crops_of(opened, frames, tracker, asked, self.spec.input, self._pace, keep_pictures=kept)
        return ResultStream(batches, postprocessing, None if asked.aligned else tracker)

    @spelled_out(StreamOptions)
    def astream(
        self,
        source: SourceLike | LiveSource,
        *,
        keep_images: bool = False,
        fps: float | None = None,
        resume: Mapping[str, Any] | None = None,
        on_tracked: Callable[[TrackedFrame], None] | None = None,
        **options: Unpack[StreamKeywords],
    ) -> AsyncResultStream:
        """:meth:`stream` for ``async for``; of a :class:`LiveSource`, :meth:`live`. Options as there.

        The source is opened and read in a thread, where ``on_tracked`` and a source of your own are called too: the
        event loop goes on meanwhile. Reading waits for the consumer. A task that is cancelled closes the stream.

        Example:
            >>> async with predictor.astream("video.mp4") as results:
            ...     async for result in results:
            ...         await websocket.send_json(result.to_dict())

        Raises:
            ValueError: at once, of an option; what :meth:`stream` raises of the source comes with the first result.
            TypeError: an option that a live source does not have.
        """
        asked = StreamOptions(**options)
        if not isinstance(source, LiveSource):
            self._check_window(asked)
            return AsyncResultStream(
                lambda: self.stream(
                    source, keep_images=keep_images, fps=fps, resume=resume, on_tracked=on_tracked, **options
                )
            )
        known = ("lookahead", "max_faces", "max_gap_s", "smooth_s")
        wrong = [name for name in options if name not in known] + ["fps"] * (fps is not None)
        wrong += ["resume"] * (resume is not None) + ["on_tracked"] * (on_tracked is not None)
        if wrong:
            raise TypeError(f"a live source has no option {wrong[0]}; it takes keep_images, {', '.join(known)}")
        taken: Any = options
        return AsyncResultStream(lambda: self.live(source, keep_images=keep_images, **taken), source.close)

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
                over, or of a file (:class:`affectkit.baseline.live.LiveBaseline`); ``affect.au_raw`` holds what they
                were, and is None where they are not corrected.
            name: what ``FrameResult.name`` says.
        """
        asked = StreamOptions(
            window="live", lookahead=lookahead, max_faces=max_faces, max_gap_s=max_gap_s, smooth_s=smooth_s
        )
        postprocessing = self._postprocessing(asked, keep_images)
        relative = None
        if baseline is not None:
            rule = parse_rule(baseline)
            check_live(rule)
            found = finder_of(rule, self, StreamOptions(max_faces=max_faces))
            relative = LiveBaseline(found, self.spec.label_thresholds)
        return Session(self._search.tracker(max_faces), self.spec, postprocessing, name, relative)

    def push(self, image: UInt8, time_s: float) -> list[FrameResult]:
        """Take the next frame of a camera: :meth:`Session.push` of a session that is opened at the first call.

        For other options than the defaults, several cameras or a new beginning use :meth:`session`.
        """
        with self._pushing:
            if self._pushed is None:
                self._pushed = self.session()
        return self._pushed.push(image, time_s)

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
                (:mod:`affectkit.baseline.calmest`); of seconds of the input, ``(start, end)`` or ``"START-END"``; or
                of a table, picture or video of the neutral face. The raw values are in further columns (``AU12_raw``).
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
        """The faces of one picture; what is known of them is in pixels of its file."""
        picture, reduced = as_rgb(image, bgr=bgr)
        if landmarks is not None and boxes is not None:
            raise ValueError("give landmarks or boxes, not both: points say all that boxes do")
        if landmarks is not None:
            found = detections_at((np.asarray(landmarks, np.float32) - (reduced - 1) / 2) / reduced)
        elif boxes is not None:
            found = self._search.in_boxes(picture, boxes_given(np.asarray(boxes, np.float64) / reduced))
        else:
            found = self._search.in_picture(picture)
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

    def describe(self) -> dict[str, Any]:
        """What produced a result, ready for JSON: model, checksums, labels, thresholds, device, detector, versions."""
        versions = {"python": platform.python_version(), **deciding_versions()}
        return {**super().describe(), "detector": self._search.described(), "versions": versions}

    def close(self) -> None:
        """Free the networks, and the detector unless it was given; the predictor cannot be used after."""
        super().close()
        self._search.close()

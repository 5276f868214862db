"""A user's script that uses every public name; never run, but checked by mypy and pyright (tests/test_typed_user.py).

What must be refused carries a comment that type checkers complain about where there is nothing to be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

import affectkit
from affectkit import (
    AU_NAMES,
    EXPRESSION_NAMES,
    Affect,
    AffectKitError,
    AsyncResultStream,
    Detection,
    Detector,
    DetectsFaces,
    DeviceUnavailable,
    DrawnPlanes,
    Engine,
    EngineError,
    Face,
    FakeEngine,
    Film,
    Frame,
    FrameResult,
    Group,
    InputSpec,
    LabelSet,
    LeftOut,
    LiveSource,
    Measure,
    MissingDependency,
    ModelError,
    ModelSpec,
    OutputError,
    Overlay,
    Picture,
    PredictKeywords,
    Predictor,
    PredictorConfig,
    PredictorKeywords,
    ResultStream,
    Session,
    Source,
    SourceError,
    SourceInfo,
    SourceReport,
    StreamKeywords,
    Summary,
    Table,
    TemporalSpec,
    TrackedFace,
    TrackedFrame,
    __version__,
    crop_face,
    open_source,
    read_table,
)

Pixels = npt.NDArray[np.uint8]


def make(model: str | Path, spec: ModelSpec) -> Predictor:
    """Every argument of a predictor."""
    engine: Engine = FakeEngine.of(spec, {"happiness": 3.0})
    engine = FakeEngine.constant(spec, happiness=0.9)
    with Predictor(model, engine=engine) as tested:
        tested.warm_up(1)
    Predictor(model, detect_evry=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Predictor(model, threads="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Predictor(model, prior="flat")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return Predictor(
        model,
        device="cpu",
        detector="mtcnn",
        detect_every=None,
        min_face_px=20,
        batch_size=32,
        max_wait_s=0.5,
        threads=1,
        temporal=False,
        precision="fp32",
        prior="natural",
        min_quality=0.0,
        au_thresholds={"AU04": 0.4},
    )


def results(predictor: Predictor, path: Path) -> Iterator[tuple[int, float, str]]:
    """Every option of a stream."""
    source = open_source(path, fps=None, decode_on="cpu", input_format=None, max_pixels=10**6, deinterlace=True)
    stream = predictor.stream(
        source,
        start_s=0.0,
        end_s=10.0,
        every=2,
        max_faces=1,
        aligned=False,
        window="overlap",
        lookahead=0,
        max_gap_s=0.5,
        smooth_s=0.2,
        min_confidence=0.5,
        keep_images=True,
        fps=None,
        resume=None,
        on_tracked=lambda tracked: print(tracked.frame.index),
    )
    with stream:
        for result in stream:
            yield from values(result)
    state = stream.checkpoint()
    predictor.stream(path, resume=state)
    predictor.stream(path, windw="live")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    predictor.stream(path, window="bogus")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    predictor.stream(path, smooth_s=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def values(result: FrameResult) -> Iterator[tuple[int, float, str]]:
    """What there is of a frame."""
    face: Face
    for face in result.faces:
        affect: Affect = face.affect
        labels: LabelSet = affect.labels
        probabilities = dict(zip(labels.action_units, affect.au_probabilities.tolist(), strict=True))
        assert isinstance(probabilities, dict)
        yield face.track_id, affect.valence, affect.expression


def tables(predictor: Predictor, path: Path, picture: Pixels) -> Sequence[Table]:
    """Everything at once."""
    faces: list[Face] = predictor.predict_image(picture)
    aligned: list[Affect] = predictor.predict_aligned(np.stack([picture]))
    also, logits = predictor.predict_aligned(np.stack([picture]), return_logits=True)
    sequence: list[Affect] = predictor.predict_sequence(np.stack([picture]))
    several: list[list[Face]] = predictor.predict_image([path, picture])
    known: list[Face] = predictor.predict_image(path, boxes=np.zeros((1, 4)))
    opencv: list[Face] = predictor.predict_image(picture, bgr=True)
    print(len(several), len(known), len(opencv))
    print(len(faces), len(aligned), len(also), sorted(logits), len(sequence))
    predictor.predict("x.mp4", evry=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    predictor.predict("x.mp4", every="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return [
        predictor.predict(path),
        predictor.predict(str(path), every=2, smooth_s=0.5, window="live", max_faces=1, aligned=True),
        predictor.predict(path, baseline="auto", start_s=1.0),
        predictor.predict(path, baseline=(0.0, 2.5), progress=lambda done, of: print(done, of)),
        predictor.predict(picture, fps=25.0),
        predictor.predict([picture, picture], fps=25.0),
    ]


def tables_again(path: Path, result: FrameResult) -> Summary:
    """What can be done with a table, and with a frame."""
    table: Table = read_table(path)
    table = table.filter(min_confidence=0.9, min_track_s=1, min_quality=0.3).merge({3: 4}).drop([2]).name({0: "Anna"})
    table.baseline("auto").save(path, overwrite=True)
    text: str | None = table.to_csv()
    table.to_json(path)
    table.to_parquet(path)
    table.plot("AU12", "valence", faces=0, thresholds=False)
    table.export(path)
    result.plot()
    result.save(path)
    print(text, table.meta, list(table.records()), result.to_dict(), [face.to_dict() for face in result.faces])
    table.summary(bye="input")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    table.filter(min_track=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    found: Summary = table.summary(by=("input", "face_id"), gap_s=0.5)
    found.to_csv(path, wide=True)
    return found


def summed_up(path: Path) -> Iterator[tuple[str, float | None]]:
    """What a table comes to."""
    table: Table = read_table(path)
    summary: Summary = table.summary()
    group: Group
    for group in summary:
        measure: Measure
        for name, measure in group.measures.items():
            yield name, measure.mean


def as_it_happens(predictor: Predictor, picture: Pixels) -> int:
    """Cameras."""
    shown = sum(
        len(result.faces)
        for result in predictor.live(
            0, lookahead=0, max_faces=2, max_gap_s=0.5, smooth_s=0.1, keep_images=False, baseline=(0, 3)
        )
    )
    session = predictor.session(lookahead=0, max_faces=1, smooth_s=0.1, baseline="0-3", name="front")
    found = [*session.push(picture, 0.0), *session.flush(), *predictor.push(picture, 0.04)]
    session.reset()
    with predictor.session() as forgetful:
        forgetful.push(picture, 0.0)
    predictor.session(lookahed=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    predictor.live(0, window="live")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return shown + len(found)


def facts(predictor: Predictor) -> Mapping[str, object]:
    """What a predictor says of itself."""
    spec: ModelSpec = predictor.spec
    said: dict[str, object] = dict(predictor.describe())
    said |= {"device": predictor.device, "temporal": predictor.temporal, "labels": spec.labels}
    said |= {"names": [*AU_NAMES, *EXPRESSION_NAMES], "version": __version__, "all": affectkit.__all__}
    return said


async def for_an_event_loop(predictor: Predictor, path: Path) -> int:
    """What goes on while other tasks do."""
    stream: AsyncResultStream = predictor.astream(path, every=2, keep_images=True)
    seen = 0
    async with stream:
        async for result in stream:
            seen += len(result.faces)
    async for result in predictor.astream(LiveSource(0), smooth_s=0.1):
        seen += result.index
    await predictor.astream([np.zeros((9, 9, 3), np.uint8)], fps=25.0).aclose()
    predictor.astream(path, evry=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return seen


def drawn(predictor: Predictor, path: Path) -> Iterator[Pixels]:
    """Annotated frames, and aligned faces."""
    overlay = Overlay(predictor.spec)
    for result in predictor.stream(path, keep_images=True):
        yield overlay.draw(result)
        planes: DrawnPlanes = overlay.draw_planes(result, next(iter(open_source(path).frames())).picture)
        yield planes.planes[0]
        if result.image is not None:
            yield from (crop_face(result.image, face.landmarks, predictor.spec.input) for face in result.faces)


class Least:
    """A detector that can do no more than it has to."""

    def detect(self, image: Pixels) -> list[Detection]:
        """See :class:`affectkit.DetectsFaces`."""
        return [Detection((0, 0, 9, 9)), Detection.at([[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]], score=0.9)]


class Middle:
    """A detector of one's own: one face, in the middle."""

    def detect(self, image: Pixels) -> list[Detection]:
        """See :class:`affectkit.Detector`."""
        height, width = image.shape[:2]
        return [Detection((0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height), 1.0)]

    def follow(self, image: Pixels, faces: Sequence[Detection]) -> list[Detection | None]:
        """See :class:`affectkit.Detector`."""
        return [*faces]

    def close(self) -> None:
        """See :class:`affectkit.Detector`."""


def sources(path: Path) -> tuple[str, int]:
    """What is opened, and what reading it came to."""
    source: Source = open_source(path)
    info: SourceInfo = source.info
    film: Film | None = info.film
    frame: Frame
    for frame in source.frames(start_s=1.0):
        pixels: Picture = frame.picture
        print(frame.index, frame.time_s, pixels.shape, film)
    report: SourceReport = source.report
    left_out: Sequence[LeftOut] = report.left_out
    return info.name, len(left_out)


def passed_on(path: Path, **options: Unpack[StreamKeywords]) -> ResultStream:
    """Options of one's own functions are checked as those of the package are."""
    detector: Detector = Middle()
    least: DetectsFaces = Least()
    Predictor(detector=least)
    Predictor(detector=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    made: PredictorKeywords = {"detector": detector, "threads": 1}
    with Predictor.from_config(PredictorConfig(model="lite", threads=1)) as first:
        first.warm_up(1)
    predictor = Predictor("lite", **made)
    given: PredictKeywords = {"keep_images": True}
    predictor.predict(path, **given)
    passed_on(path, evry=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return predictor.stream(path, on_tracked=seen, **options)


def seen(tracked: TrackedFrame) -> None:
    """A callback."""
    face: TrackedFace
    for face in tracked.faces:
        print(face.track_id, tracked.frame.index)


def cameras(predictor: Predictor, live: LiveSource) -> Session:
    """Objects that are passed around."""
    crop: InputSpec = predictor.spec.input
    sequences: TemporalSpec | None = predictor.spec.temporal
    print(crop.size, sequences, sum(1 for _ in predictor.live(live)))
    return predictor.session()


def main(path: Path) -> int:
    """Errors, of which one is of the others' kind."""
    try:
        with Predictor() as predictor:
            return len(list(results(predictor, path)))
    except (SourceError, OutputError, ModelError) as error:
        print(error)
    except DeviceUnavailable as error:
        kind: EngineError = error
        print(kind)
    except MissingDependency as error:
        print(error.package, error.extra, error.purpose)
    except AffectKitError as error:
        print(error)
    return 1

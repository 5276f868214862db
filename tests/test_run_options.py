"""Options of a run: values that check themselves, and one table of what commands share."""

from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectkit import FakeEngine, Predictor, models
from affectkit.cli.options import opening_of, output_options, predictor_config, stream_options
from affectkit.cli.predict import predict
from affectkit.cli.table import SHARED
from affectkit.errors import OutputError
from affectkit.options import (
    OutputOptions,
    PredictKeywords,
    PredictorConfig,
    PredictorKeywords,
    StreamKeywords,
    StreamOptions,
)
from affectkit.runs.job import Job, failure_line
from affectkit.sources.limits import Opening

Cli = Callable[..., tuple[int, str, str]]

WRONG_CONFIGS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"model": 3}, TypeError, "model must be a name or a path, got 3"),
    ({"device": 0}, TypeError, "device must be a name, got 0"),
    ({"device": "gpu"}, ValueError, "device must be one of"),
    ({"precision": "fp64"}, ValueError, "precision must be auto, fp32, fp16, int8, got 'fp64'"),
    ({"detector": "magic"}, ValueError, "detector must be mtcnn"),
    ({"detect_every": 0}, ValueError, "detect_every must be at least 1, got 0"),
    ({"detect_every": 1.5}, TypeError, "detect_every must be a whole number, got 1.5"),
    ({"min_face_px": 0}, ValueError, "min_face_px must be at least 1, got 0"),
    ({"min_face_px": math.nan}, TypeError, "min_face_px must be a whole number, got nan"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    ({"batch_size": True}, TypeError, "batch_size must be a whole number, got True"),
    ({"max_wait_s": math.nan}, ValueError, "max_wait_s must be a number, got nan"),
    ({"max_wait_s": -1}, ValueError, "max_wait_s must be 0 or more seconds, got -1"),
    ({"max_wait_s": "1"}, TypeError, "max_wait_s must be a number, got '1'"),
    ({"threads": -3}, ValueError, "threads must be at least 1, got -3"),
    ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
    ({"threads": 2.0}, TypeError, "threads must be a whole number, got 2.0"),
    ({"temporal": "yes"}, TypeError, "temporal must be True, False or None, got 'yes'"),
    ({"prior": "flat"}, ValueError, "prior must be natural or balanced, got 'flat'"),
    ({"min_quality": 2}, ValueError, "min_quality must be 0 to 1, got 2"),
    ({"min_quality": math.nan}, ValueError, "min_quality must be a number, got nan"),
    ({"min_quality": None}, TypeError, "min_quality must be a number, got None"),
]
WRONG_STREAMS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"start_s": 2, "end_s": 2}, ValueError, "start_s must be before end_s, got 2 and 2"),
    ({"start_s": math.nan}, ValueError, "start_s must be a number, got nan"),
    ({"end_s": math.nan}, ValueError, "end_s must be a number, got nan"),
    ({"end_s": "3"}, TypeError, "end_s must be a number, got '3'"),
    ({"every": 0}, ValueError, "every must be at least 1, got 0"),
    ({"every": 1.5}, TypeError, "every must be a whole number, got 1.5"),
    ({"max_faces": 0}, ValueError, "max_faces must be at least 1, got 0"),
    ({"max_faces": True}, TypeError, "max_faces must be a whole number, got True"),
    ({"aligned": "no"}, TypeError, "aligned must be True or False, got 'no'"),
    ({"window": "bogus"}, ValueError, "window must be one of overlap, paper, live, got 'bogus'"),
    ({"lookahead": -1}, ValueError, "lookahead must be at least 0, got -1"),
    ({"lookahead": 0.5}, TypeError, "lookahead must be a whole number, got 0.5"),
    ({"max_gap_s": -1}, ValueError, "max_gap_s must be 0 or more seconds, got -1"),
    ({"max_gap_s": math.inf}, ValueError, "max_gap_s must be 0 or more seconds, got inf"),
    ({"max_gap_s": math.nan}, ValueError, "max_gap_s must be a number, got nan"),
    ({"smooth_s": -0.5}, ValueError, "smooth_s must be 0 or more seconds, got -0.5"),
    ({"smooth_s": math.nan}, ValueError, "smooth_s must be a number, got nan"),
    ({"smooth_s": math.inf}, ValueError, "smooth_s must be 0 or more seconds, got inf"),
    ({"smooth_s": True}, TypeError, "smooth_s must be a number, got True"),
]
WRONG_OUTPUTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"table_format": "excel"}, ValueError, "format must be one of"),
    ({"table_format": "paper", "uncertainty": True}, ValueError, "no columns for uncertainty"),
    ({"uncertainty": "yes"}, TypeError, "uncertainty must be True or False"),
    ({"overwrite": 1}, TypeError, "overwrite must be True or False, got 1"),
    ({"resume": None}, TypeError, "resume must be True or False"),
    ({"baseline": "3-1"}, ValueError, "START must be before END"),
]


@pytest.mark.parametrize(
    ("kind", "given", "error", "says"),
    [
        *((PredictorConfig, *wrong) for wrong in WRONG_CONFIGS),
        *((StreamOptions, *wrong) for wrong in WRONG_STREAMS),
        *((OutputOptions, *wrong) for wrong in WRONG_OUTPUTS),
    ],
)
def test_what_is_out_of_range_is_refused(kind: Any, given: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        kind(**given)
    assert says in str(caught.value)


@pytest.fixture
def predictor(tiny: Path) -> Predictor:
    return Predictor(tiny, engine=FakeEngine.of(models.read_spec(tiny), {}), threads=1)


def test_predictors_refuse_it_too(tiny: Path) -> None:
    for given, error, _ in WRONG_CONFIGS:
        if "model" not in given:
            with pytest.raises(error, match=f"{next(iter(given))} must be"):
                Predictor(tiny, engine=FakeEngine.of(models.read_spec(tiny), {}), **given)


def test_streams_and_sessions_refuse_it_too(predictor: Predictor) -> None:
    picture = np.zeros((1, 40, 40, 3), np.uint8)
    for given, error, _ in WRONG_STREAMS:
        for call in (predictor.stream, predictor.predict):
            with pytest.raises(error, match="must be"):
                call(picture, **given)
        if set(given) <= {"lookahead", "max_faces", "max_gap_s", "smooth_s"}:
            with pytest.raises(error, match="must be"):
                predictor.session(**given)
            with pytest.raises(error, match="must be"):
                next(predictor.live("-", **given))


def test_numbers_of_numpy_are_numbers() -> None:
    StreamOptions(every=np.int64(2), start_s=np.float32(0.5), smooth_s=1, max_faces=np.int32(1))  # type: ignore[arg-type]
    PredictorConfig(batch_size=np.int64(4), min_quality=np.float64(0.5), max_wait_s=math.inf)  # type: ignore[arg-type]


def test_an_unknown_option_is_refused(predictor: Predictor) -> None:
    with pytest.raises(TypeError, match="evry"):
        predictor.predict(np.zeros((1, 40, 40, 3), np.uint8), evry=2)  # type: ignore[call-arg]


def test_options_are_values() -> None:
    for value in (PredictorConfig(threads=2), StreamOptions(every=3), OutputOptions(resume=True), Opening(fps=25)):
        assert pickle.loads(pickle.dumps(value)) == value and hash(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, 1)


@pytest.mark.parametrize(
    ("keywords", "kind", "without"),
    [(PredictorKeywords, PredictorConfig, {"model"}), (StreamKeywords, StreamOptions, set())],
)
def test_what_type_checkers_see_are_the_fields(keywords: type, kind: Any, without: set[str]) -> None:
    seen = {name: note for name, note in inspect.get_annotations(keywords).items()}
    fields = {field.name: field.type for field in dataclasses.fields(kind) if field.name not in without}
    assert {name: note.__forward_arg__ for name, note in seen.items()} == fields


def test_signatures_are_spelled_out() -> None:
    shown = inspect.signature(Predictor).parameters
    fields = {field.name: field.default for field in dataclasses.fields(PredictorConfig)}
    assert {name: p.default for name, p in shown.items() if name != "engine"} == fields and "engine" in shown
    for method, more in (
        (Predictor.stream, {"keep_images", "fps", "resume", "on_tracked"}),
        (Predictor.predict, {"baseline", "fps", "progress"}),
    ):
        asked = inspect.signature(method).parameters
        names = {field.name for field in dataclasses.fields(StreamOptions)}
        assert set(asked) == {"self", "source"} | names | more
        assert all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in asked.values())
    passed_on = {"keep_images", "resume", "on_tracked"}
    assert PredictKeywords.__annotations__.keys() - StreamKeywords.__annotations__.keys() == passed_on


def test_a_predictor_from_a_config_is_the_same(tiny: Path) -> None:
    config = PredictorConfig(model=tiny, detect_every=2, min_quality=0.0, batch_size=4, device="cpu")
    with Predictor.from_config(config) as one, Predictor(tiny, **config.keywords()) as other:
        assert one.describe() == other.describe() and one.describe()["detector"]["detect_every"] == 2


def given_of(*arguments: str) -> dict[str, Any]:
    """What click makes of a command line of `affectkit predict`."""
    return predict.make_context("predict", ["x.mp4", *arguments]).params


def test_the_table_builds_the_defaults() -> None:
    given = given_of()
    assert predictor_config(given) == PredictorConfig() and stream_options(given) == StreamOptions()
    assert output_options(given) == OutputOptions() and opening_of(given) == Opening()


def test_every_option_of_the_table_is_a_field() -> None:
    kinds = {kind.__name__: kind for kind in (PredictorConfig, StreamOptions, OutputOptions, Opening)}
    for option in SHARED.values():
        if option.builds:
            assert option.field in {field.name for field in dataclasses.fields(kinds[option.builds])}
    api_only = {"batch_size", "max_wait_s", "threads", "temporal"}
    for name, kind in kinds.items():
        in_table = {option.field for option in SHARED.values() if option.builds == name}
        assert {field.name for field in dataclasses.fields(kind)} - in_table <= api_only


def test_options_reach_their_fields() -> None:
    given = given_of("--smooth", "0.5", "--faces", "largest", "--deinterlace", "off", "--fps", "30", "--every", "3",
                     "--frame-by-frame", "--format", "paper", "--resume", "--min-face", "40")  # fmt: skip
    assert stream_options(given) == StreamOptions(smooth_s=0.5, max_faces=1, every=3)
    assert opening_of(given) == Opening(fps=30, deinterlace=False)
    assert predictor_config(given) == PredictorConfig(temporal=False, min_face_px=40)
    assert output_options(given) == OutputOptions(table_format="paper", resume=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--smooth", "nan"], "--smooth must be a number, got nan"),
        (["--max-gap", "inf", "--model", "lite-temporal"], "--max-gap must be 0 or more seconds, got inf"),
        (["--detector", "magic"], "--detector must be mtcnn"),
        (["--device", "gpu"], "--device must be one of"),
        (["--fps", "nan"], "--fps must be positive"),
        (["--input-format", "bogus"], "--input-format must be a format that FFmpeg reads"),
        (["--min-quality", "nan"], "--min-quality must be a number, got nan"),
    ],
)
def test_errors_name_the_option(arguments: list[str], says: str, run_cli: Cli, in_an_empty_folder: Path) -> None:
    code, _, err = run_cli("predict", "a.mp4", "b.mp4", "-o", "tables/", *arguments)
    assert code == 2 and f"error: {says}" in err and err.count("\n") == 1
    assert list(in_an_empty_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OutputError("t.csv: exists"), "t.csv: exists"),
        (ValueError("t.csv: was started with another model"), "t.csv: was started with another model"),
        (ValueError("a.mp4 is odd"), "a.mp4 is odd"),
        (ValueError("the model looks at single frames"), "a.mp4: the model looks at single frames"),
        (RuntimeError("two\nlines"), "a.mp4: RuntimeError: two lines"),
        (KeyError("x"), "a.mp4: KeyError: 'x'"),
    ],
)
def test_a_failure_is_a_line_that_names_the_input(error: Exception, line: str) -> None:
    assert failure_line(Job("a.mp4", Path("t.csv")), error) == line

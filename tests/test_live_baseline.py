"""A baseline while the input goes on, and of models that tell intensities and what can be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_clip
from test_baseline import Faces, brightness_engine, pictures, relative, rows_of

from affectkit import FakeEngine, Predictor, models
from affectkit.baseline.corrected import Corrector, relative_affect, with_raw
from affectkit.baseline.neutral import Neutral
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.options import OutputOptions
from affectkit.outputs.layouts import layout
from affectkit.runs.run import Job, run_job

Run = Callable[..., tuple[int, str, str]]


def pushed(predictor: Predictor, *levels: int | tuple[int, ...], baseline: object) -> list[FrameResult]:
    session = predictor.session(baseline=baseline)  # type: ignore[arg-type]
    told = [r for k, frame in enumerate(pictures(*levels)) for r in session.push(frame, 100 + k / 10)]
    return told + session.flush()


def first_units(results: list[FrameResult]) -> list[float]:
    return [result.faces[0].affect.action_units["AU01"] for result in results]


def test_seconds_count_from_the_first_frame_and_correct_what_follows(tiny: Path) -> None:
    with Predictor(tiny, detector=Faces(), engine=brightness_engine()) as predictor:
        told = pushed(predictor, *[20] * 10, 80, 140, baseline=(0, 1))
        assert first_units(told) == pytest.approx([0.9] * 10 + [relative(0.99, 0.9), 0], abs=1e-4)
        raw = [result.faces[0].affect.au_raw for result in told]
        assert [values is None for values in raw] == [True] * 10 + [False] * 2
        assert raw[-1] is not None and raw[-1][0] == pytest.approx(0.2, abs=1e-5)
        assert [bool(result.faces[0].affect.au_active[0]) for result in told[-2:]] == [True, False]
        session = predictor.session(baseline=(0, 0.5))
        for k, frame in enumerate(pictures(*[20] * 8)):
            session.push(frame, k / 10)
        session.reset()  # another person may come
        (result,) = session.push(pictures(80)[0], 9.0)
        assert result.faces[0].affect.au_raw is None


def test_a_file_corrects_from_the_first_frame(tiny: Path, tmp_path: Path) -> None:
    with Predictor(tiny, detector=Faces(), engine=brightness_engine()) as predictor:
        source = write_clip(tmp_path / "n.mp4", list(pictures(20, 20)))
        run_job(predictor, Job(str(source), tmp_path / "n.csv"))
        assert first_units(pushed(predictor, 80, baseline=tmp_path / "n.csv")) == pytest.approx([0.9], abs=1e-3)
        assert first_units(pushed(predictor, 80, baseline=source)) == pytest.approx([0.9], abs=1e-3)
    with Predictor(tiny, detector=Faces(2), engine=brightness_engine()) as pair:
        (both,) = pushed(pair, (80, 80), baseline=tmp_path / "n.csv")
        assert [face.affect.au_raw is None for face in both.faces] == [False, True]
        two = write_clip(tmp_path / "two.mp4", list(pictures((20, 140))))
        run_job(pair, Job(str(two), tmp_path / "two.csv"))
        (both,) = pushed(pair, (80, 80), baseline=tmp_path / "two.csv")
        told = [face.affect.action_units["AU01"] for face in both.faces]
        assert told == pytest.approx([relative(0.99, 0.9), relative(0.99, 0.2)], abs=1e-3)


def test_live_refuses_auto_and_prints_raw_values_too(astronaut: Path, tiny: Path, tmp_path: Path, run_cli: Run) -> None:
    live = ("live", astronaut, "--no-window", "--model", tiny, "--seconds", "0.5")
    code, _, err = run_cli(*live, "--baseline", "auto")
    assert code == 2 and "needs the whole input" in err
    neutral = tmp_path / "n.csv"
    assert run_cli("predict", astronaut, "-o", neutral, "--model", tiny, "--end", "1", "-q")[0] == 0
    code, out, _ = run_cli(*live, "--baseline", neutral)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and rows and {row["baseline"] for row in rows} == {1}
    assert all(row["AU01"] < row["AU01_raw"] for row in rows)


def test_intensities_and_what_is_hidden(tiny_seen: Path, tmp_path: Path) -> None:
    """A baseline of each intensity; a mouth that cannot be seen is empty, raw and corrected."""
    spec = models.read_spec(tiny_seen)
    unit, mouth = spec.au_labels[0], "AU12"
    said = {unit: 1.0, f"{unit}_i": 0.5, "mouth": -10.0}
    source = write_clip(tmp_path / "c.mp4", list(pictures(*[60] * 10)), fps=10)
    job = Job(str(source), tmp_path / "c.csv")
    with Predictor(tiny_seen, detector=Faces(), engine=FakeEngine.of(spec, said)) as predictor:
        run_job(predictor, job, outputs=OutputOptions(baseline="0-1"))
    rows = rows_of(job.table)
    assert [name for name in rows[0] if name.endswith("_raw")] == [
        *(f"{name}_raw" for name in spec.au_labels),
        *(f"{name}_i_raw" for name in spec.au_labels),
    ]
    for row in rows:
        assert float(row[f"{unit}_raw"]) > 0.5 and float(row[unit]) == 0 and row[f"{unit}_c"] == "0"
        assert float(row[f"{unit}_i_raw"]) > 0 and float(row[f"{unit}_i"]) == 0
        assert {row[name] for name in (mouth, f"{mouth}_c", f"{mouth}_i", f"{mouth}_raw", f"{mouth}_i_raw")} == {""}
    told = json.loads(job.meta.read_text())["baseline"]["faces"]["0"]
    assert told["values"][mouth] is None and told["intensities"][mouth] is None
    assert told["values"][unit] == float(rows[0][f"{unit}_raw"])


def test_rows_and_answers_are_corrected_alike() -> None:
    rng = np.random.default_rng(0)
    au = rng.random(8).astype(np.float32)
    au[3] = np.nan
    base = rng.random(8)
    base[5] = np.nan
    thresholds = np.full(8, 0.3)
    affect = Affect(np.full(7, 1 / 7, np.float32), au, au >= 0.3, 0.1, 0.2)
    neutral = Neutral(base, 10)
    table = with_raw(layout())

    def row_of(answer: Affect) -> list[object]:
        face = Face(0, (0.0, 0.0, 1.0, 1.0), 1.0, np.zeros((5, 2), np.float32), answer)
        return list(table.rows(FrameResult(0, 0.0, (face,)))[0])

    corrected = row_of(affect)
    Corrector(table, thresholds).correct(corrected, neutral)  # type: ignore[arg-type]
    at_once = row_of(relative_affect(affect, au.astype(np.float64), neutral, thresholds))
    for name, one, other in zip(table.columns, corrected, at_once, strict=True):
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(other, float) else other), name

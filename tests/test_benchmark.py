"""The benchmark command: that it measures what it says, never how fast."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import beginning_of, grey_frames, write_clip

from affectkit.benchmark import to_table
from affectkit.errors import SourceError
from affectkit.measurements import Measurement, machine, read_report, summary, table
from affectkit.predictor import Predictor

Cli = Callable[..., tuple[int, str, str]]


def test_medians_and_spread_by_hand() -> None:
    row = summary("x", [10, 30, 20, 40, 50], "fps")
    assert (row.value, row.spread) == (30, pytest.approx((40 - 20) / 2 / 30, abs=1e-3))
    assert summary("x", [2.0], "ms") == Measurement("x", 2.0, "ms", 0.0)


def test_a_comparison_knows_which_way_is_better() -> None:
    before = [Measurement("a", 100, "fps"), Measurement("b", 10, "ms")]
    now = [Measurement("a", 200, "fps"), Measurement("b", 5, "ms"), Measurement("c", 1, "MB")]
    first, second, third = table(now, before)
    assert "2.00 x as good as before (100)" in first and "2.00 x as good as before (10)" in second
    assert "before" not in third


@pytest.mark.slow
def test_every_part_is_measured_and_compared(
    astronaut: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = beginning_of(astronaut, tmp_path / "astronaut.mp4", 12)
    parts = [word for part in ("start-up", "network", "stages", "video", "streams") for word in ("--what", part)]
    command = ["benchmark", clip, "--model", tiny, *parts, "--repeats", 1, "--batch", 2, "--threads", 1]
    code, out, err = run_cli(*command, "--streams", 2, "--render", "-o", "now.json")
    assert code == 0, err
    report = json.loads(Path("now.json").read_text())
    names = [row["name"] for row in report["measurements"]]
    for beginning in ("start-up: import", "network: ", "stage: decode", "stage: network", "video: ", "memory: "):
        assert any(name.startswith(beginning) for name in names), (beginning, names)
        assert beginning in out
    assert "streams: 2 of astronaut.mp4 at once, all together" in names and len(set(names)) == len(names)
    assert all(row["value"] > 0 for row in report["measurements"]) and report["machine"]["cores"] >= 1
    assert any("and a video" in name for name in names)
    code, out, _ = run_cli("benchmark", "--model", tiny, "--what", "network", "--batch", 2, "--threads", 1,
                           "--repeats", 1, "--compare", "now.json")  # fmt: skip
    assert code == 0 and "as good as before" in out


def test_misuse(tmp_path: Path, run_cli: Cli) -> None:
    code, _, err = run_cli("benchmark", "--what", "video")
    assert code == 2 and "need a CLIP" in err
    (tmp_path / "r.json").write_text("{}")
    code, _, err = run_cli("benchmark", "--what", "network", "--compare", tmp_path / "r.json")
    assert code == 1 and "no report of `affectkit benchmark`" in err
    code, _, err = run_cli("benchmark", "gone.mp4", "--what", "video", "--repeats", 1)
    assert code == 1 and "gone.mp4: no such file" in err
    with pytest.raises(SourceError):
        read_report(tmp_path / "gone.json")


def test_a_run_counts_its_frames(tiny: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(30))
    with Predictor(tiny) as predictor:
        frames, seconds = to_table(predictor, str(clip), tmp_path)
    assert frames == 30 and seconds > 0 and len((tmp_path / "table.csv").read_text().splitlines()) == 31
    assert machine()["python"].count(".") == 2

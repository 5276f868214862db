"""What a new user does in the first hour: from a clip to pandas, ELAN, a plot and a report, without reading source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import affectkit
from affectkit.outputs.video import VideoWriter

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def dyad(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """Two seconds of a face, with another one beside it for less than one."""
    frames = [frame.image for frame in affectkit.open_source(astronaut).frames(end_s=2)]
    path = tmp_path_factory.mktemp("clips") / "dyad.mp4"
    with VideoWriter(path, fps=25) as writer:
        for k, frame in enumerate(frames):
            beside = frame[:, ::-1] if 20 <= k < 38 else np.full_like(frame, 60)
            writer.write(np.hstack([frame, beside]), k / 25)
    return path


def test_the_first_hour(dyad: Path, astronaut: Path, tmp_path: Path, run_cli: Run) -> None:
    pandas, elan = pytest.importorskip("pandas"), pytest.importorskip("pympi.Elan")
    pytest.importorskip("plotly")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    table = tmp_path / "dyad.csv"
    code, _, err = run_cli("predict", dyad, "-o", table, "--detect-every", "2", "--min-track", "1", "--export", "elan")
    assert code == 0 and "left out face 1, seen for less than 1 s" in err
    code, out, _ = run_cli("summary", table)
    assert code == 0 and out.splitlines()[1].split()[:4] == ["dyad.mp4", "0", "50", "50"]
    assert run_cli("identities", table, "--name", "0=Eileen")[0] == 0
    assert "face 0 AU12" in elan.Eaf(str(tmp_path / "dyad.eaf")).get_tier_names()
    frame = pandas.read_csv(table)
    assert len(frame) == 50 and set(frame["face_name"]) == {"Eileen"} and frame["AU12"].between(0, 1).all()
    found = affectkit.read_table(table)
    line = found.plot("AU12", ax=figure.subplots()).get_lines()[0]
    assert np.array_equal(line.get_ydata(), found["AU12"]) and line.get_xdata()[1] == pytest.approx(0.04)
    assert [next(iter(step)) for step in found.meta["changed"]] == ["min_track_s", "name"]
    assert run_cli("predict", astronaut, "-o", tmp_path / "alone.csv", "--end", "2", "-q")[0] == 0
    page = tmp_path / "report.html"
    groups = "people=two:dyad*,one:alone*"
    assert run_cli("report", table, tmp_path / "alone.csv", "-o", page, "--group", groups)[0] == 0
    text = page.read_text()
    assert "Eileen (face 0)" in text and "Identities that are seen for less than 1.0 s. That took" in text
    assert text.count("data:image/jpeg;base64,") == 2 and "two − one" in text

"""What a new user does in the first hour: from a clip to a report, ELAN, pandas, a plot, and two conditions compared.

The package is a built wheel in a virtual environment of its own, so that nothing of this checkout is imported; the
packages that it needs are those that are installed here, for a test has no network.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import affectkit
from affectkit.outputs.video import VideoWriter

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
HOUR = Path(__file__).parent / "first_hour"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands of a new environment, in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("fresh")
    source = folder / "source"
    for name in ("affectkit", "export", "train", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip"]
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run([*pip, *map(str, build)], check=True, capture_output=True)
    (wheel,) = folder.glob("affectkit-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    install = ["--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run([*pip, *map(str, install)], check=True, capture_output=True)
    # After its own packages come those of the environment that runs the tests.
    ours = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
    (ours / "zz_others.pth").write_text("\n".join(path for path in (*site.getsitepackages(), *sys.path) if path))
    return python.parent


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """The new user's folder: a clip with a poster beside the person, two conditions, a portrait."""
    folder = tmp_path_factory.mktemp("desk")
    frames = [frame.image for frame in affectkit.open_source(astronaut).frames(end_s=2)]
    beside = [frame[:, ::-1] if k < 25 else np.full_like(frame, 60) for k, frame in enumerate(frames)]
    _write(folder / "clip.mp4", [np.hstack(pair) for pair in zip(frames, beside, strict=True)])
    (folder / "study").mkdir()
    for name, light in (("bright-1", 1.0), ("dark-1", 0.5)):
        _write(folder / "study" / f"{name}.mp4", [(frame * light).astype(np.uint8) for frame in frames[:25]])
    Image.fromarray(frames[0]).save(folder / "portrait.jpg")
    for name in ("hour.sh", "hour.py"):
        shutil.copy(HOUR / name, folder)
    return folder


def _write(path: Path, frames: list[np.ndarray]) -> None:
    with VideoWriter(path, fps=25) as writer:
        for k, frame in enumerate(frames):
            writer.write(np.ascontiguousarray(frame), k / 25)


@pytest.fixture(scope="module")
def said(fresh: Path, desk: Path) -> str:
    """What the hour wrote to the terminal."""
    for package in ("pandas", "pympi.Elan", "plotly", "matplotlib"):
        pytest.importorskip(package)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{fresh}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(["bash", "hour.sh"], cwd=desk, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def test_it_is_the_wheel_that_runs(fresh: Path) -> None:
    code = "import affectkit, affectkit.train; print(affectkit.__file__, affectkit.train.__file__)"
    done = subprocess.run([fresh / "python", "-c", code], capture_output=True, text=True, check=True, cwd=fresh)
    assert all(name.startswith(str(fresh.parent)) for name in done.stdout.split())


def test_a_clip_becomes_a_table_and_a_report(said: str, desk: Path) -> None:
    assert "clip.mp4: 50 frames, 2 faces, 0 frames without a face -> clip.csv" in said
    page = (desk / "clip.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2 and "http://" not in page.split("<body", 1)[0]


def test_the_false_face_is_left_out(said: str, desk: Path) -> None:
    assert "25" in (desk / "identities.txt").read_text()  # the frames in which the poster was seen
    people = affectkit.read_table(desk / "people.csv")
    assert set(people["face_id"]) == {1} and set(people["face_name"]) == {"Eileen"} and len(people) == 50
    assert [next(iter(step)) for step in people.meta["changed"]] == ["drop", "name"]
    assert "left out face 0, seen for less than 1.5 s" in said
    assert set(affectkit.read_table(desk / "again.csv")["face_id"]) == {1}
    assert "Eileen (face 1)" in (desk / "people.html").read_text(encoding="utf-8")


def test_elan_opens_it(said: str, desk: Path) -> None:
    elan = pytest.importorskip("pympi.Elan")
    tiers = elan.Eaf(str(desk / "people.eaf")).get_tier_names()
    assert any("AU12" in tier for tier in tiers)
    assert "WEBVTT" in (desk / "again.vtt").read_text(encoding="utf-8")


def test_two_conditions_are_compared(said: str, desk: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = pandas.read_csv(desk / "study.csv")
    assert len(rows) == 2 and rows["AU12_mean"].between(0, 1).all() and (rows["frames"] == 25).all()
    page = (desk / "study.html").read_text(encoding="utf-8")
    assert "dark − bright" in page or "bright − dark" in page
    assert "predicted frame by frame by affectkit" in (desk / "cite.txt").read_text()


def test_pandas_and_a_plot(said: str, desk: Path) -> None:
    assert "Eileen" in said and "happiness" in said
    with Image.open(desk / "plot.png") as picture:
        assert picture.width > 300 and len(np.unique(np.asarray(picture.convert("L")))) > 8  # something is drawn

"""Everything in examples/ is run by ``make docs-test``; what needs a program that is not here is skipped."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import affectkit
from docs.snippets import ROOT, furnish

EXAMPLES = ROOT / "examples"
BIN = str(Path(sys.executable).parent)
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "Agg"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips."""
    folder = tmp_path_factory.mktemp("examples")
    furnish(folder)
    return folder


def run(*command: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**ENVIRONMENT, **more}, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a service that listens on this machine alone, with small limits."""
    for name in ("fastapi", "uvicorn", "websockets"):
        pytest.importorskip(name, reason="pip install -r examples/service/requirements.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = {"AFFECTKIT_MAX_BYTES": "2000000", "AFFECTKIT_WAIT_S": "120", "AFFECTKIT_MAX_SECONDS": "1"}
    command = [sys.executable, "-P", "-m", "uvicorn", "--app-dir", EXAMPLES / "service", "app:app", "--port", str(port)]
    process = subprocess.Popen(
        [*map(str, command), "--log-level", "warning"], env=ENVIRONMENT | limits, stderr=subprocess.PIPE, text=True
    )
    address = f"127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                urllib.request.urlopen(f"http://{address}/health", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode in (0, -15)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def asked(url: str, data: bytes | None = None) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=240) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_upload_is_answered(service: str, place: Path) -> None:
    status, answer = asked(f"http://{service}/predict?every=5", (place / "interview.mp4").read_bytes())
    assert status == 200 and answer["model"].startswith("lite")
    assert [row["frame"] for row in answer["rows"]] == [0, 5, 10, 15, 20]  # two seconds, of which one is allowed
    assert answer["rows"][0]["expression"] == "happiness" and answer["rows"][0]["input"] == "upload"


def test_what_a_stranger_may_send(service: str) -> None:
    status, answer = asked(f"http://{service}/predict", b"not a video")
    assert status == 422 and "/tmp" not in answer["detail"]
    assert asked(f"http://{service}/predict?every=0", b"x")[0] == 422
    assert asked(f"http://{service}/predict", bytes(2_000_001))[0] == 413
    assert asked(f"http://{service}/health") == (200, {"clips": 1, "cameras": 1})


def test_a_camera_is_answered_frame_by_frame(service: str, astronaut: Path) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(f"ws://{service}/camera") as camera, connect(f"ws://{service}/camera") as second:
        for frame in affectkit.open_source(astronaut).frames(end_s=0.1):
            jpeg = io.BytesIO()
            Image.fromarray(frame.image).save(jpeg, "JPEG")
            camera.send(jpeg.getvalue())
            (result,) = json.loads(camera.recv(timeout=120))
            assert result["frame"] == frame.index
            assert [(face["face_id"], face["expression"]) for face in result["faces"]] == [(0, "happiness")]
        with pytest.raises(ConnectionClosed) as closed:
            second.recv(timeout=120)
        assert closed.value.rcvd is not None and "all cameras are taken" in closed.value.rcvd.reason
        camera.send(b"not a picture")
        with pytest.raises(ConnectionClosed):
            camera.recv(timeout=120)
    for _ in range(100):  # the lane is free again once the server has seen the end
        if asked(f"http://{service}/health")[1]["cameras"]:
            break
        time.sleep(0.1)
    assert asked(f"http://{service}/health")[1] == {"clips": 1, "cameras": 1}


def test_the_page_of_the_camera_loads_nothing_from_elsewhere(service: str) -> None:
    page = urllib.request.urlopen(f"http://{service}/").read().decode()
    assert "getUserMedia" in page and not re.findall(r"(?:src|href)=", page)


def test_a_camera_by_opencv(place: Path) -> None:
    done = run(sys.executable, EXAMPLES / "camera.py", "panel.mp4", "--frames", "8", "--save", "last.png", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("8 frames") and size_of(place / "last.png") == (640, 360)
    assert run(sys.executable, EXAMPLES / "camera.py", "none.mp4", cwd=place).stderr.count("\n") <= 2


def test_a_ray_job(place: Path) -> None:
    pytest.importorskip("ray")
    (place / "broken.mp4").write_bytes(b"no video")
    files = (place / "panel.mp4", place / "broken.mp4")
    command = (
        sys.executable,
        "-P",
        EXAMPLES / "ray" / "job.py",
        *files,
        "--output-dir",
        "ray-tables",
        "--workers",
        "1",
    )
    patient = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "240"}
    done = run(*command, cwd=place, **patient)
    if "timed out during startup" in done.stderr:
        pytest.skip("Ray's own processes do not start in time on this machine")
    assert done.returncode == 1, done.stderr
    assert re.search(r"panel\.mp4: AU12 [01]\.\d\d", done.stdout) and "broken.mp4: " in done.stdout
    assert len(affectkit.read_table(place / "ray-tables" / "panel.csv")) == 12


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="there is no R here")
def test_r_reads_and_draws(place: Path) -> None:
    assert run("affectkit", "predict", "dyad.mp4", "-o", "r.csv", "-q", cwd=place).returncode == 0
    done = run("Rscript", "--vanilla", EXAMPLES / "r" / "plot.R", "r.csv", "r.png", "AU12", cwd=place)
    assert done.returncode == 0, done.stderr
    table = affectkit.read_table(place / "r.csv")
    mean = table["AU12"][table["face_id"] == 0].mean()
    assert f"{mean:.3g}"[:4] in done.stdout and size_of(place / "r.png") == (1000, 260)
    assert "no such column" in run("Rscript", EXAMPLES / "r" / "plot.R", "r.csv", "r.png", "AU99", cwd=place).stderr


def test_the_dockerfile_names_what_is_there() -> None:
    """No daemon is needed for that: instructions, files, user, and the command that the tests start."""
    text = re.sub(r"\\\n\s*", "", (EXAMPLES / "service" / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert (
        set(words) <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD"} and words[0] == "FROM"
    )
    for line in lines:
        if line.startswith("COPY"):
            names = [name for name in line.split()[1:-1] if "*" not in name]  # the wheel is put there before
            assert all((EXAMPLES / "service" / name).is_file() for name in names), line
    assert words.index("USER") < words.index("CMD") and '"app:app"' in lines[-1]


def test_requirements_are_those_of_the_extra() -> None:
    import tomllib

    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extra["examples"] == (EXAMPLES / "service" / "requirements.txt").read_text(encoding="utf-8").split()


def test_a_slurm_array_divides_the_recordings(place: Path) -> None:
    """Two tasks of two; what Slurm tells them is in the environment."""
    script = EXAMPLES / "slurm" / "array.sh"
    for task in (1, 2):
        told = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
        done = run("bash", script, "recordings", "slurm-tables", cwd=place, **told)
        assert done.returncode == 0, done.stderr
    there = sorted(path.name for path in (place / "slurm-tables").rglob("*.csv"))
    assert there == sorted(f"{path.stem}.csv" for path in (place / "recordings").glob("*.mp4"))
    assert "usage: sbatch" in run("bash", script, cwd=place).stderr

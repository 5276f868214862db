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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a service that listens on this machine alone, with small limits."""
    for name in ("fastapi", "uvicorn", "websockets"):
        pytest.importorskip(name, reason="pip install -r examples/service/requirements.txt")
    port = free_port()
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


def instructions() -> list[tuple[str, str]]:
    """What the Dockerfile says, a word and its line each."""
    text = re.sub(r"\\\n\s*", "", (EXAMPLES / "service" / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_dockerfile_is_a_sound_one() -> None:
    """No daemon is needed for that: instructions, files, user, ports, and what linters of Dockerfiles ask for."""
    told = instructions()
    words, lines = [word for word, _ in told], dict(told)
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert set(words) <= known and words[0] == "FROM" and words[-1] == "CMD"
    base = re.fullmatch(r"python:(\d+)\.(\d+)-slim", lines["FROM"])
    assert base is not None
    assert (int(base[1]), int(base[2])) >= (3, 11), "requires-python of the package"
    for word, line in told:
        if word == "COPY":
            names = [name for name in line.split()[:-1] if "*" not in name]  # the wheel is put there before
            assert all((EXAMPLES / "service" / name).is_file() for name in names), line
        if word == "RUN":
            assert "apt" not in line and "sudo" not in line and "cd " not in line, line
            assert all("--no-cache-dir" in part for part in line.split("&&") if "pip install" in part), line
    assert lines["USER"] not in ("root", "0") and f"useradd --create-home {lines['USER']}" in runs_of(told)
    assert words.index("USER") < words.index("CMD") and lines["WORKDIR"].startswith("/")
    command, check = json.loads(lines["CMD"]), json.loads(lines["HEALTHCHECK"].partition("CMD ")[2])
    assert command[0] == "uvicorn" and "app:app" in command
    assert command[command.index("--port") + 1] == lines["EXPOSE"] and f":{lines['EXPOSE']}/health" in check[-1]


def runs_of(told: list[tuple[str, str]]) -> str:
    return "\n".join(line for word, line in told if word == "RUN")


def test_the_dockerfile_s_steps_give_a_service(tmp_path: Path) -> None:
    """Each step in a fresh environment in place of an image: files, pip, command, check of health.

    What only an image has is not run: the user, and the base. Skipped only where no package index answers.
    """
    context, app, source = (tmp_path / name for name in ("context", "app", "source"))
    shutil.copytree(EXAMPLES / "service", context, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("affectkit", "export", "train"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    fresh = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(fresh)], check=True)
    told = {**os.environ, "PATH": f"{fresh / 'bin'}{os.pathsep}{os.environ['PATH']}", "PIP_QUIET": "1"}
    port = str(free_port())
    steps = [("RUN", f"pip wheel --no-deps -w {context} {source}"), *instructions()]
    for word, line in steps:
        if word == "COPY":
            app.mkdir(exist_ok=True)
            for pattern in line.split()[:-1]:
                for path in context.glob(pattern):
                    shutil.copy(path, app)
        elif word == "RUN" and "useradd" not in line:
            done = subprocess.run(["bash", "-c", line], cwd=app if app.is_dir() else tmp_path, env=told, text=True)
            if done.returncode and not index_answers(fresh):
                pytest.skip("no package index answers here")
            assert done.returncode == 0, line
    lines = {word: json.loads(line[line.index("[") :]) for word, line in steps if word in ("CMD", "HEALTHCHECK")}
    command, check = ([part.replace("8000", port) for part in lines[word]] for word in ("CMD", "HEALTHCHECK"))
    command[command.index("0.0.0.0")] = "127.0.0.1"
    process = subprocess.Popen([str(fresh / "bin" / command[0]), *command[1:]], cwd=app, env=told)
    try:
        for _ in range(600):
            assert process.poll() is None
            if subprocess.run([str(fresh / "bin" / check[0]), *check[1:]], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        status, answer = asked(
            f"http://127.0.0.1:{port}/predict?every=50", (ROOT / "samples/astronaut.mp4").read_bytes()
        )
        assert status == 200 and answer["rows"][0]["expression"] == "happiness"
    finally:
        process.terminate()
        process.wait(timeout=60)


def index_answers(environment: Path) -> bool:
    """Whether pip can find a package that is surely there."""
    command = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "download",
        "--no-deps",
        "-d",
        str(environment),
        "click",
    ]
    return subprocess.run(command, capture_output=True).returncode == 0


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

"""Inputs on a Ray cluster of this machine's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from synthetic import grey_frames, write_clip

pytest.importorskip("ray", reason="Ray is not installed: pip install 'affectkit[ray]'")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills a process the Unix way")


def predict(clips: list[Path], out: Path, tiny: Path, *more: str) -> list[str]:
    """The command line in a process of its own: Ray stays out of the tests' process."""
    out.mkdir()
    return [
        sys.executable,
        "-m",
        "affectkit",
        "predict",
        *map(str, clips),
        "--output-dir",
        str(out),
        "--model",
        str(tiny),
        *more,
    ]


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("MapWorker" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def at_work(process: subprocess.Popen[str]) -> psutil.Process | None:
    """A worker that is writing rows: the other one may have no input yet, and its death costs nothing then."""
    for worker in workers(process):
        try:
            if any(file.path.endswith(".partial.csv") for file in worker.open_files()):
                return worker
        except psutil.Error:
            continue
    return None


@pytest.mark.slow
def test_a_cluster_loses_no_input_when_a_worker_dies(tmp_path: Path, tiny: Path) -> None:
    """Two workers, ten videos of which one is no video; one worker is killed in the middle of its input."""
    clips = [write_clip(tmp_path / f"c{k}.mp4", grey_frames(300, height=240, width=320)) for k in range(9)]
    (tmp_path / "broken.mp4").write_bytes(b"nothing that is a video")
    plain = subprocess.run(predict(clips, tmp_path / "plain", tiny), capture_output=True, text=True)
    assert plain.returncode == 0, plain.stderr
    command = predict([*clips, tmp_path / "broken.mp4"], tmp_path / "out", tiny, "--ray", "local", "-j", "2")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = False
    while process.poll() is None and not killed:
        worker = at_work(process)
        if worker is not None:
            worker.send_signal(signal.SIGKILL)
            killed = True
        time.sleep(0.01)
    out, err = process.communicate(timeout=300)
    assert killed and process.returncode == 3, err
    assert out == "", out  # where Ray tells of a worker that died, and what may be done
    ours = [line for line in err.splitlines() if "core_worker.cc" not in line]  # which it says of every run
    assert all(line.startswith("affectkit: ") or ": 300 frames," in line for line in ours), err
    assert err.count(": its worker died\n") == 1
    assert err.count(": 300 frames,") == 9 and "broken.mp4: not a video" in err and "1 of 10 inputs failed" in err
    assert "Traceback" not in err
    for clip in clips:
        name = f"{clip.stem}.csv"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
        assert (tmp_path / "out" / f"{name}.meta.json").exists()
    assert not [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_a_worker_dies_in_the_middle_of_a_block(tmp_path: Path, tiny: Path) -> None:
    """Of its inputs some are told of already, and are given once more."""
    clips = [write_clip(tmp_path / "c0.mp4", grey_frames(40))]
    for k in range(1, 96):
        clips.append(tmp_path / f"c{k}.mp4")
        shutil.copyfile(clips[0], clips[-1])
    command = predict(clips, tmp_path / "out", tiny, "--ray", "local", "-j", "2", "-q")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = False
    while process.poll() is None and not killed:
        if len(list((tmp_path / "out").glob("c*.csv"))) >= 17:  # twelve in a block
            workers(process)[0].send_signal(signal.SIGKILL)
            killed = True
        time.sleep(0.01)
    _, err = process.communicate(timeout=300)
    assert killed and process.returncode == 0 and "Unhandled" not in err, err
    record = (tmp_path / "out" / "run.jsonl").read_text()
    assert len(list((tmp_path / "out").glob("c*.csv"))) == record.count('"status": "done"') == 96


@pytest.mark.slow
def test_what_was_told_is_known_when_its_block_is_given_again(tmp_path: Path) -> None:
    code = (
        "from affectkit.runs.cluster import _Tries\n"
        "tries = _Tries()\n"
        "assert tries.begin(3) == (1, None)\n"
        "tries.end(3, b'answer')\n"
        "assert tries.begin(3) == (1, b'answer')\n"
        "tries.forget(3)\n"
        "assert tries.begin(3)[1] == b'' and tries.begin(4) == (1, None)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_workers_that_die_before_they_have_the_model_end_the_run(tmp_path: Path, tiny: Path) -> None:
    """Ray would start them again without end."""
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    _, _, _, *arguments = predict([clip], tmp_path / "out", tiny, "--ray", "local")
    code = (
        "import os, sys\n"
        "from affectkit.runs import cluster\n"
        "def dies(*_): os._exit(9)\n"
        "class Worker(cluster._Worker):\n"
        "    def _loaded(self):\n"
        "        cluster.Predictor.from_config = dies\n"
        "        return super()._loaded()\n"
        f"cluster._Worker, sys.argv = Worker, ['affectkit', *{arguments}]\n"
        "from affectkit.cli import main\n"
        "main()"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300)
    ours = [line for line in run.stderr.splitlines() if "core_worker.cc" not in line]
    assert run.returncode == 1 and len(ours) == 1, run.stderr
    assert "worker after worker dies before it has loaded the model" in run.stderr and run.stdout == ""


@pytest.mark.slow
def test_a_job_keeps_where_its_outputs_go(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from affectkit.runs.cluster import _anywhere; from affectkit.runs.job import Job\n"
        "job = Job('s3://in/x.mp4', Path('x.csv'), urls=('s3://out/x.csv', None, None), absent=True)\n"
        "sent = _anywhere(job)\n"
        "assert sent.urls == job.urls and sent.absent and sent.source == job.source and sent.table.is_absolute()"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_what_an_interrupted_run_left_is_not_gone_on_with_unasked(tmp_path: Path, tiny: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    command = predict([clip], tmp_path / "out", tiny, "--ray", "local")
    (tmp_path / "out" / ".c.csv.resume").write_bytes(b"of another run")
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and ": 5 frames," in run.stderr, run.stderr
    assert not [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_a_cluster_that_is_not_there(tmp_path: Path, tiny: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    command = predict([clip], tmp_path / "out", tiny, "--ray", "ray://127.0.0.1:1")
    environment = {**os.environ, "RAY_CLIENT_MAX_CONNECTION_RETRIES": "1"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 1 and "no cluster can be reached" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_cluster_that_does_not_start_in_time(tmp_path: Path, tiny: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    _, _, _, *arguments = predict([clip], tmp_path / "out", tiny, "--ray", "local")
    code = (
        "import sys, ray\n"
        "def init(**_): raise Exception('The current node timed out during startup.')\n"
        f"ray.init, sys.argv = init, ['affectkit', *{arguments}]\n"
        "from affectkit.cli import main\n"
        "main()"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr
    assert "no cluster can be reached (The current node timed out during startup.)" in run.stderr
    assert not list((tmp_path / "out").iterdir())

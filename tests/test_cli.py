"""The command line as a user meets it: what it writes, what it says, and its exit codes."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from synthetic import grey_frames, write_clip

from affectkit import models

Cli = Callable[..., tuple[int, str, str]]


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", grey_frames(12), sound=True)


def rows(path: Path | str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def one_line(err: str, *parts: object) -> None:
    """The message is one line, begins with our name, and says these things."""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("affectkit: error: ")
    for part in parts:
        assert str(part) in lines[0]


def left_behind() -> list[str]:
    return sorted(os.listdir())


@pytest.mark.slow
def test_predict_writes_table_meta_and_video(run_cli: Cli, astronaut: Path) -> None:
    code, out, err = run_cli(
        "predict", astronaut, "-o", "a.csv", "--render", "a.mp4", "--end", 1, "--every", 2, "--uncertainty"
    )
    assert (code, out) == (0, "") and "13 frames, 1 face, 0 frames without a face" in err
    assert left_behind() == ["a.csv", "a.csv.meta.json", "a.mp4"]
    table = rows("a.csv")
    assert [int(r["frame"]) for r in table] == list(range(0, 25, 2))
    assert [float(r["timestamp"]) for r in table] == pytest.approx([i / 25 for i in range(0, 25, 2)])
    assert table[0]["AU12_std"] == "" and float(table[0]["expression_entropy"]) > 0
    meta = json.loads(Path("a.csv.meta.json").read_text())
    assert meta["model"]["name"] in ("lite", "lite-int8") and len(meta["model"]["sha256"]["frame.onnx"]) == 64
    assert meta["device"] == "cpu" and meta["detector"]["name"] == "mtcnn" and meta["complete"] is True
    assert meta["frames"]["in_table"] == 13 and meta["frames"]["without_face"] == 0 and meta["rotation_deg"] == 0
    assert set(meta["au_thresholds"]) == set(models.read_spec(models.find("lite")).au_labels)
    assert meta["versions"]["affectkit"]
    with av.open("a.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 13


def test_without_an_output_the_table_is_here(run_cli: Cli, clip: Path) -> None:
    code, _, _ = run_cli("predict", clip)
    assert code == 0 and left_behind() == ["clip.csv", "clip.csv.meta.json"]
    assert [(r["frame"], r["face_id"], r["success"]) for r in rows("clip.csv")] == [
        (str(i), "-1", "0") for i in range(12)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_other_tables(run_cli: Cli, clip: Path, name: str) -> None:
    assert run_cli("predict", clip, "-o", name, "-q") == (0, "", "")
    assert left_behind() == [name, f"{name}.meta.json"]


@pytest.mark.parametrize("table_format", ["openface", "pyfeat", "paper"])
def test_other_formats(run_cli: Cli, clip: Path, table_format: str) -> None:
    assert run_cli("predict", clip, "-o", "t.csv", "--format", table_format, "-q")[0] == 0
    assert len(rows("t.csv")) == 12


def test_aligned_pictures(run_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in (1, 2, 10):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((80, 80), 40 + i, np.uint8))
    assert run_cli("predict", folder, "--aligned", "-q")[0] == 0
    table = rows("faces.csv")
    assert [Path(r["input"]).name for r in table] == ["1.png", "2.png", "10.png"]
    assert all(r["success"] == "1" and r["timestamp"] == "" for r in table)


def test_several_inputs_and_one_of_them_bad(run_cli: Cli, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    code, _, err = run_cli("predict", clip, bad, tmp_path / "gone.mp4", "-q")
    assert code == 3 and left_behind() == ["clip.csv", "clip.csv.meta.json", "run.jsonl"]
    assert "bad.mp4: not a video" in err and "gone.mp4: no such file" in err and "2 of 3 inputs failed" in err


def test_two_inputs_of_one_name(run_cli: Cli, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "clip.mp4").write_bytes(clip.read_bytes())
    code, _, err = run_cli("predict", clip, other / "clip.mp4")
    assert code == 2 and "another input would write" in err


def test_missing_file(run_cli: Cli) -> None:
    code, _, err = run_cli("predict", "gone.mp4")
    assert code == 1 and left_behind() == []
    one_line(err, "gone.mp4", "no such file", "check the path")


def test_folder_without_pictures(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = run_cli("predict", tmp_path / "empty")
    assert code == 1
    one_line(err, "empty", "no pictures")


def test_zero_bytes(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").touch()
    code, _, err = run_cli("predict", tmp_path / "zero.mp4")
    assert code == 1
    one_line(err, "zero.mp4", "empty")


def test_text_renamed(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("dear diary\n" * 100)
    code, _, err = run_cli("predict", tmp_path / "text.mp4")
    assert code == 1 and left_behind() == []
    one_line(err, "text.mp4", "not a video")


def test_truncated(run_cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(40)]
    path = write_clip(tmp_path / "cut.mp4", noisy)
    path.write_bytes(path.read_bytes()[:-80000])
    code, _, err = run_cli("predict", path)
    assert code == 0
    assert "warning" in err and "ends early" in err
    meta = json.loads(Path("cut.csv.meta.json").read_text())
    assert meta["complete"] is False and 0 < meta["frames"]["decoded"] < 40
    assert len(rows("cut.csv")) == meta["frames"]["decoded"]


def test_sound_without_pictures(run_cli: Cli, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "s.m4a"), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    code, _, err = run_cli("predict", tmp_path / "s.m4a")
    assert code == 1
    one_line(err, "no video stream")


def test_output_folder_missing(run_cli: Cli, clip: Path) -> None:
    code, _, err = run_cli("predict", clip, "-o", "no/such/t.csv")
    assert code == 1
    one_line(err, "t.csv", "does not exist", "create it")


def test_output_folder_unwritable(run_cli: Cli, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("locked").mkdir()
    # Root may write anywhere, and CI runs as root: what the system would answer for others is put in its mouth.
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: False if str(p) == "locked" else real(p, mode))
    code, _, err = run_cli("predict", clip, "-o", "locked/t.csv")
    assert code == 1 and os.listdir("locked") == []
    one_line(err, "locked", "cannot be written to", "permissions")


@pytest.mark.slow
@pytest.mark.parametrize("existing", ["t.csv", "t.csv.meta.json", "t.mp4"])
def test_existing_outputs_are_kept(run_cli: Cli, clip: Path, existing: str) -> None:
    Path(existing).write_text("precious")
    code, _, err = run_cli("predict", clip, "-o", "t.csv", "--render", "t.mp4")
    assert code == 1 and Path(existing).read_text() == "precious" and left_behind() == [existing]
    one_line(err, existing, "exists already", "--overwrite")
    assert run_cli("predict", clip, "-o", "t.csv", "--render", "t.mp4", "--overwrite", "-q")[0] == 0
    assert Path(existing).read_bytes() != b"precious"


def test_the_input_is_never_overwritten(run_cli: Cli, clip: Path) -> None:
    before = clip.read_bytes()
    code, _, err = run_cli("predict", clip, "--render", clip, "--overwrite")
    assert code == 1 and clip.read_bytes() == before
    one_line(err, "is the input itself")


@pytest.mark.parametrize(("option", "name"), [("-o", "t.xlsx"), ("-o", "t"), ("--render", "t.avi")])
def test_unknown_suffix(run_cli: Cli, clip: Path, option: str, name: str) -> None:
    code, _, err = run_cli("predict", clip, option, name)
    assert code == 2 and left_behind() == []
    one_line(err, name, "unknown suffix", "allowed")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "x.mp4", "--every", "0"],
        ["predict", "x.mp4", "--device", "abacus"],
        ["predict", "x.mp4", "--start", "5", "--end", "2"],
        ["predict", "x.mp4", "--format", "excel"],
        ["predict", "x.mp4", "--format", "openface", "--uncertainty"],
        ["predict", "x.mp4", "--nonsense"],
        ["nonsense"],
    ],
)
def test_misuse_exits_with_2(run_cli: Cli, arguments: list[str]) -> None:
    code, out, err = run_cli(*arguments)
    assert code == 2 and out == "" and err and "Traceback" not in err


def test_a_device_that_is_not_there(run_cli: Cli, clip: Path) -> None:
    if os.environ.get("AFFECTKIT_REQUIRE_CUDA") == "1":
        pytest.skip("this machine has a GPU")
    code, _, err = run_cli("predict", clip, "--device", "cuda")
    assert code == 1
    one_line(err, "cuda", "affectkit")


def test_unknown_and_damaged_models(run_cli: Cli, clip: Path, tiny: Path, tmp_path: Path) -> None:
    code, _, err = run_cli("predict", clip, "--model", "huge")
    assert code == 2
    one_line(err, "huge", "embedded are", "lite")
    import shutil

    broken = shutil.copytree(tiny, tmp_path / "broken")
    (broken / "frame.onnx").write_bytes(b"x")
    code, _, err = run_cli("predict", clip, "--model", broken)
    assert code == 1 and left_behind() == []
    one_line(err, "frame.onnx", "damaged", "reinstall")


@pytest.mark.slow
def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-m", "affectkit", "predict", "gone.mp4", "--debug"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and "Traceback" in run.stderr and "SourceError" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_in_the_middle(tmp_path: Path, number: int, expected: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("started by nohup or the like: what ignores a signal passes that on to its children")
    noise = np.random.default_rng(0).integers(0, 255, (1500, 90, 160, 1)).astype(np.uint8)
    path = write_clip(tmp_path / "long.mp4", [np.repeat(n, 3, 2) for n in noise])
    Path("long.csv").write_text("precious")
    command = [sys.executable, "-m", "affectkit", "predict", str(path), "--render", "long.mp4", "--overwrite"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(re.search(r"\.partial\.[0-9]+\.mp4$", name) for name in os.listdir()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert left_behind() == ["long.csv"] and Path("long.csv").read_text() == "precious"
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "interrupted" in err


def test_no_progress_in_a_pipe(run_cli: Cli, clip: Path) -> None:
    _, out, err = run_cli("predict", clip)
    assert out == "" and "\x1b" not in err and "fps" not in err


@pytest.mark.slow
def test_progress_on_a_terminal(clip: Path) -> None:
    import pty

    child, terminal = pty.openpty()
    command = [sys.executable, "-m", "affectkit", "predict", str(clip)]
    process = subprocess.Popen(command, stderr=terminal, stdout=terminal, env={**os.environ, "TERM": "xterm"})
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(child, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        seen += piece
    os.close(child)
    assert process.wait() == 0
    assert b"fps" in seen and b"12" in seen and b"clip.mp4" in seen


def test_models(run_cli: Cli) -> None:
    code, out, _ = run_cli("models", "list")
    assert code == 0 and out.startswith("lite ") and "64 px" in out
    code, out, _ = run_cli("models", "show", "lite")
    assert code == 0 and "trained on" in out and "FER+" in out and "# " in out
    code, out, _ = run_cli("models", "show", "lite", "--json")
    assert code == 0 and json.loads(out)["name"] == "lite"
    assert run_cli("models", "verify") == (
        0,
        "lite: ok\nlite-ensemble: ok\nlite-int8: ok\nlite-temporal: ok\n",
        "",
    )


def test_doctor(run_cli: Cli) -> None:
    code, out, _ = run_cli("doctor")
    assert code == 0 and "fail" not in out and "onnxruntime" in out and "model lite" in out and "runs on" in out
    code, out, _ = run_cli("doctor", "--json")
    document = json.loads(out)
    assert code == 0 and document["ok"] and {"name", "found", "problem"} == set(document["checks"][0])


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in an interpreter that cannot import ``package``."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; from affectkit.cli import main; "
        f"sys.argv = ['affectkit', *{arguments!r}]; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.slow
def test_doctor_names_what_is_missing() -> None:
    run = run_without("onnxruntime", "doctor")
    assert run.returncode == 1 and "pip install 'affectkit[cpu]'" in run.stdout


@pytest.mark.parametrize("options", [[], ["--render", "t.mp4"]])
def test_a_range_without_frames(run_cli: Cli, clip: Path, options: list[str]) -> None:
    code, _, err = run_cli("predict", clip, "-o", "t.csv", "--start", 100, *options)
    assert code == 1 and left_behind() == []
    one_line(err, "clip.mp4", "no frame lies between 100 s")


def test_names_of_links_folders_and_odd_files(run_cli: Cli, clip: Path, tmp_path: Path) -> None:
    os.symlink(clip, "a.mp4")
    os.symlink(clip, "b.mp4")
    for name in ("fold.v1", "fold.v2"):
        Path(name).mkdir()
        cv2.imwrite(f"{name}/1.png", np.zeros((30, 30, 3), np.uint8))
    odd = os.fsdecode(b"caf\xe9.mp4")
    Path(odd).write_bytes(clip.read_bytes())
    assert run_cli("predict", "a.mp4", "b.mp4", "fold.v1", "fold.v2", odd, "-q")[0] == 0
    tables = {name for name in os.listdir() if name.endswith(".csv")}
    assert tables == {"a.csv", "b.csv", "fold.v1.csv", "fold.v2.csv", os.fsdecode(b"caf\xe9.csv")}
    assert rows("a.csv")[0]["input"] == "a.mp4" and rows(os.fsdecode(b"caf\xe9.csv"))[0]["input"] == "caf\ufffd.mp4"


@pytest.mark.parametrize("length", [240, 250, 300])
def test_long_names(run_cli: Cli, clip: Path, length: int) -> None:
    code, _, err = run_cli("predict", clip, "-o", "a" * length + ".csv", "-q")
    if length == 240:
        assert code == 0
    else:
        assert code == 1 and left_behind() == [] and "too long" in err and "Traceback" not in err


def test_one_bad_input_never_stops_the_rest(
    run_cli: Cli, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectkit.sources import video

    real = video.VideoFile._describe

    def describe(self: video.VideoFile, *arguments: object) -> object:
        if "cursed" in self._path:
            raise RuntimeError("not expected")
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(video.VideoFile, "_describe", describe)
    (tmp_path / "cursed.mp4").write_bytes(clip.read_bytes())
    code, _, err = run_cli("predict", tmp_path / "cursed.mp4", clip, "-q")
    assert code == 3 and set(left_behind()) >= {"clip.csv", "clip.csv.meta.json"}
    assert "cursed.mp4: RuntimeError: not expected" in err


def test_version_and_help(run_cli: Cli) -> None:
    assert run_cli("--version")[1].startswith("affectkit, version ")
    code, out, _ = run_cli("--help")
    assert code == 0 and all(name in out for name in ("predict", "doctor", "models", "train"))


@pytest.mark.slow
def test_train_without_torch() -> None:
    run = run_without("torch", "train", "teacher")
    assert run.returncode == 1 and "pip install 'affectkit[train]'" in run.stderr

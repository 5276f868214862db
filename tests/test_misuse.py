"""The edges of the command line: names, folders, options that do not go together, closed streams, Ctrl-C."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import grey_frames, write_clip

from affectkit import Predictor, open_source
from affectkit.errors import SourceError

Cli = Callable[..., tuple[int, str, str]]

COMMAND = [sys.executable, "-P", "-m", "affectkit"]

unix = pytest.mark.skipif(os.name == "nt", reason="the Unix way")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", grey_frames(6))


@pytest.mark.slow
def test_a_folder_with_a_slash_is_made(run_cli: Cli, clip: Path, tmp_path: Path, tiny: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    where = ["-o", "new/tables/", "--render", "drawn/", "--contact-sheet", "sheets/", "--model", tiny, "-q"]
    assert run_cli("predict", clip, other, *where)[0] == 0
    assert sorted(os.listdir("new/tables")) == [
        "clip.csv", "clip.csv.meta.json", "other.csv", "other.csv.meta.json", "run.jsonl",
    ]  # fmt: skip
    assert sorted(os.listdir("drawn")) == ["clip.mp4", "other.mp4"]
    assert not Path("sheets").exists()  # there was no face, and what is empty goes again
    assert run_cli("predict", clip, "-o", "one/", "--model", tiny, "-q")[0] == 0
    assert sorted(os.listdir("one")) == ["clip.csv", "clip.csv.meta.json"]


def test_a_folder_is_made_for_nothing_else(run_cli: Cli, clip: Path, tmp_path: Path) -> None:
    code, _, err = run_cli("predict", clip, clip.with_name("b.mp4"), "-o", "tables")
    assert code == 2 and "give --output-dir tables" in err
    assert run_cli("predict", tmp_path / "gone.mp4", "-o", "a/b/")[0] == 1
    assert run_cli("predict", clip, "-o", "a/b/", "--model", "huge")[0] == 2
    Path("file").touch()
    code, _, err = run_cli("predict", clip, "-o", "file/")
    assert code == 1 and "is a file" in err
    assert os.listdir() == ["file"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "show", "huge"],
        ["models", "verify", "huge"],
        ["verify", "huge"],
        ["predict", "CLIP", "--model", "huge"],
        ["benchmark", "--model", "huge", "--what", "network"],
        ["predict", "CLIP", "-o", "t.xlsx"],
        ["predict", "CLIP", "--render", "t.avi"],
        ["predict", "CLIP", "--contact-sheet", "t.gif"],
        ["predict", "CLIP", "--detector", "magic"],
        ["predict", "CLIP", "--temporal", "--frame-by-frame"],
        ["predict", "CLIP", "--frame-by-frame", "--temporal"],
        ["live", "CLIP", "--temporal", "--frame-by-frame"],
        ["predict", "CLIP", "--window", "live"],
        ["predict", "CLIP", "--window", "paper"],
        ["predict", "CLIP", "--window", "paper", "--smooth", "1"],
        ["predict", "CLIP", "--window", "live", "--temporal", "--frame-by-frame"],
        ["predict", "CLIP", "--window", "live", "--model", "lite-temporal", "--frame-by-frame"],
        ["predict", "CLIP", "--max-gap", "2"],
    ],
)
def test_wrong_names_and_options_exit_with_2(arguments: list[str], run_cli: Cli, clip: Path) -> None:
    code, _, err = run_cli(*[str(clip) if part == "CLIP" else part for part in arguments])
    assert code == 2 and "Traceback" not in err and os.listdir() == []


def test_windows_that_mean_something(run_cli: Cli, clip: Path, tiny: Path, tiny_temporal: Path) -> None:
    assert run_cli("predict", clip, "--window", "live", "--smooth", 0.2, "--model", tiny, "-q", "-o", "a.csv")[0] == 0
    assert run_cli("predict", clip, "--window", "live", "--model", tiny_temporal, "-q", "-o", "b.csv")[0] == 0
    with Predictor(tiny) as predictor:
        for wrong in ({"window": "live"}, {"window": "paper"}, {"window": "round"}):
            with pytest.raises(ValueError, match="window"):
                predictor.stream(clip, **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "x"],
        ["export", "x", "-o", "y"],
        ["models", "show", "x"],
        ["models", "verify", "x"],
        ["import-checkpoints", "x", "-o", "y"],
    ],
)
def test_every_command_knows_debug(arguments: list[str], run_cli: Cli) -> None:
    from affectkit.errors import AffectKitError

    with pytest.raises(AffectKitError):
        run_cli(*arguments, "--debug")


def test_doctor_and_lists_know_debug(run_cli: Cli) -> None:
    for command in (["doctor"], ["models", "list"], ["export"], ["train", "status"], ["train", "teacher"]):
        assert "--debug" in run_cli(*command, "--help")[1]
    assert run_cli("models", "list", "--debug")[0] == 0


@pytest.mark.parametrize("name", ["=1+1.mp4", "+1.mp4", "-1.mp4", "@SUM(A1).mp4", "\tx.mp4"])
def test_file_names_are_no_formulas(name: str, run_cli: Cli, clip: Path, tiny: Path) -> None:
    Path(name).write_bytes(clip.read_bytes())
    for table_format in ("native", "pyfeat"):
        options = ["-o", "t.csv", "--format", table_format, "--overwrite", "-q", "--model", tiny]
        assert run_cli("predict", *options, "--", name)[0] == 0
        with open("t.csv", newline="") as file:
            cells = {row["input"] for row in csv.DictReader(file)}
        assert cells == {f"./{name}"} and Path(cells.pop()).exists()


def test_outputs_never_replace_an_input(run_cli: Cli, clip: Path, tmp_path: Path, tiny: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(2):
        cv2.imwrite(str(folder / f"{k}.jpg"), np.zeros((40, 40, 3), np.uint8))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for sheet in (folder / "0.jpg", folder / "people.jpg"):
        code, _, err = run_cli("predict", folder, "--contact-sheet", sheet, "--overwrite", "--model", tiny)
        assert code == 1 and "whose pictures are an input" in err and err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    other = drawn / "clip.mp4"  # what --render would make of the first is the second input
    other.write_bytes(clip.read_bytes() + b"x")
    (tmp_path / "here" / "b.mkv").symlink_to(clip)
    code, _, err = run_cli("predict", clip, other.rename(drawn / "c.mp4"), "-o", "t/", "--model", tiny, "--overwrite",
                           "--render", drawn)  # fmt: skip
    assert code == 1 and "is the input itself" in err
    code, _, err = run_cli("predict", clip.rename(tmp_path / "c.mkv"), drawn / "c.mp4", "-o", "t/", "--overwrite")
    assert code == 2 and "another input would write" in err
    assert (drawn / "c.mp4").read_bytes().endswith(b"x")


def test_a_report_replaces_a_report_only(run_cli: Cli, clip: Path, tiny: Path) -> None:
    before = clip.read_bytes()
    code, _, err = run_cli("benchmark", clip, "-o", clip, "--model", tiny)
    assert code == 1 and "no report that could be replaced" in err and clip.read_bytes() == before
    quick = ["benchmark", "--what", "network", "--batch", "1", "--threads", "1", "--repeats", "1", "--model", tiny]
    assert run_cli(*quick, "-o", "r.json", "--device", "cpu")[0] == 0
    assert run_cli(*quick, "-o", "r.json", "--compare", "r.json", "--device", "cpu")[0] == 0


def test_a_folder_of_videos_and_a_camera_are_told_apart(run_cli: Cli, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    with pytest.raises(SourceError, match="holds a video") as caught:
        open_source(folder)
    assert str(folder / "*.mp4") in str(caught.value)
    assert run_cli("predict", folder, "-q")[0] == 0 and sorted(os.listdir()) == [
        "a.csv",
        "a.csv.meta.json",
        "run.jsonl",
    ]
    code, _, err = run_cli("predict", "0")
    assert code == 1 and "affectkit live 0" in err


def test_frames_that_are_left_out_by_number_are_not_said_to_be_missing(run_cli: Cli, clip: Path) -> None:
    code, _, err = run_cli("predict", clip, "--start", 0.04, "--every", 1000)
    assert code == 1 and "multiple of --every 1000" in err and "no frame lies" not in err
    frames = np.zeros((10, 20, 20, 3), np.uint8)
    for options, message in (
        ({"start_s": 5.0}, "no frame lies"),
        ({"start_s": 0.05, "every": 100}, "multiple of every=100"),
    ):
        with pytest.raises(SourceError, match=message):
            list(open_source(frames, fps=25).frames(**options))  # type: ignore[arg-type]
    assert len(list(open_source(frames, fps=25).frames(start_s=0.2))) == 5


@pytest.mark.slow
@unix
@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams(closed: str, clip: Path, tiny: Path, tmp_path: Path) -> None:
    """A table is that of a run with all three: no message goes into a file that has taken their place."""
    for name, how in (("open", ""), ("closed", closed)):
        line = f'"{sys.executable}" -P -m affectkit predict "{clip}" -o {name}.csv --model "{tiny}" --debug {how}'
        run = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert run.returncode == 0 and "Traceback" not in run.stderr, run.stderr
    assert Path("open.csv").read_bytes() == Path("closed.csv").read_bytes()
    line = f'"{sys.executable}" -P -m affectkit predict gone.mp4 --model "{tiny}" {closed}'
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert run.returncode == 1 and "Traceback" not in run.stderr


@unix
@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_output_that_cannot_be_written_fails(where: str) -> None:
    if "full" in where and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = f'"{sys.executable}" -P -m affectkit models list {where}'
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "error" in run.stderr, run.stderr


UP = """
import signal, affectkit.__main__ as command
install = signal.signal
def noted(number, handler):
    install(number, handler)
    if number == signal.SIGINT:
        print("up", flush=True)
signal.signal = noted
command.main()
"""
"""The command, which says when it is ready for Ctrl-C: before that it is Python that starts."""


@pytest.mark.slow
@unix
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.5, 1.5])
def test_ctrl_c_again_and_again_is_never_a_traceback(after_s: float, tmp_path: Path, tiny: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", grey_frames(3000))
    command = [sys.executable, "-P", "-c", UP, "predict", str(path), "-o", "t.csv", "--model", str(tiny)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    time.sleep(after_s)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err and "Exception ignored" not in err and process.returncode in (130, -signal.SIGINT)
    assert not Path("t.csv").exists()


PRESSED = """
import os, runpy, signal, sys
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Press())
runpy.run_module("affectkit", run_name="__main__", alter_sys=True)
"""
"""The command; when it first asks for a module, Ctrl-C is pressed three times."""


@pytest.mark.slow
@unix
@pytest.mark.parametrize("module", ["affectkit.cli", "numpy", "cv2", "av", "onnxruntime"])
def test_ctrl_c_three_times_at_the_start(module: str, tmp_path: Path, tiny: Path) -> None:
    """While modules are still being loaded, where it was a traceback of the import that it met."""
    path = write_clip(tmp_path / "c.mp4", grey_frames(3))
    command = [sys.executable, "-P", "-c", PRESSED, module, "predict", str(path), "-o", "t.csv", "--model", str(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode in (130, -signal.SIGINT) and "Traceback" not in done.stderr, done.stderr
    assert not Path("t.csv").exists()


@pytest.mark.slow
@unix
def test_ctrl_c_with_several_processes(tmp_path: Path, tiny: Path) -> None:
    """All of them are pressed, as by a terminal, while they load."""
    clip = write_clip(tmp_path / "c.mp4", grey_frames(2000))
    clips = [str(tmp_path / f"c{k}.mp4") for k in range(60)]  # more than a quick machine has done until then
    for name in clips:
        os.link(clip, name)
    Path("t").mkdir()
    command = [*COMMAND, "predict", *clips, "--output-dir", "t", "-j", "2", "--model", str(tiny)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(1.5)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    _, err = process.communicate(timeout=60)
    # Pressed once more when Python itself ends, it ends by the signal, which a shell shows as the same number.
    assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in err, err

"""Deliberate faults of one line each, to see whether a test notices them. Run by hand:

    python -P tests/mutants.py                  # all of them, some ten minutes
    python -P tests/mutants.py --only tracking  # those whose file or text holds this word
    python -P tests/mutants.py --list

Each fault is made in a temporary copy of the installed package, against which the tests named beside it are run. A
fault is killed when a test fails, or when they take longer than the time limit. The exit code is 0 where at least 90 %
are killed. A fault whose text is no longer in its file, or with which the tests cannot even be collected, says nothing
about the tests: it counts as an error and has to be brought up to date.
"""

from __future__ import annotations

import argparse
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent
LIMIT_S = 300
"""For the tests of one fault; all tests without any are given ten times as long."""
WANTED = 0.9
OUTCOMES = {0: "passed", 1: "failed", 2: "error"}
"""By pytest's exit code; 2 is a file of tests that cannot be collected, such as when the fault breaks an import."""


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    file: str
    """Inside the package."""
    old: str
    """Exact text, which occurs once in the file."""
    new: str
    tests: str
    """Files of tests/, or tests in them, that ought to notice; separated by spaces."""


MTCNN = "test_mtcnn.py"
TRACKING = "test_tracking.py"
WATCH = "test_watch.py"
TIMES = "media/test_times.py"
LIVE = "sources/live.py"

MUTANTS = [
    # P-Net
    Mutant("faces/mtcnn.py", "np.column_stack([cells + 1, cells", "np.column_stack([cells, cells", MTCNN),
    Mutant("faces/mtcnn.py", "cells + PNET_WINDOW_PX])", "cells + PNET_WINDOW_PX - 1])", MTCNN),
    Mutant("faces/mtcnn.py", "((PNET_WINDOW_PX - 1) / scale)", "(PNET_WINDOW_PX / scale)", MTCNN),
    Mutant("faces/mtcnn.py", "np.column_stack([columns, rows]) *", "np.column_stack([rows, columns]) *", MTCNN),
    Mutant("faces/mtcnn.py", "best = nms(windows, scores, 0.5)", "best = nms(windows, scores, 0.9)", MTCNN),
    Mutant("faces/mtcnn.py", "_square(boxes[nms(boxes, scores, 0.7)])", "boxes[nms(boxes, scores, 0.7)]", MTCNN),
    Mutant("faces/tiled_search.py", "PYRAMID_FACTOR = 0.709", "PYRAMID_FACTOR = 0.8", MTCNN),
    Mutant(
        "faces/tiled_search.py",
        "rows + first, columns",
        "rows, columns",
        "media/test_gate_memory.py::test_strips_answer_as_the_whole",
    ),
    # the square, R-Net, O-Net
    Mutant("faces/mtcnn.py", "sides / 2 - side / 2", "sides / 2 - side", MTCNN),
    Mutant("faces/mtcnn.py", "sides.max(1, keepdims=True)", "sides.min(1, keepdims=True)", MTCNN),
    Mutant("faces/mtcnn.py", "boxes[:, 2:] - boxes[:, :2] + 1", "boxes[:, 2:] - boxes[:, :2]", MTCNN),
    Mutant(
        "faces/mtcnn.py", "(boxes[:, 2:] - boxes[:, :2]) / (size - 1)", "(boxes[:, 2:] - boxes[:, :2]) / size", MTCNN
    ),
    Mutant("faces/mtcnn.py", "(width - 1) / width, (height - 1) / height", "1.0, 1.0", MTCNN),
    Mutant("faces/mtcnn.py", "keep = scores >= self._thresholds[1]", "keep = scores >= self._thresholds[0]", MTCNN),
    Mutant("faces/mtcnn.py", "[:, :5] * sides[:, :1] - 1", "[:, :5] * sides[:, :1]", MTCNN),
    Mutant("faces/mtcnn.py", "boxes[:, 1:2] + answer", "boxes[:, :1] + answer", MTCNN),
    Mutant(
        "faces/mtcnn.py",
        "(scores >= self._thresholds[2]) & self._are_large(boxes)",
        "scores >= self._thresholds[2]",
        MTCNN,
    ),
    Mutant("faces/mtcnn.py", "0.7, over_smaller=True)", "0.7)", MTCNN),
    Mutant("faces/mtcnn.py", "score >= self._follow_threshold and", "score >= 0 and", MTCNN),
    Mutant("faces/mtcnn.py", "np.maximum(right + 1, 0)", "np.maximum(right, 0)", "test_faces.py::test_nms_by_hand"),
    Mutant("faces/mtcnn.py", "y + up * up_y", "y - up * up_y", "test_jitter.py::test_the_square_around_known_points"),
    # tracker
    Mutant("faces/tracking.py", "iou(t.last.box, face.box) < 0.05", "iou(t.last.box, face.box) < 2", TRACKING),
    Mutant("faces/tracking.py", "if step_s > 0:", "if step_s > 1e9:", TRACKING),
    Mutant("faces/tracks.py", "SLOWS_S = 1.5", "SLOWS_S = 1500.0", TRACKING),
    Mutant("faces/matching.py", "overlap + 2 * like -", "overlap -", TRACKING),
    Mutant("faces/matching.py", "- 0.2 * away - 0.05 * gone_s", "", TRACKING),
    Mutant("faces/matching.py", "return None if like < needed else", "return", TRACKING),
    Mutant("faces/matching.py", "needed = config.stayed_similarity", "needed = config.known_similarity", TRACKING),
    Mutant("faces/matching.py", "needed = config.known_similarity", "needed = config.stayed_similarity", TRACKING),
    Mutant("faces/matching.py", "needed = config.returned_similarity", "needed = config.stayed_similarity", TRACKING),
    Mutant(
        "faces/tracking.py",
        "if similarity(appearance, track.appearance) < self._config.same_similarity:",
        "if False:",
        TRACKING,
    ),
    Mutant(
        "faces/tracking.py",
        "np.float32(0.1) * (appearance - average)",
        "np.float32(0.0) * appearance",
        TRACKING,
    ),
    Mutant("faces/tracking.py", "config.hidden_s if crowded else", "config.moment_s if crowded else", TRACKING),
    Mutant("faces/tracking.py", "return self._drop_doubles(picture) or lost", "return lost", TRACKING),
    Mutant("faces/matching.py", "elif away < 1 + 2 * gone_s:", "elif away < 100 + 2 * gone_s:", TRACKING),
    Mutant("faces/boxes.py", "if 0.5 < other / size < 2 else None", "", TRACKING),
    Mutant(
        "faces/tracking.py",
        "calm = calm and (watched or len(active) == len(self._tracks))",
        "calm = calm",
        "test_faces.py::test_detects_seldom_while_nothing_happens_and_often_when_something_does",
    ),
    Mutant(
        "faces/appearance.py", "return product if product or (a.any() and b.any()) else 1.0", "return product", TRACKING
    ),
    # What is looked for between detections
    Mutant("faces/watch.py", "if not known:", "if known:", WATCH),
    Mutant("faces/watch.py", "enough or (known and index - self._looked_at < EVERY)", "enough", WATCH),
    Mutant("faces/watch.py", "self._detector is None or enough", "self._detector is None", WATCH),
    Mutant("faces/watch.py", "iou(face.box, box) < self._config.match_iou", "True", WATCH),
    Mutant("faces/watch.py", "SMALLER * side", "side * 2", WATCH),
    Mutant("faces/watch.py", "detector if config.settled_s else None", "detector", WATCH),
    Mutant("faces/schedule.py", "return watched and self._uneventful >= EMPTY", "return watched", WATCH),
    Mutant("faces/tracking.py", "elif found is not None:", "elif found is None:", WATCH),
    Mutant(
        "faces/mtcnn.py",
        "PNET_WINDOW_PX / scale <= smallest_px",
        "PNET_WINDOW_PX / scale > smallest_px",
        "test_detectors.py",
    ),
    Mutant("faces/tracking.py", "share = min(1.0, step_s / 0.2)", "share = 1.0", TRACKING),
    Mutant("faces/changes.py", "before[down, across] = now[down, across]", "pass", TRACKING),
    # align
    Mutant("align.py", "(spec.size - 1) / 2 - linear", "spec.size / 2 - linear", "test_align.py"),
    Mutant(
        "align.py",
        "2 * max(distance, height) * spec.margin",
        "2 * distance * spec.margin",
        "test_align.py",
    ),
    Mutant(
        "align.py", "[factor.real, -factor.imag, shift.real]", "[factor.real, factor.imag, shift.real]", "test_align.py"
    ),
    Mutant("align.py", "first = (side - spec.size) // 2", "first = 0", "test_align.py"),
    Mutant("warping.py", "half = (side - 1) / 2", "half = side / 2", "test_warping.py"),
    Mutant("picture.py", "+= (fx - 1) / 2, (fy - 1) / 2", "+= 0, 0", "test_picture.py"),
    Mutant("picture.py", "firsts * factors + (factors - 1) / 2", "firsts * factors", "test_picture.py"),
    # temporal
    Mutant("windows.py", "length - 1 - position) + 1", "length - 1 - position) * 0 + 1", "test_temporal.py"),
    Mutant("temporal.py", "max(1, config.length // 2)", "max(1, config.length // 4)", "test_temporal.py"),
    Mutant("windows.py", "[:, 0, answered - start :]", "[:, 0, :]", "test_temporal.py"),
    Mutant(
        "temporal.py",
        "return since is not None and time_s - since > self",
        "return since is not None and time_s - since >= 0.4 + 0 * self",
        "test_temporal.py",
    ),
    Mutant(
        "temporal.py",
        "self._config.max_gap_s, 2 * typical_s",
        "self._config.max_gap_s, 0 * typical_s",
        "test_temporal.py",
    ),
    Mutant("temporal.py", "opened + count", "opened + 1 + count", "test_temporal.py"),
    Mutant("temporal.py", "if spare > 0:", "if spare > 1e9:", "test_temporal.py"),
    # smooth
    Mutant("smooth.py", "if kept[0].max() >= old_s}", "}", "test_smooth.py"),
    Mutant("smooth.py", "<= self._seconds / 2 + 1e-9]", "< self._seconds / 2 - 1e-9]", "test_smooth.py"),
    Mutant("smooth.py", "kept = np.where(there, values, average)", "kept = values", "test_smooth.py"),
    Mutant(
        "smooth.py", "result.time_s < self._held[-1].time_s", "result.time_s <= self._held[-1].time_s", "test_smooth.py"
    ),
    Mutant("smooth.py", "image=None)  # pictures", "image=result.image)  # pictures", "test_smooth.py"),
    # readout
    Mutant(
        "readout.py",
        "logits - np.log(spec.expression_prior)",
        "logits + np.log(spec.expression_prior)",
        "test_visible.py::test_balanced_divides_by_the_prior",
    ),
    Mutant("readout.py", "au_p >= spec.label_thresholds", "au_p > spec.label_thresholds", "test_readout.py"),
    Mutant(
        "readout.py",
        "probability @ np.linspace(-1, 1, bins)",
        "probability @ np.linspace(-1, 1, bins + 1)[:-1]",
        "test_readout.py",
    ),
    Mutant(
        "readout.py",
        "(pose[:, 2] + turns)",
        "(pose[:, 2] - turns)",
        "test_visible.py::test_the_roll_is_that_in_the_picture",
    ),
    Mutant(
        "readout.py",
        "au_std = members_au.std(0)",
        "au_std = members_au.std(0, ddof=min(1, members - 1))",
        "test_readout.py",
    ),
    # sinks
    Mutant(
        "outputs/writers.py",
        "os.truncate(self._rows_path, length)",
        "os.truncate(self._rows_path, length + 1)",
        "test_sinks.py",
    ),
    Mutant("outputs/layouts.py", "result.index + 1, face.track_id", "result.index, face.track_id", "test_sinks.py"),
    Mutant(
        "outputs/layouts.py", "return _number(result.time_s, 9)", "return _number(result.time_s, 3)", "test_sinks.py"
    ),
    Mutant(
        "outputs/layouts.py",
        "[None if gone else int(active) for",
        "[int(active) for",
        "test_visible.py::test_columns_and_empty_values_of_each_format",
    ),
    Mutant("outputs/layouts.py", "{int(time_s) // 60:02d}:", "{int(time_s) // 100:02d}:", "test_sinks.py"),
    Mutant(
        "outputs/layouts.py",
        'return f"./{name}" if',
        "return name if",
        "test_misuse.py::test_file_names_are_no_formulas",
    ),
    Mutant("outputs/contact_sheet.py", "face.score * frontal * math", "math", "test_people.py"),
    Mutant("outputs/contact_sheet.py", "* math.sqrt(max(0.0, width * height))", "", "test_people.py"),
    Mutant("outputs/contact_sheet.py", "if rank > person.rank:", "if rank >= person.rank:", "test_people.py"),
    # sources
    Mutant("sources/span.py", "if time_s >= self.end_s:", "if time_s > self.end_s:", "test_sources.py"),
    Mutant("sources/span.py", "not time_s < self.start_s", "not time_s <= self.start_s", "test_sources.py"),
    Mutant("sources/span.py", "if index % self.every == 0:", "if self.inside % self.every == 0:", "test_sources.py"),
    Mutant("sources/span.py", "if index >= self.first:", "if index > self.first:", "test_sources.py"),
    Mutant("sources/span.py", "self.inside += 1", "self.inside += 0", "test_sources.py"),
    Mutant(
        LIVE,
        "not 0 <= clock_s - before_s <= LARGEST_STEP_S",
        "not 0 < clock_s - before_s <= LARGEST_STEP_S",
        "test_live.py::test_a_clock_that_stands_still_is_no_jump",
    ),
    Mutant("sources/timing.py", "backwards += frame.pts <= last", "backwards += frame.pts < last - 99999", TIMES),
    Mutant("sources/timing.py", "if time_s > self.last_s - self._step_s:", "if time_s > self.last_s:", TIMES),
]


def copied(package: Path, into: Path) -> Path:
    """The package's modules, compiled; its models and weights are linked to."""
    target = into / package.name
    for folder, _, names in os.walk(package):
        here = Path(folder)
        if here.name == "__pycache__":
            continue
        (target / here.relative_to(package)).mkdir(parents=True, exist_ok=True)
        for name in names:
            file, there = here / name, target / here.relative_to(package) / name
            if file.suffix == ".py":
                shutil.copy2(file, there)
                compiled(there)
            else:
                there.symlink_to(file)
    return target


def compiled(file: Path) -> None:
    """Checked by its contents: a fault may leave size and time of a file as they were."""
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def run_tests(names: list[str], path: Path, limit_s: float = LIMIT_S) -> tuple[str, str]:
    """How the tests end on the package in ``path`` (passed, failed, error), and the line that says why."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *names]
    try:
        done = subprocess.run(
            command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return "failed", "took too long"
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"error: pytest itself failed:\n{done.stdout}\n{done.stderr}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    why = failed[0].split(" - ")[0].removeprefix("FAILED tests/") if failed else ""
    return OUTCOMES[done.returncode], why


def installed() -> Path:
    """Where the package is."""
    import affectkit

    return Path(affectkit.__file__).parent


def main() -> None:
    """Make each fault, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults whose file or text holds this")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if arguments.only in f"{m.file} {m.old} {m.tests}"]
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.file}: {mutant.old!r} -> {mutant.new!r} [{mutant.tests}]")
        return
    killed, stale = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        package = copied(installed(), Path(folder))
        every = sorted({f"tests/{name}" for mutant in chosen for name in mutant.tests.split()})
        outcome, why = run_tests(every, Path(folder), 10 * LIMIT_S)
        if outcome != "passed":
            raise SystemExit(f"error: the tests fail without any fault: {why}")
        for mutant in chosen:
            file, name = package / mutant.file, f"{mutant.file}: {' '.join(mutant.old.split())[:70]}"
            before = file.read_text()
            if before.count(mutant.old) != 1 or mutant.old == mutant.new:
                stale += 1
                print(f"ERROR     {name}: its text is there {before.count(mutant.old)} times", flush=True)
                continue
            begin = time.monotonic()
            file.write_text(before.replace(mutant.old, mutant.new))
            outcome, why = run_tests([f"tests/{name}" for name in mutant.tests.split()], Path(folder))
            file.write_text(before)
            killed += outcome == "failed"
            stale += outcome == "error"
            told = {"passed": "SURVIVED", "failed": "killed  ", "error": "ERROR   "}[outcome]
            print(f"{told}  {time.monotonic() - begin:5.1f} s  {name}  {why}", flush=True)
    total = len(chosen) - stale
    print(f"{killed} of {total} killed ({killed / max(1, total):.0%})" + (f", {stale} to mend" if stale else ""))
    sys.exit(0 if not stale and killed >= WANTED * total else 1)


if __name__ == "__main__":
    main()

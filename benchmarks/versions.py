"""The same numbers with the oldest and the newest dependencies, on every Python that is supported.

    python -P benchmarks/versions.py     # samples/astronaut.mp4, clips of ../shared/clips, pictures
    python -P benchmarks/versions.py clips/* --pythons python3.11 python3.13 -o benchmarks/results/versions.json

For each interpreter two environments are made: `oldest` holds exactly the lower bounds of pyproject.toml (dependencies
and the extras `cpu` and `heif`), or where one has no wheel for that Python the oldest release that has; `newest` what
pip takes today. A wheel built from the tree is installed without looking at its dependencies, which are there. Each
runs `affectkit predict` with `lite` in float32 and in int8, on pictures and videos, and on videos with `--temporal`;
the five points of each face come from `Predictor.stream`. All tables are compared with those of the first environment:
it prints the largest difference of each kind of number, and exits with 1 where rows, labels or more than `--tolerance`
differ.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.11", "3.12", "3.13")
EXTRAS = ("cpu", "heif")
CLIPS = ("utterance_1.mp4", "single_face.mp4", "noface_face.mov", "single_face.jpg", "multi_face.jpg", "rgba.png")
VIDEOS = (".mp4", ".mov")
WAYS = {"lite": ["--precision", "fp32"], "lite-int8": ["--precision", "int8"], "lite-temporal": ["--temporal"]}
"""Options by the model that runs; the last one on videos only."""

KINDS = {
    "points px": r"point_.*",
    "box px": r"FaceRect.*",
    "AU": r"AU\d\d",
    "intensity": r"AU\d\d_i",
    "VA": r"valence|arousal",
    "expression": r"neutral|anger|disgust|fear|happiness|sadness|surprise",
    "pose deg": r"pitch|yaw|roll",
    "other": r"visible_.*|quality|confidence|timestamp",
}
"""Columns by kind; what is in none has to be equal: frames, identities, decisions, labels."""

HELD = ("AU", "intensity", "VA", "expression", "other")
"""Kinds in units of 1, which the tolerance is for; points and boxes have ten times that many pixels, angles degrees."""

INSIDE = """
import csv, json, sys
from affectkit import Predictor
from affectkit.cli import main
commands, inputs, table = json.loads(sys.argv[1])
for given in commands:
    sys.argv[1:] = given
    try:
        main()
    except SystemExit as left:
        if left.code:
            sys.exit(f"affectkit {' '.join(given)}: exit code {left.code}")
with Predictor(precision="fp32", temporal=False) as predictor, open(table, "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["input", "frame", "face_id", *(f"point_{a}{i}" for i in range(5) for a in "xy")])
    for path in inputs:
        for result in predictor.stream(path):
            for face in result.faces:
                points = face.landmarks.reshape(-1).tolist()
                rows.writerow([path, result.index, face.track_id, *(f"{value:.4f}" for value in points)])
"""
"""Runs in an environment: commands in one process, which loads its libraries once; then the points."""

POINTS = "points.csv"
"""The table that is written last."""

Rows = dict[tuple[str, ...], dict[str, str]]


def bounds() -> dict[str, str]:
    """Lowest release by package, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    return {name: least for one in asked for name, least in re.findall(r"^([\w.-]+)>=([\w.]+)", one)}


def key(release: str) -> tuple[int, ...]:
    """To sort releases by, without trailing zeros."""
    numbers = [int(part) for part in re.findall(r"\d+", release)]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def oldest(python: Path, name: str, least: str) -> str:
    """The oldest release of a package, from a bound on, that has a wheel for an interpreter."""
    # Asked for a release that cannot be, pip lists those with wheels.
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--only-binary",
        ":all:",
        f"{name}==0.0.0.dev0",
    ]
    said = subprocess.run(command, capture_output=True, text=True).stderr
    listed = re.search(r"\(from versions: ([^)]*)\)", said)
    if listed is None:
        raise SystemExit(f"pip does not list the releases of {name}: {said}")
    found = [one.strip() for one in listed[1].split(",") if re.fullmatch(r"[\d.]+", one.strip())]
    return min((one for one in found if key(one) >= key(least)), key=key)


def environment(python: str, kind: str, wheel: Path, folder: Path) -> Path:
    """Make one, or take the one that is there; its interpreter."""
    inside = folder / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
    names = bounds()
    if kind == "oldest":
        wanted = [f"{name}=={oldest(inside, name, least)}" for name, least in names.items()]
    else:
        wanted = ["--upgrade", *names]
    pip = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--only-binary", ":all:", *wanted], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True)
    subprocess.run([inside, "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
    return inside


def installed(python: Path) -> dict[str, str]:
    """Release by package, of those that are bounded."""
    command = [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {one["name"].lower(): one["version"] for one in listed if one["name"].lower() in bounds()}


def pictures(folder: Path) -> list[Path]:
    """A frame of the sample clip as PNG, JPEG, WebP, AVIF and HEIC."""
    sys.path.insert(0, str(ROOT / "tests" / "media"))
    import av
    from odd_pictures import tiled_picture

    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(ROOT / "samples" / "astronaut.mp4")) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    from PIL import Image

    left = (frame.shape[1] - frame.shape[0]) // 2 & ~1
    square = frame[:352, left : left + 352]
    made = [folder / f"frame.{suffix}" for suffix in ("png", "jpg", "webp", "avif")]
    for path in made:
        Image.fromarray(square).save(path)
    return [*made, tiled_picture(folder / "frame.heic", [square], 1)]


def run(python: Path, inputs: Sequence[Path], folder: Path) -> None:
    """Write all tables of one environment."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [str(path) for path in inputs]
    videos = [name for name in given if name.endswith(VIDEOS)]
    commands = []
    for way, options in WAYS.items():
        for path in videos if "--temporal" in options else given:
            place = str(folder / f"{way}-{Path(path).name}.csv")
            commands.append(["predict", path, "-o", place, *options, "--quiet", "--overwrite"])
    asked = json.dumps([commands, given, str(folder / POINTS)])
    if subprocess.run([python, "-P", "-c", INSIDE, asked]).returncode:
        raise SystemExit(f"{python} failed")


def read(path: Path) -> Rows:
    """Rows of a table by input, frame and face."""
    with path.open(newline="") as file:
        return {(row["input"], row["frame"], row["face_id"]): row for row in csv.DictReader(file)}


def differences(ours: Path, first: Path) -> tuple[dict[str, float], int]:
    """Largest difference by kind of all tables of two environments, and how many other cells or rows are not equal."""
    largest, unequal = dict.fromkeys(KINDS, 0.0), 0
    names = {path.name for folder in (ours, first) for path in folder.glob("*.csv")}
    for name in sorted(names):
        left, right = read(ours / name), read(first / name)
        unequal += len(left.keys() ^ right.keys())
        for place in left.keys() & right.keys():
            for column, text in left[place].items():
                other = right[place][column]
                kind = next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, column)), None)
                if text == other:
                    continue
                if kind is None or not text or not other:
                    unequal += 1
                else:
                    largest[kind] = max(largest[kind], abs(float(text) - float(other)))
    return largest, unequal


def table(found: Iterable[tuple[str, dict[str, str], dict[str, float], int]]) -> str:
    """Markdown: a row for each environment."""
    lines = [
        "| environment | OpenCV | ONNX Runtime | PyAV | numpy | Pillow | " + " | ".join(KINDS) + " | unequal cells |",
        "|---" * (len(KINDS) + 7) + "|",
    ]
    for name, releases, largest, unequal in found:
        packages = ("opencv-python-headless", "onnxruntime", "av", "numpy", "pillow")
        cells = [name, *(releases[one] for one in packages), *(f"{largest[kind]:.2g}" for kind in KINDS), str(unequal)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def interpreters(given: Sequence[str]) -> dict[str, str]:
    """Those that run, by their version: the given ones, else every supported one that pyenv or PATH has."""
    here = Path.home() / ".pyenv" / "versions"
    wanted = given or [
        *(str(path / "bin" / "python") for path in sorted(here.glob("3.*"))),
        *(f"python{version}" for version in SUPPORTED),
    ]
    found: dict[str, str] = {}
    for python in wanted:
        try:
            asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue
        if version in SUPPORTED:
            found.setdefault(version, python)
    return found


def main() -> None:
    """Make the environments, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--pythons", nargs="+", default=[], help="interpreters  [default: those of pyenv and PATH]")
    parser.add_argument(
        "--work", type=Path, help="folder to keep environments and tables in  [default: a temporary one]"
    )
    parser.add_argument("--keep", action="store_true", help="go on from what an interrupted run left in --work")
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("-o", "--output", type=Path, help="JSON with the numbers")
    arguments = parser.parse_args()
    shared = ROOT.parent / "shared" / "clips"
    inputs = arguments.inputs or [
        ROOT / "samples" / "astronaut.mp4",
        *(shared / name for name in CLIPS if (shared / name).exists()),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).resolve()
        inputs = [*(path.resolve() for path in inputs), *pictures(work / "pictures")]
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(work / "wheel"), str(ROOT)]
        subprocess.run(build, check=True)
        (wheel,) = (work / "wheel").glob("affectkit-*.whl")
        found = []
        first: Path | None = None
        for version, python in interpreters(arguments.pythons).items():
            for kind in ("newest", "oldest"):
                name = f"{version} {kind}"
                print(name, file=sys.stderr, flush=True)
                folder = work / name.replace(" ", "-")
                inside = folder / "venv" / "bin" / "python"
                if not (arguments.keep and (folder / "tables" / POINTS).exists()):
                    inside = environment(python, kind, wheel, folder / "venv")
                    run(inside, inputs, folder / "tables")
                first = first or folder / "tables"
                found.append((name, installed(inside), *differences(folder / "tables", first)))
        print(table(found))
    if arguments.output:
        rows = [
            {"environment": name, "releases": releases, "largest": largest, "unequal": unequal}
            for name, releases, largest, unequal in found
        ]
        document = {"inputs": [path.name for path in inputs], "rows": rows}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    far = [row for row in found if row[3] or max(row[2][kind] for kind in HELD) > arguments.tolerance]
    sys.exit(1 if far or not found else 0)


if __name__ == "__main__":
    main()

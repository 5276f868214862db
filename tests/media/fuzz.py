"""Mutated videos, pictures, model folders and notes: rows or one line, no crash, no hang, no leftover, under 1 GB each.

    make fuzz
    python -P tests/media/fuzz.py --seconds 120 --seed 1
    python -P tests/media/fuzz.py --count 10000 --kinds videos -o fuzz.json

What is mutated is made first, by FFmpeg and Pillow: small files of every kind. The mutations are plain ones, chosen by
a seeded generator: bytes changed, sizes and other numbers set to their extremes (mostly near the beginning, where the
headers are), pieces cut out, doubled, moved, taken from another file, the end cut off. The decoders are FFmpeg's, built
without instrumentation, so that a fuzzer that follows the program's branches (atheris) would see nothing of them.

Each worker is a process of its own: one that dies, or says nothing for 20 s, is a fault, and is replaced. Faults are
kept in --faults, with the command that repeats one: python -P tests/media/fuzz.py --repeat FILE.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

HERE = Path(__file__).parent
TINY = HERE.parent / "data" / "tiny"
KINDS = ("videos", "pictures", "models", "notes")
HANGS_S = 20.0
MOST_MB = 1024
TELLS_EVERY = 250
"""Files from one line of how far it is to the next."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def corpus(kind: str, folder: Path) -> list[Path]:
    """Small files of one kind that are as they should be, and some that are not."""
    sys.path[:0] = [str(HERE.parent)]
    return {"videos": _videos, "pictures": _pictures, "models": _models, "notes": _notes}[kind](folder)


def _videos(folder: Path) -> list[Path]:
    import av
    import numpy as np
    from av.stream import Disposition
    from media import odd_files
    from synthetic import write_clip

    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
    frames = [np.roll(base, 3 * k, axis=1) for k in range(8)]
    made = [
        write_clip(folder / f"h264.{suffix}", frames, sound=suffix in ("mp4", "mkv"))
        for suffix in ("mp4", "mkv", "mov", "ts", "flv", "avi", "h264")
    ]
    for suffix, codec in (("webm", "libvpx"), ("mpeg4.avi", "mpeg4"), ("mpeg4.mp4", "mpeg4")):
        if codec in av.codecs_available:
            made.append(write_clip(folder / f"x.{suffix}", frames, codec=codec))
    made += [
        odd_files.odd_avi(folder / "mjpeg.avi"),
        odd_files.with_profile(folder / "profile.mov"),
        odd_files.huge_gif(folder / "a.gif", 64, 48),
        odd_files.raw_video(folder / "raw.avi", 96, 64),
        odd_files.several_streams(folder / "s.mkv", [(2, 50, Disposition(0)), (5, 90, Disposition.default)]),
        odd_files.endless_playlist(folder / "self.m3u8"),
        odd_files.concat_script(folder / "script.mp4", made[0]),
        odd_files.session_description(folder / "session.mp4"),
    ]
    return made


def _pictures(folder: Path) -> list[Path]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
    picture, made = Image.fromarray(pixels), []
    exif = Image.Exif()
    exif[274] = 6
    for name, options in (
        ("a.png", {}),
        ("a.jpg", {"exif": exif}),
        ("b.jpg", {"progressive": True}),
        ("a.webp", {}),
        ("a.bmp", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.ppm", {}),
        ("a.avif", {}),
        ("a.jp2", {}),
    ):
        try:
            picture.save(folder / name, **options)
        except (OSError, ValueError, KeyError):  # a build of Pillow without this format
            continue
        made.append(folder / name)
    for name in ("m.gif", "m.webp", "m.png", "m.tif"):
        others = [Image.fromarray(np.roll(pixels, 5 * k, 1)) for k in (1, 2)]
        picture.save(folder / name, save_all=True, append_images=others)
        made.append(folder / name)
    made += _heif(folder, picture)
    grey = Image.fromarray((pixels[:, :, 0].astype(np.uint16) << 8) + 7)
    grey.save(folder / "deep.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "cmyk.jpg")
    return [*made, folder / "deep.png", folder / "cmyk.jpg"]


def _heif(folder: Path, picture: Any) -> list[Path]:
    """One picture and several, where pillow-heif, which writes them, is installed."""
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return []
    one, several = pillow_heif.HeifFile(), pillow_heif.HeifFile()
    one.add_from_pillow(picture)
    for turn in range(3):
        several.add_from_pillow(picture.rotate(90 * turn))
    for file, name in ((one, "a.heic"), (several, "m.heic")):
        file.save(folder / name)
    return [folder / "a.heic", folder / "m.heic"]


def _models(folder: Path) -> list[Path]:
    made = []
    for file in sorted(TINY.iterdir()):
        if file.is_file():
            made.append(Path(shutil.copy(file, folder / file.name)))
    return made


def _notes(folder: Path) -> list[Path]:
    """What an interrupted run leaves."""
    import numpy as np
    from synthetic import write_clip

    from affectkit import Predictor
    from affectkit.runs.run import Job, run_job

    clip = write_clip(folder / "clip.mp4", [np.full((48, 64, 3), 5 * k, np.uint8) for k in range(12)])
    job = Job(str(clip), folder / "t.csv")

    def stop(results: Any, source: Any) -> Iterator[Any]:
        for k, result in enumerate(results):
            if k == 6:
                raise KeyboardInterrupt
            yield result

    from affectkit.runs import run as jobs

    usual, jobs.CHECKPOINT_S = jobs.CHECKPOINT_S, 0.0
    try:
        with suppress(KeyboardInterrupt):
            run_job(Predictor(TINY, batch_size=2, threads=1, min_face_px=96), job, watch=stop)
    finally:
        jobs.CHECKPOINT_S = usual
    (folder / "source.txt").write_text(str(clip))  # a note goes with the very file
    return [path for path in folder.iterdir() if path.name.endswith(".resume")]


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A few random changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8, 30))):
        if not changed:
            break
        near = min(len(changed), rng.choice((64, 1024, len(changed), len(changed))))
        at = rng.randrange(near)
        what = rng.randrange(9)
        if what < 3:
            changed[at] = rng.randrange(256)
        elif what == 3:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 4:
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(EXTREMES) & (256**size - 1)
            changed[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
        elif what == 5:
            del changed[at : at + rng.choice((1, 4, 100, 5000))]
        elif what == 6:
            piece = changed[at : at + rng.choice((4, 64, 2000))]
            to = rng.randrange(len(changed))
            changed[to:to] = piece
        elif what == 7 and other:
            start = rng.randrange(len(other))
            changed[at : at + 200] = other[start : start + rng.choice((16, 200, 3000))]
        elif what == 8 and rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def attempt(predictor: Any, kind: str, path: Path, scratch: Path) -> str:
    """Do with one file what a user would; ``rows``, ``error: ...``, or ``fault: ...``."""
    from affectkit import Predictor
    from affectkit.errors import AffectKitError
    from affectkit.options import OutputOptions
    from affectkit.runs.run import Job, run_job

    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        if kind in ("videos", "pictures"):
            run_job(predictor, Job(str(path), out / "t.csv"))
        elif kind == "models":
            with Predictor(path, threads=1, detector=predictor.detector) as other:
                other.predict_aligned(_faces(other))
        else:
            for file in path.iterdir():
                shutil.copy(file, out / file.name)
            source = (path / "source.txt").read_text()
            run_job(predictor, Job(source, out / "t.csv"), outputs=OutputOptions(resume=True))
    except (AffectKitError, ValueError) as error:
        said = str(error)
        left = sorted(file.name for file in out.iterdir())
        if kind in ("videos", "pictures") and left:
            return f"fault: left {left} after: {said}"
        # ValueErrors of our own are misuse; the others come from where none was expected.
        if not isinstance(error, AffectKitError):
            deepest = traceback.extract_tb(error.__traceback__)[-1].filename
            if "affectkit" not in deepest:
                return f"fault: {type(error).__name__} in {deepest}: {said}"
        return f"fault: more than one line: {said!r}" if "\n" in said.strip() else f"error: {said}"
    except Exception as error:
        trace = traceback.extract_tb(error.__traceback__)[-1]
        return f"fault: {type(error).__name__}: {error} ({Path(trace.filename).name}:{trace.lineno})"
    if kind in ("videos", "pictures") and {f.name for f in out.iterdir()} != {"t.csv", "t.csv.meta.json"}:
        return f"fault: left {sorted(file.name for file in out.iterdir())}"
    return "rows"


def _faces(predictor: Any) -> Any:
    import numpy as np

    given = predictor.spec.input
    return np.full((2, given.size, given.size, given.channels), 90, np.uint8)


def serve() -> None:
    """In a worker: files by name on standard input, what came of them on standard output."""
    import cv2

    from affectkit import Predictor

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    said, sys.stdout = sys.stdout, sys.stderr
    # Small faces are not looked for: in 64 million pixels that takes a minute a frame, which is work and no hang.
    with (
        Predictor(TINY, threads=1, batch_size=2, min_face_px=96) as predictor,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for line in sys.stdin:
            kind, path = json.loads(line)
            Path("/proc/self/clear_refs").write_text("5")  # begins the peak of memory again
            result = attempt(predictor, kind, Path(path), Path(scratch))
            status = Path("/proc/self/status").read_text()
            peak = int(next(row for row in status.splitlines() if row.startswith("VmHWM")).split()[1]) >> 10
            print(json.dumps([result, peak]), file=said, flush=True)


class Worker:
    """A process that tries one file after another, and is replaced where it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answers: Queue[str] = Queue()

        def read(answers: Queue[str]) -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put("")

        Thread(target=read, args=(self._answers,), daemon=True).start()
        return process

    def attempt(self, kind: str, path: Path) -> tuple[str, int, float]:
        """What came of a file, MB of memory at most, seconds."""
        began = time.monotonic()
        starts = self._process is None
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=HANGS_S + 40 * starts)
        except Empty:
            self.close()
            return "fault: hangs", 0, time.monotonic() - began
        if not answer:
            code = self._process.wait()
            self.close()
            return f"fault: the process died ({code})", 0, time.monotonic() - began
        result, peak = json.loads(answer)
        result = f"fault: {peak} MB" if peak > MOST_MB and not result.startswith("fault") else result
        return result, peak, 0.0 if starts else time.monotonic() - began

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def run(kind: str, count: int, seconds: float, seed: int, workers: int, faults: Path) -> dict[str, Any]:
    """Mutate and try; how often what came of it, and the worst."""
    with tempfile.TemporaryDirectory(prefix="affectkit-fuzz-") as scratch:
        where = Path(scratch)
        (where / "corpus").mkdir()
        files = corpus(kind, where / "corpus")
        contents = [file.read_bytes() for file in files]
        outcomes: Counter[str] = Counter()
        worst = {"peak_mb": 0, "seconds": 0.0}
        until = time.monotonic() + seconds
        found: list[str] = []

        def work(number: int) -> None:
            worker, mine = Worker(), where / f"w{number}"
            mine.mkdir()
            for k in range(number, count, workers):
                if time.monotonic() > until:
                    break
                rng = random.Random(f"{seed}-{kind}-{k}")
                chosen = rng.randrange(len(files))
                data = mutate(rng, contents[chosen], rng.choice(contents))
                path = mine / files[chosen].name
                if kind in ("models", "notes"):  # a folder of which one file was changed
                    shutil.rmtree(mine)
                    shutil.copytree(where / "corpus", mine)
                path.write_bytes(data)
                tried = mine if kind in ("models", "notes") else path
                result, peak, took_s = worker.attempt(kind, tried)
                outcomes[result.partition(":")[0]] += 1
                if sum(outcomes.values()) % TELLS_EVERY == 0:
                    print(f"{kind}: {dict(outcomes)}, {worst}", file=sys.stderr, flush=True)
                worst["peak_mb"], worst["seconds"] = max(worst["peak_mb"], peak), max(worst["seconds"], took_s)
                if result.startswith("fault"):
                    faults.mkdir(parents=True, exist_ok=True)
                    kept = faults / f"{kind}-{seed}-{k}-{path.name.lstrip('.')}"
                    kept.write_bytes(data)
                    found.append(f"{kept.name}: {result}")
                    print(f"{kept}: {result[:300]}", flush=True)
            worker.close()

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return {"kind": kind, "tried": sum(outcomes.values()), **outcomes, **worst, "faults": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1e9, help="for all kinds together")
    parser.add_argument("--count", type=int, default=10**9, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--faults", type=Path, default=Path("fuzz-faults"))
    parser.add_argument("--repeat", type=Path, help="a video or picture that was kept")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    if arguments.repeat is not None:
        worker = Worker()
        print(worker.attempt("videos", arguments.repeat.resolve()))
        return worker.close()
    rows = []
    for kind in arguments.kinds:
        row = run(
            kind,
            arguments.count,
            arguments.seconds / len(arguments.kinds),
            arguments.seed,
            arguments.workers,
            arguments.faults,
        )
        rows.append(row)
        print({name: value for name, value in row.items() if name != "faults"}, flush=True)
        if arguments.output is not None:
            arguments.output.write_text(json.dumps({"seed": arguments.seed, "rows": rows}, indent=2) + "\n")
    sys.exit(1 if any(row["faults"] for row in rows) else 0)


if __name__ == "__main__":
    main()

"""The fuzzer itself: `make fuzz` runs it for longer."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from media import fuzz

from affectkit import Predictor


def test_the_same_seed_changes_the_same_bytes() -> None:
    data = bytes(range(256)) * 8
    one, other = (fuzz.mutate(random.Random("7"), data, b"abc" * 99) for _ in range(2))
    assert one == other != data


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["videos", "pictures", "notes"])
def test_what_is_not_mutated_gives_rows(tmp_path: Path, kind: str) -> None:
    folder, scratch = tmp_path / "corpus", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    files = fuzz.corpus(kind, folder)
    assert files
    with Predictor(fuzz.TINY, threads=1, batch_size=2, min_face_px=96) as predictor:
        for path in [folder] if kind == "notes" else files:
            refused = path.name in ("self.m3u8", "script.mp4", "session.mp4")
            expected = ("error", "rows")[not refused]
            assert fuzz.attempt(predictor, kind, path, scratch).partition(":")[0] == expected, path


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_some_mutations_do_no_harm(tmp_path: Path, kind: str) -> None:
    folder, scratch, mine = tmp_path / "corpus", tmp_path / "scratch", tmp_path / "mine"
    folder.mkdir()
    scratch.mkdir()
    files = fuzz.corpus(kind, folder)
    with Predictor(fuzz.TINY, threads=1, batch_size=2, min_face_px=96) as predictor:
        for k in range(12):
            rng = random.Random(f"1-{kind}-{k}")
            chosen = files[k % len(files)]
            shutil.rmtree(mine, ignore_errors=True)
            shutil.copytree(folder, mine)
            path = mine / chosen.name
            path.write_bytes(fuzz.mutate(rng, chosen.read_bytes(), files[0].read_bytes()))
            tried = mine if kind in ("models", "notes") else path
            assert not fuzz.attempt(predictor, kind, tried, scratch).startswith("fault"), k

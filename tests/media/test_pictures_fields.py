"""Interlaced video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media.odd_pictures import combed, interlaced

from affectkit.sources.live import LiveSource
from affectkit.sources.opening import open_source


def combs(image: np.ndarray) -> float:
    """How far every row is from the mean of its neighbours, in the mean, over what lies two rows apart."""
    rows = image[..., 0].astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean() - np.abs(rows[2:] - rows[:-2]).mean())


@pytest.mark.parametrize("name", ["i.mpg", "i.ts", "i.mkv"])
def test_marked_frames_lose_their_combs(tmp_path: Path, name: str) -> None:
    path = interlaced(tmp_path / name, combed())
    source = open_source(path)
    smooth = list(source.frames())
    assert max(combs(f.image) for f in smooth) < 1.5
    raw = open_source(path, deinterlace=False)
    as_it_is = list(raw.frames())
    assert len(smooth) == len(as_it_is) == 12
    assert [f.index for f in smooth] == list(range(12))
    assert [f.time_s for f in smooth] == [f.time_s for f in as_it_is]
    assert source.report.deinterlaced == 12 and raw.report.deinterlaced == 0
    assert min(combs(f.image) for f in as_it_is) > 5
    for i, frame in enumerate(smooth):  # each is that moment, not the one before: its first field
        left = 8 + 4 * 2 * i
        assert frame.image[20:70, left + 6 : left + 16].mean() > 200
        assert frame.image[20:70, left + 36 :].mean() < 60


def test_other_frames_are_as_they_were(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "p.mpg", combed(), flagged=False)
    source, raw = open_source(path), open_source(path, deinterlace=False)
    for one, other in zip(source.frames(), raw.frames(), strict=True):
        assert np.array_equal(one.image, other.image)
    assert source.report.deinterlaced == 0


def test_a_part_of_an_interlaced_video(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "i.mkv", combed())
    whole = list(open_source(path).frames())
    part = list(open_source(path).frames(start_s=whole[4].time_s, end_s=whole[9].time_s, every=2))
    assert [f.index for f in part] == [4, 6, 8]
    assert all(np.array_equal(f.image, whole[f.index].image) for f in part)


def test_live_too(tmp_path: Path) -> None:
    """A file at its own pace: some frames may be left out, none has combs."""
    source = LiveSource(interlaced(tmp_path / "i.mkv", combed()))
    shown = list(source.frames())
    assert shown and max(combs(f.image) for f in shown) < 1.5
    assert source.report.frames == 12

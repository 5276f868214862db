"""HEIF files that hold a sequence of pictures: every frame of it, with its time."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media.odd_pictures import box, tiled_picture
from synthetic import grey_frames, write_clip

from affectkit.errors import SourceError
from affectkit.sources.kinds import is_picture, is_sequence
from affectkit.sources.opening import open_source

needs_hevc = pytest.mark.skipif("libx265" not in av.codecs_available, reason="this FFmpeg does not write HEVC")


def sequence(path: Path, begin: bytes) -> Path:
    """``begin``, a whole HEIF file or only its first box, and five frames at 10 a second as a track of pictures."""
    clip = write_clip(path.with_name("clip.mp4"), grey_frames(5), fps=10, codec="libx265")
    data = clip.read_bytes()
    clip.unlink()
    first = int.from_bytes(data[:4], "big")
    rest = bytearray(data[first:].replace(b"vide" + bytes(12), b"pict" + bytes(12), 1))
    at = rest.index(b"stco")
    for k in range(int.from_bytes(rest[at + 8 : at + 12], "big")):
        place = slice(at + 12 + 4 * k, at + 16 + 4 * k)
        rest[place] = (int.from_bytes(rest[place], "big") + len(begin) - first).to_bytes(4, "big")
    path.write_bytes(begin + rest)
    return path


@needs_hevc
@pytest.mark.parametrize("name", ["s.heics", "s.heif", "s.heic", "noname"])
@pytest.mark.parametrize("brand", [b"hevc", b"msf1", b"heic", b"mif1"])
def test_every_frame_of_a_sequence(tmp_path: Path, name: str, brand: bytes) -> None:
    """By its first brand it may be a still."""
    path = sequence(tmp_path / name, box(b"ftyp", brand, bytes(4), b"msf1", b"hevc"))
    frames = list(open_source(path).frames())
    assert [round(frame.time_s, 3) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4]
    assert len({int(frame.image.mean()) for frame in frames}) == 5
    assert is_sequence(path)


@needs_hevc
def test_sequence_with_a_cover(tmp_path: Path) -> None:
    """The pictures beside it are named; in a folder of pictures it is left out as videos are."""
    tiles = [np.full((64, 64, 3), grey, np.uint8) for grey in (40, 100, 160, 220)]
    still = tiled_picture(tmp_path / "still.heic", tiles, 2)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = sequence(folder / "both.heic", still.read_bytes())
    source = open_source(path)
    assert len(list(source.frames())) == 5
    assert source.info.film is not None and source.info.film.others
    with pytest.raises(SourceError, match="a sequence; give it as an input of its own"):
        open_source(folder)
    assert is_picture(still) and not is_sequence(still)


def test_boxes_that_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "p.heic"
    begin = box(b"ftyp", b"heic", bytes(4), b"mif1")
    for rest in (b"", b"\0\0", bytes(40), b"\0\0\0\1mdat" + b"\xff" * 8, box(b"free", b"moov") * 3):
        path.write_bytes(begin + rest)
        assert not is_sequence(path)
    assert not is_sequence(tmp_path) and not is_sequence(tmp_path / "none")

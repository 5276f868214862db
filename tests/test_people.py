"""The contact sheet."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import grey_frames, write_clip
from test_sinks import face

from affectkit.errors import OutputError
from affectkit.face_results import FrameResult
from affectkit.outputs import contact_sheet
from affectkit.outputs.contact_sheet import CAPTION_PX, HEADER_PX, MARK, MOST_PEOPLE, THUMB_PX, ContactSheet
from affectkit.picture import RgbPicture
from affectkit.runs.state import pack, unpack
from affectkit.types import Detection, Frame, TrackedFace, TrackedFrame

Run = Callable[..., tuple[int, str, str]]


def seen(index: int, levels: dict[int, int], size: float = 40, *, timed: bool = True) -> TrackedFrame:
    """Flat faces side by side, one brightness each."""
    image = np.zeros((100, 400, 3), np.uint8)
    faces = []
    for k, (track, brightness) in enumerate(levels.items()):
        image[20 : 20 + int(size), 20 + 100 * k : 20 + 100 * k + int(size)] = brightness
        points = np.full((5, 2), np.nan, np.float32)
        faces.append(TrackedFace(track, Detection((20 + 100 * k, 20, size, size), 0.99, points)))
    return TrackedFrame(Frame(index, index / 25 if timed else math.nan, RgbPicture(image), "clip"), tuple(faces))


def centre(sheet: np.ndarray, cell: int) -> int:
    row, column = divmod(cell, 6)
    y, x = HEADER_PX + row * (THUMB_PX + CAPTION_PX) + THUMB_PX // 2, column * THUMB_PX + THUMB_PX // 2
    return int(sheet[y, x].mean())


def test_everybody_has_a_cell_with_the_best_picture() -> None:
    sheet = ContactSheet()
    sheet.add(seen(0, {0: 100, 1: 150}, size=30))
    sheet.add(seen(1, {0: 110, 1: 160}, size=60))
    sheet.add(seen(2, {0: 120, 3: 200}, size=40))
    drawn = sheet.draw()
    assert drawn.shape == (HEADER_PX + THUMB_PX + CAPTION_PX, 3 * THUMB_PX, 3)
    assert [centre(drawn, k) for k in range(3)] == [110, 160, 200]  # the largest of each
    assert drawn[HEADER_PX + THUMB_PX :].max() > 150  # captions
    again = ContactSheet()
    again.restore(unpack(pack(sheet.state()), "here"))
    np.testing.assert_array_equal(again.draw(), drawn)


def test_faces_beyond_the_border_have_a_thumbnail_too() -> None:
    sheet = ContactSheet()
    one = seen(0, {0: 90}, timed=False)
    face = Detection((-30.0, -30.0, 50.0, 50.0), 0.9, one.faces[0].detection.landmarks)
    sheet.add(TrackedFrame(one.frame, (TrackedFace(0, face),)))
    assert sheet.draw().shape[1] == 2 * THUMB_PX  # a name has room


def test_targets_are_checked(tmp_path: Path) -> None:
    sheet = ContactSheet()
    with pytest.raises(OutputError, match="no face"):
        sheet.draw()
    sheet.add(seen(0, {0: 90}))
    with pytest.raises(OutputError, match="unknown suffix"):
        sheet.write(tmp_path / "sheet.gif")
    sheet.write(tmp_path / "sheet.png")
    with pytest.raises(OutputError, match="exists"):
        sheet.write(tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 2 * THUMB_PX


def test_crowds_are_bounded() -> None:
    sheet = ContactSheet()
    for i in range(2 * MOST_PEOPLE + 5):
        sheet.add(seen(i, {i: 100}))
        sheet.add(seen(i, {i: 100}) if i < 3 else seen(i, {}))
    kept = [track for track, *_ in sheet.state()]
    assert len(kept) <= 2 * MOST_PEOPLE and kept[:3] == [0, 1, 2]


@pytest.mark.slow
def test_predict_writes_a_contact_sheet(astronaut: Path, tiny: Path, tmp_path: Path, run_cli: Run) -> None:
    out, sheet = tmp_path / "a.csv", tmp_path / "people.jpg"
    code, _, err = run_cli("predict", astronaut, "-o", out, "--contact-sheet", sheet, "--model", tiny)
    assert code == 0 and str(sheet) in err
    picture = cv2.imread(str(sheet))
    assert picture.shape == (HEADER_PX + THUMB_PX + CAPTION_PX, 2 * THUMB_PX, 3)
    assert picture[HEADER_PX : HEADER_PX + THUMB_PX, :THUMB_PX].std() > 30
    assert run_cli("predict", astronaut, "-o", tmp_path / "b.csv", "--contact-sheet", sheet, "--model", tiny)[0] == 1
    empty = write_clip(tmp_path / "empty.mp4", grey_frames(5))
    sheet = tmp_path / "no-sheet.jpg"
    code, _, err = run_cli("predict", empty, "-o", tmp_path / "c.csv", "--contact-sheet", sheet, "--model", tiny)
    assert code == 0 and "no contact sheet" in err and not sheet.exists()


LEFT = np.array([[10, 12], [30, 12], [14, 22], [12, 30], [26, 30]], np.float32)
FRONT = np.array([[10, 12], [30, 12], [20, 22], [13, 30], [27, 30]], np.float32)
"""Five points of a face that looks aside, and at the camera, in a box of 40 px."""


def kept(*looks: tuple[int, float, float, np.ndarray]) -> int:
    """The brightness of the picture that is kept, of these: brightness, size, score and points of each."""
    sheet = ContactSheet()
    for i, (brightness, size, score, points) in enumerate(looks):
        frame = seen(i, {0: brightness}, size=size).frame
        face = Detection((20.0, 20.0, size, size), score, 20 + points * np.float32(size / 40))
        sheet.add(TrackedFrame(frame, (TrackedFace(0, face),)))
    return centre(sheet.draw(), 0)


def test_the_best_picture_is_large_sure_and_frontal() -> None:
    assert kept((50, 40, 0.95, FRONT), (90, 60, 0.95, FRONT), (130, 50, 0.95, FRONT)) == 90
    assert kept((50, 40, 0.95, FRONT), (90, 44, 0.95, LEFT), (130, 36, 0.95, FRONT)) == 50
    assert kept((50, 40, 0.70, FRONT), (90, 38, 0.99, FRONT), (130, 40, 0.90, FRONT)) == 90
    # Of two that are as good it is the first: a still face is not drawn again in every frame.
    assert kept((50, 40, 0.95, FRONT), (90, 40, 0.95, FRONT)) == 50
    # What has no points is taken for frontal.
    assert kept((50, 40, 0.95, FRONT), (90, 41, 0.95, np.full((5, 2), np.nan, np.float32))) == 90


def judged(index: int, *qualities: float | None) -> FrameResult:
    """What is said of faces 0, 1 ... of a frame."""
    faces = [
        dataclasses.replace(face(k), affect=dataclasses.replace(face(k).affect, quality=quality))
        for k, quality in enumerate(qualities)
    ]
    return FrameResult(index, index / 25, tuple(faces), "clip")


def doubts(frames: int, quality: float | None, *, score: float = 0.99) -> list[str]:
    """Of a face that is seen in so many frames of one video."""
    sheet = ContactSheet("clip.mp4")
    for index in range(frames):
        frame = seen(index, {0: 90})
        found = dataclasses.replace(frame.faces[0].detection, score=score)
        sheet.add(dataclasses.replace(frame, faces=(TrackedFace(0, found),)))
        sheet.judge(judged(index, quality))
    (person,) = sheet._people.values()
    found_doubts = person.doubts(timed=True)
    marked = (sheet.draw()[HEADER_PX : HEADER_PX + THUMB_PX, :THUMB_PX] == MARK).all(-1)
    assert bool(marked.any()) is bool(found_doubts)
    return found_doubts


def test_doubtful_faces_are_marked_with_the_reason() -> None:
    assert doubts(30, 0.8) == [] and doubts(30, None) == []
    assert doubts(10, 0.8) == ["brief"]
    assert doubts(30, 0.1) == ["poor"] and doubts(30, 0.8, score=0.7) == ["unsure"]
    assert doubts(5, 0.1, score=0.7) == ["brief", "unsure", "poor"]


def test_the_sheet_tells_file_times_confidence_and_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet, told = ContactSheet("Zürich 3.mp4"), []
    for index in range(50):
        sheet.add(seen(index, {0: 90, 1: 120} if index < 10 else {0: 90}))
        sheet.judge(judged(index, 0.5, None))
    put = contact_sheet.put_text
    monkeypatch.setattr(contact_sheet, "put_text", lambda *given, **more: (told.append(given[1]), put(*given, **more)))
    sheet.draw()
    assert told[:2] == ["Zürich 3.mp4", "2 identities, 1 doubtful"]
    assert told[2:6] == ["face 0", "50 frames, 0 s - 2.0 s", "confidence 0.99", "quality 0.50"]
    assert told[6:] == ["?", "face 1", "10 frames, 0 s - 0.4 s", "confidence 0.99", "doubtful: brief"]
    again = ContactSheet("Zürich 3.mp4")
    again.restore(unpack(pack(sheet.state()), "here"))
    np.testing.assert_array_equal(again.draw(), sheet.draw())

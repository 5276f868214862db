from __future__ import annotations

import dataclasses
import math
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from synthetic import grey_frames, write_clip
from test_sinks import face

from affectkit import models
from affectkit.errors import OutputError
from affectkit.face_results import Face, FrameResult
from affectkit.outputs.canvas import planes_of_rgb
from affectkit.outputs.drawing import (
    ACTIVE,
    AROUSAL,
    BACKGROUND,
    DIM,
    IDENTITIES,
    INACTIVE,
    TEXT,
    TRACK,
    VALENCE,
    number,
)
from affectkit.outputs.face_panel import FacePanels
from affectkit.outputs.lettering import sprite
from affectkit.outputs.overlay import DrawnPlanes, Overlay
from affectkit.outputs.panels import plan_panel
from affectkit.outputs.strongest import Strongest
from affectkit.outputs.traces import Trace
from affectkit.outputs.video import Frames, VideoWriter
from affectkit.picture import SIDES_BT601, SIDES_BT709, Colours, RgbPicture, YuvPicture, rgb_matrix
from affectkit.sources.opening import open_source
from affectkit.types import LabelSet


def result(index: int, faces: tuple[Face, ...], *, height: int = 360, width: int = 640) -> FrameResult:
    return FrameResult(index, index / 25, faces, "clip", np.zeros((height, width, 3), np.uint8))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


@pytest.fixture
def overlay(tiny: Path) -> Overlay:
    return Overlay(models.read_spec(tiny))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((360, 640), (720, 1280)), ((1080, 1920), (1080, 1920)), ((241, 321), (724, 964)), ((1920, 1080), (1920, 1080))],
)
def test_small_videos_are_enlarged_and_sides_are_even(
    overlay: Overlay, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = overlay.draw(result(0, (face(),), height=size[0], width=size[1]))
    assert picture.shape[0] == expected[0] and picture.shape[1] > expected[1]
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0


def test_very_low_and_very_large_pictures(overlay: Overlay, tiny: Path) -> None:
    low = overlay.draw(result(0, (face(),), height=16, width=4000))
    assert low.shape[0] == 360 and low.shape[1] < 4200
    large = Overlay(models.read_spec(tiny)).draw(result(0, (face(),), height=5000, width=8000))
    assert large.shape[0] == 2160 and large.shape[1] <= 3456 + 1342


def test_a_label_stays_in_the_picture(overlay: Overlay) -> None:
    """The face fills the height and begins left of the picture; its label is drawn inside all the same."""
    close = dataclasses.replace(face(), box=(-50.0, -10.0, 300.0, 400.0))
    picture = overlay.draw(result(0, (close,)))[:, :1280]
    drawn = (picture == IDENTITIES[0]).all(-1)
    assert drawn[-40:, :100].sum() > 1000 or drawn[:40, :100].sum() > 1000


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 20])
def test_any_number_of_faces(overlay: Overlay, count: int) -> None:
    faces = tuple(face(i) for i in range(count))
    picture = overlay.draw(result(0, faces))
    panel = picture[:, 1280:]
    assert has(panel, ACTIVE) == (count > 0)
    assert has(panel, INACTIVE) == (count > 0)
    for k in range(min(count, 6)):
        assert has(panel, IDENTITIES[k])


def test_the_box_is_where_the_face_is(overlay: Overlay) -> None:
    picture = overlay.draw(result(0, (face(),)))[:, :1280]
    drawn = (picture == IDENTITIES[0]).all(-1)
    x, y, width, height = (round(2 * side) for side in face().box)  # enlarged twice
    assert drawn[y : y + height, x].mean() > 0.9 and drawn[y : y + height, x + width].mean() > 0.9
    assert drawn[y, x : x + width].mean() > 0.8  # the label's letters may reach into it
    assert drawn[y + height, x : x + width].mean() > 0.9
    assert not drawn[y + height + 4 :].any() and not drawn[:, : x - 4].any()


def test_bars_are_as_long_as_their_values(overlay: Overlay) -> None:
    """AU25 is .7 and active, so about .7 of its bar is orange."""
    panel = overlay.draw(result(0, (face(),)))[:, 1280:]
    rows, columns = np.nonzero((panel == ACTIVE).all(-1))
    lowest = columns[rows == rows.max()]
    longest = plan_panel(overlay._labels, 446, 665, 13).units[0].bar_width
    assert (lowest.max() - lowest.min()) / longest == pytest.approx(0.7, abs=0.05)


def test_the_trace_forgets(overlay: Overlay) -> None:
    for i in range(0, 1000, 10):
        overlay.draw(result(i, (face(i // 100),)))
    assert set(overlay._traces) == {5, 6, 7, 8, 9}  # 16 s at 25 fps are 400 frames
    assert all(len(trace.points) <= 41 for trace in overlay._traces.values())


def test_pictures_of_another_size_are_fitted_in(overlay: Overlay) -> None:
    first = overlay.draw(result(0, ()))
    second = overlay.draw(result(1, (face(),), height=1000, width=500))
    assert first.shape == second.shape


def test_a_result_without_a_picture(overlay: Overlay) -> None:
    with pytest.raises(ValueError, match="keep_images=True"):
        overlay.draw(FrameResult(0, 0.0, ()))


def test_times_and_sound_are_kept(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "s.mp4", grey_frames(50), sound=True)
    times = [i / 25 for i in range(50)]
    times[30:] = [t + 0.5 for t in times[30:]]  # a gap
    with VideoWriter(tmp_path / "o.mp4", fps=25, sound_from=str(source)) as writer:
        for image, time_s in zip(grey_frames(50), times, strict=True):
            writer.write(image, time_s)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        seconds = sum(f.samples for f in container.decode(audio=0)) / 44100
        assert seconds == pytest.approx(2, abs=0.1)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert [f.time for f in container.decode(video=0)] == pytest.approx(times, abs=1e-4)


def test_a_part_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "s.mp4", grey_frames(100), sound=True)
    with VideoWriter(tmp_path / "o.mkv", fps=25, sound_from=str(source)) as writer:
        for i in range(50, 75):
            writer.write(grey_frames(1)[0], i / 25)
    with av.open(str(tmp_path / "o.mkv")) as container:
        sound = [f for f in container.decode(audio=0)]
        assert sound[0].time == pytest.approx(0, abs=0.05)  # two frames of AAC
        assert sum(f.samples for f in sound) / 44100 == pytest.approx(1, abs=0.1)
    with av.open(str(tmp_path / "o.mkv")) as container:
        first = next(container.decode(video=0))
        assert float(first.time or 0) == pytest.approx(0, abs=2e-3)


def test_sound_of_another_codec_is_encoded_anew(tmp_path: Path) -> None:
    source = tmp_path / "s.mkv"
    with av.open(str(source), "w") as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream("pcm_s16le", rate=22050, layout="mono")
        for image in grey_frames(25):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for start in range(0, 22050, 1050):
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1050), np.int16), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 22050, start, Fraction(1, 22050)
            output.mux(sound.encode(piece))
        output.mux(video.encode(None))
    with VideoWriter(tmp_path / "o.mp4", fps=25, sound_from=str(source)) as writer:
        for i, image in enumerate(grey_frames(25)):
            writer.write(image, i / 25)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        seconds = sum(f.samples for f in container.decode(audio=0)) / 22050
        assert seconds == pytest.approx(1, abs=0.1)


def test_pictures_without_times_are_one_frame_apart(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mp4", fps=None) as writer:
        for image in grey_frames(5):
            writer.write(image, math.nan)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert [f.time for f in container.decode(video=0)] == pytest.approx([i / 25 for i in range(5)], abs=1e-4)


@pytest.mark.parametrize(("codec", "suffix"), [("libopus", ".mov"), ("flac", ".mov"), ("libopus", ".mp4")])
def test_sound_that_the_container_cannot_hold(tmp_path: Path, codec: str, suffix: str) -> None:
    source = tmp_path / "s.mkv"
    with av.open(str(source), "w") as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream(codec, rate=48000, layout="mono")
        for image in grey_frames(25):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for start in range(0, 48000, 960):
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 48000, start, Fraction(1, 48000)
            output.mux(sound.encode(piece))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    target = tmp_path / f"o{suffix}"
    with VideoWriter(target, fps=25, sound_from=str(source)) as writer:
        for i, image in enumerate(grey_frames(25)):
            writer.write(image, i / 25)
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25
    with av.open(str(target)) as container:
        seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
        assert seconds == pytest.approx(1, abs=0.15)


def test_colours_survive_and_are_tagged(tmp_path: Path) -> None:
    image = np.full((720, 1280, 3), (200, 40, 40), np.uint8)
    with VideoWriter(tmp_path / "o.mp4", fps=25) as writer:
        writer.write(image, 0.0)
    with av.open(str(tmp_path / "o.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.colorspace == 1  # BT.709, by its number in ISO 23091-4
        back = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(0)
    assert back == pytest.approx((200, 40, 40), abs=4)


def test_a_name_that_looks_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path("12:40.mp4"), fps=25) as writer:
        writer.write(grey_frames(1)[0], 0.0)
    assert [p.name for p in tmp_path.iterdir()] == ["12:40.mp4"]


def test_nothing_half_done(tmp_path: Path) -> None:
    target = tmp_path / "o.mp4"
    with pytest.raises(RuntimeError), VideoWriter(target, fps=25) as writer:
        writer.write(grey_frames(1)[0], 0.0)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="no frame to draw"), VideoWriter(target, fps=25):
        pass
    with pytest.raises(OutputError, match=r"unknown suffix '.gif'"):
        VideoWriter(tmp_path / "o.gif", fps=25)
    assert list(tmp_path.iterdir()) == []


def test_what_is_hidden_is_drawn_as_hidden(tiny: Path) -> None:
    """No bar and no threshold, but a dashed line; and no point of a face of which nothing is said."""
    shown = face()
    units = np.arange(8) >= 4
    affect = shown.affect
    mouth = dataclasses.replace(
        affect,
        au_probabilities=np.where(units, np.float32(np.nan), affect.au_probabilities),
        au_active=affect.au_active & ~units,
    )
    nothing = dataclasses.replace(
        mouth,
        au_probabilities=np.full(8, np.nan, np.float32),
        au_active=np.zeros(8, bool),
        expression_probabilities=np.full(7, np.nan, np.float32),
        valence=math.nan,
        arousal=math.nan,
    )
    assert affect.au_active[4:].any() and not affect.au_active[:4].any()
    overlay = Overlay(models.read_spec(tiny))
    frames = [affect, mouth, nothing, nothing, affect]
    panels = [overlay.draw(result(i, (dataclasses.replace(shown, affect=a),)))[:, 1280:] for i, a in enumerate(frames)]
    assert has(panels[0], ACTIVE) and not has(panels[1], ACTIVE) and has(panels[1], INACTIVE)
    assert not has(panels[2], ACTIVE) and not has(panels[2], INACTIVE)
    assert has(panels[4], ACTIVE)
    for count in (1, 2, 5):  # every layout, from the first frame on
        faces = tuple(dataclasses.replace(face(i), affect=nothing) for i in range(count))
        Overlay(models.read_spec(tiny)).draw(result(0, faces))


# Design


def seen_as(colour: tuple[int, int, int], eyes: np.ndarray) -> np.ndarray:
    """CIELAB of an sRGB colour, as eyes see it that lack a cone (Machado, Oliveira & Fernandes 2009, severity 1)."""
    srgb = np.array(colour) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(eyes @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


EYES = {
    "all": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}


@pytest.mark.parametrize("eyes", EYES)
def test_colours_are_told_apart(eyes: str) -> None:
    """A difference of 2 can just be seen side by side."""

    def apart(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
        return float(np.linalg.norm(seen_as(a, EYES[eyes]) - seen_as(b, EYES[eyes])))

    assert apart(VALENCE, AROUSAL) > 60
    assert min(apart(one, colour) for one in (VALENCE, AROUSAL) for colour in IDENTITIES) > 15
    assert min(apart(ACTIVE, INACTIVE), apart(ACTIVE, TRACK), apart(INACTIVE, TRACK)) > 25


def test_numbers_are_plain() -> None:
    told = {0.0: "0", -0.001: "0", 0.004: "0", 0.25: "0.25", 0.999: "1", -0.12: "-0.12", math.nan: "-"}
    assert {value: number(value) for value in told} == told
    signed = {-0.0: "0", 0.001: "0", 0.5: "+0.50", -0.5: "-0.50", 1.0: "+1", -1.0: "-1"}
    assert {value: number(value, signed=True) for value in signed} == signed


def test_every_bar_has_its_number(overlay: Overlay) -> None:
    """Of a panel of one face each value stands at the right of its bar, as it is told."""
    panel = overlay.draw(result(0, (face(),)))[:, 1280:]
    plan = plan_panel(overlay._labels, 446, 665, 13)
    affect = face().affect
    values = [*affect.au_probabilities.tolist(), *affect.expression_probabilities.tolist()]
    bright = [*affect.au_active.tolist(), *(name == affect.expression for name in affect.labels.expressions)]
    for bar, value, shines in zip((*plan.units, *plan.expressions), values, bright, strict=True):
        letters = sprite(number(value), bar.text, TEXT if shines else DIM, BACKGROUND)
        y, x = 29 + bar.base - bar.text, bar.right - letters.shape[1]
        np.testing.assert_array_equal(panel[y : y + len(letters), x : bar.right], letters)


def curve(panel: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Of the chart of one face's panel, the first and the last column that hold a colour."""
    left, top, width, height = plan_panel(LabelSet(), 446, 665, 13).chart or (0, 0, 0, 0)
    chart = panel[29 + top : 29 + top + height, left : left + width].astype(int)
    columns = np.flatnonzero((np.abs(chart - colour).sum(-1) < 60).any(0))
    return int(columns.min() * 100 / width), int(columns.max() * 100 / width)


def test_charts_are_as_long_as_the_clip(tiny: Path) -> None:
    whole, moving = Overlay(models.read_spec(tiny), length_s=40.0), Overlay(models.read_spec(tiny))
    for index in range(0, 501, 12):  # the first half
        frame = result(index, (face(),))
        panels = [overlay.draw(frame)[:, 1280:] for overlay in (whole, moving)]
    first, last = curve(panels[0], VALENCE)
    assert first <= 1 and last == pytest.approx(50, abs=2)
    assert curve(panels[1], VALENCE)[1] >= 98
    points = whole._traces[0].points
    assert len(points) <= 501
    whole.draw(result(1600, (face(),)))  # longer than the file said
    assert whole._length_s == 64.0


def test_long_clips_need_no_more_memory(tiny: Path) -> None:
    trace = Trace()
    for k in range(20_000):
        trace.add(k / 25, 0.5, math.nan if k % 5000 > 4000 else -0.5, 800 / 480)
    assert len(trace.points) < 520
    assert {round(point[1], 6) for point in trace.points} == {0.5}


def test_the_strongest_stay_where_they_are() -> None:
    strongest = Strongest()
    scores = np.array([0.5, 0.1, 0.45, 0.4, math.nan])
    assert strongest.choose(0, "units", scores, 3, 0.0) == [0, 2, 3]
    for k in range(1, 20):  # what is hardly stronger, or strong for a moment, takes no place
        scores[1] = 0.45 if k < 19 else 0.95
        assert strongest.choose(0, "units", scores, 3, k * 0.04) == [0, 2, 3]
    for k in range(20, 80):
        chosen = strongest.choose(0, "units", scores, 3, k * 0.04)
    assert chosen == [0, 1, 2]
    assert strongest.choose(0, "units", scores, 5, 4.0) == [0, 1, 2, 3, 4]


def test_quality_and_what_is_hidden_are_told(tiny: Path) -> None:
    spec = dataclasses.replace(models.read_spec(tiny), visibility_thresholds=(0.5, 0.5, 0.5))
    affect = dataclasses.replace(face().affect, visibility=np.array([0.9, 0.8, 0.1], np.float32), quality=0.25)
    shown = dataclasses.replace(face(), affect=affect)
    panels = FacePanels(spec)
    assert panels.hidden(shown) == (False, False, True) and panels.hidden(face()) == ()
    assert panels._told(shown, brief=False) == "confidence 0.99   quality 0.25   mouth not visible"
    assert panels._told(shown, brief=True) == "quality 0.25   mouth not visible"
    picture = Overlay(spec).draw(result(0, (shown,)))
    points = [picture[round(2 * y), round(2 * x)].tolist() for x, y in shown.landmarks.tolist()]
    assert points == [[*IDENTITIES[0]]] * 3 + [[*BACKGROUND]] * 2  # rings at the mouth
    unsaid = dataclasses.replace(
        affect, expression_probabilities=np.full(7, np.nan, np.float32), visibility=np.zeros(3, np.float32)
    )
    picture = Overlay(spec).draw(result(0, (dataclasses.replace(shown, affect=unsaid),)))[:, :1280]
    x, y, _, height = (round(2 * side) for side in shown.box)
    line = (picture[y : y + height, x] == IDENTITIES[0]).all(-1)
    assert 0.3 < line.mean() < 0.7  # broken


# Planes


def film(image: np.ndarray, sides: tuple[float, float]) -> YuvPicture:
    planes = planes_of_rgb(image, sides)
    return YuvPicture(planes, Colours(sides, full_range=False), lambda: image)


def as_rgb(drawn: DrawnPlanes) -> np.ndarray:
    y, cb, cr = drawn.planes
    large = [cv2.resize(plane, y.shape[::-1], interpolation=cv2.INTER_NEAREST) for plane in (cb, cr)]
    return np.asarray(cv2.transform(cv2.merge([y, *large]), rgb_matrix(drawn.sides, full_range=False)), np.uint8)


@pytest.mark.parametrize("sides", [SIDES_BT601, SIDES_BT709])
def test_planes_show_what_rgb_shows(tiny: Path, sides: tuple[float, float]) -> None:
    """Frame after frame, whatever changed in between; but for the fineness of colour, which video has not."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (90, 160, 3)).astype(np.uint8), (0, 0), 9)
    in_rgb, in_planes = Overlay(models.read_spec(tiny), length_s=2), Overlay(models.read_spec(tiny), length_s=2)
    counts = [1, 1, 1, 2, 2, 0, 1, 4, 4, 1]
    for index, count in enumerate(counts):
        faces = tuple(face(k + index // 4) for k in range(count))
        frame = dataclasses.replace(result(index, faces), image=image)
        expected = in_rgb.draw(frame)
        drawn = in_planes.draw_planes(dataclasses.replace(frame, image=None), film(image, sides))
        assert drawn.sides == sides
        luma = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(int) for picture in (as_rgb(drawn), expected)]
        apart = np.abs(luma[0] - luma[1])
        assert np.mean(apart) < 3 and np.mean(apart > 40) < 0.01, index


def test_pictures_in_rgb_and_of_other_colours_among_them(tiny: Path) -> None:
    overlay = Overlay(models.read_spec(tiny))
    red = np.full((360, 640, 3), (200, 40, 40), np.uint8)
    for picture in (film(red, SIDES_BT601), RgbPicture(red), film(red, SIDES_BT709), RgbPicture(red[:, :320].copy())):
        shown = as_rgb(overlay.draw_planes(FrameResult(0, 0.0, ()), picture))
        assert shown[300, 300].tolist() == pytest.approx([200, 40, 40], abs=3)
        assert shown.shape == (720, 1726, 3)
    assert shown[300, 1000].tolist() == [0, 0, 0]  # the last one is narrower


def test_planes_are_written_with_their_colours(tmp_path: Path) -> None:
    for sides, space in ((SIDES_BT601, 6), (SIDES_BT709, 1)):
        image = np.full((64, 96, 3), (200, 40, 40), np.uint8)
        target = tmp_path / f"{space}.mp4"
        with VideoWriter(target, fps=25) as writer:
            frames = Frames()
            for place, plane in zip(frames.planes(64, 96), planes_of_rgb(image, sides), strict=True):
                place[:] = plane
            writer.write_frame(frames.drawn(DrawnPlanes(planes_of_rgb(image, sides), sides)), 0.0)
        frame = next(open_source(target).frames())
        assert frame.image.reshape(-1, 3).mean(0) == pytest.approx((200, 40, 40), abs=4)
        with av.open(str(target)) as container:
            assert next(container.decode(video=0)).colorspace == space


def test_frames_are_used_again_and_hold_nothing_of_what_they_showed(tiny: Path) -> None:
    """A frame that showed a box and a wide picture shows, the next time, what a fresh one does."""
    again, fresh = Overlay(models.read_spec(tiny)), Overlay(models.read_spec(tiny))
    frames, seen = Frames(), []
    waiting: deque[av.VideoFrame] = deque()
    rng = np.random.default_rng(0)
    for index in range(8):
        wide = rng.integers(0, 255, (360, 640, 3)).astype(np.uint8)
        picture = film(wide if index % 3 else wide[:, :320].copy(), SIDES_BT709)
        shown = dataclasses.replace(result(index, tuple(face(k) for k in range(index % 4))), image=None)
        waiting.append(frames.drawn(again.draw_planes(shown, picture, frames.planes)))
        planes = fresh.draw_planes(shown, picture).planes
        assert np.array_equal(
            waiting[-1].to_ndarray(), np.concatenate([plane.ravel() for plane in planes]).reshape(1080, -1)
        )
        seen.append(waiting[-1])
        if len(waiting) == 2:  # as of those that wait to be encoded
            frames.give_back(waiting.popleft())
    assert len({id(frame) for frame in seen}) == 2


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_what_an_encoder_holds_is_not_drawn_over(codec: str) -> None:
    """Whatever it does with the frames it is given, the first picture stays what it was."""
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg without {codec}")
    encoder, frames, packets = av.CodecContext.create(codec, "w"), Frames(), []
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 96, 64, "yuv420p", Fraction(1, 25)
    encoder.framerate, encoder.max_b_frames = Fraction(25), 2  # which wait for frames that come after them
    for index in range(12):
        planes = frames.planes(64, 96)
        for plane in planes:
            plane[:] = 20 * index + 16
        frame = frames.drawn(DrawnPlanes(planes, SIDES_BT709))
        frame.pts, frame.time_base = index, encoder.time_base
        packets += encoder.encode(frame)
        frames.give_back(frame)
    decoder = av.CodecContext.create("h264" if codec == "libx264" else codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = encoder.extradata
    shown = [frame for packet in [*packets, *encoder.encode(None), None] for frame in decoder.decode(packet)]
    greys = [float(frame.to_ndarray()[:64].mean()) for frame in shown]
    assert greys == pytest.approx([20 * index + 16 for index in range(12)], abs=6)

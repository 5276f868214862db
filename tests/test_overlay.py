from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from synthetic import grey_frames, write_clip
from test_sinks import face

from affectkit import models
from affectkit.answers import Face, FrameResult
from affectkit.errors import OutputError
from affectkit.outputs.drawing import ACTIVE, IDENTITIES, INACTIVE
from affectkit.outputs.overlay import Overlay
from affectkit.outputs.video import VideoWriter


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
    import dataclasses

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
    longest = 200 * (720 * 0.62 / 440)
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
    import dataclasses

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

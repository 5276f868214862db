"""The same faces in other pixel formats, in noise and in motion: their points stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from affectkit.align import crop_face, similarity
from affectkit.engines import open_engine
from affectkit.faces.boxes import RESTING, at_rest
from affectkit.faces.mtcnn import SIDE_IN_SPREADS, UP_IN_SPREADS, Mtcnn, square_of
from affectkit.faces.opening import WEIGHTS as FACE_WEIGHTS
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.picture import SIDES_BT601, Colours, RgbPicture, YuvPicture, rgb_matrix
from affectkit.sources.converter import FrameConverter as _Developer
from affectkit.sources.geometry import Geometry as _Geometry
from affectkit.sources.opening import open_source
from affectkit.sources.planes import planes_of
from affectkit.spec import InputSpec
from affectkit.types import Detection, Frame, Picture, UInt8

Planes = list[UInt8]

SPEC = InputSpec(64, 1, "tight")


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn(*(open_engine(FACE_WEIGHTS / f"{n}.onnx", device="cpu").run for n in ("pnet", "rnet", "onet")))


@pytest.fixture(scope="module")
def planes(astronaut: Path) -> list[Planes]:
    """Y, Cb and Cr of a few frames."""
    with av.open(str(astronaut)) as container:
        frames = [frame for frame, _ in zip(container.decode(video=0), range(14), strict=False)]
        return [[plane.copy() for plane in planes_of(frame) or ()] for frame in frames]


def enlarged(colour: UInt8) -> UInt8:
    size = 2 * colour.shape[1], 2 * colour.shape[0]
    return np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def rgb_of(planes: Planes) -> UInt8:
    """Rounded once."""
    y, cb, cr = planes
    matrix = rgb_matrix(SIDES_BT601, full_range=False).astype(np.float64)
    yuv = np.stack([y, enlarged(cb), enlarged(cr)], axis=2).astype(np.float64)
    return np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255).astype(np.uint8)


def encoded(path: Path, frames: list[Planes], pixel_format: str) -> Path:
    """The same pictures without loss, the numbers of another pixel format rounded once."""
    height, width = frames[0][0].shape
    with av.open(str(path), "w") as output:
        options = {} if pixel_format == "bgr0" else {"qp": "0", "preset": "ultrafast"}
        stream = output.add_stream("ffv1" if pixel_format == "bgr0" else "libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        full = pixel_format == "yuvj420p"
        stream.codec_context.color_range = 2 if full else 1
        for index, (y, cb, cr) in enumerate(frames):
            if pixel_format == "bgr0":
                frame = av.VideoFrame.from_ndarray(rgb_of([y, cb, cr]), format="rgb24").reformat(format="bgr0")
            else:
                parts = [y, cb, cr] if "420" in pixel_format else [y, enlarged(cb), enlarged(cr)]
                if full:
                    scales = (16, 219), (128, 224), (128, 224)
                    wide = [
                        (p - float(a)) * 255 / b + (a == 128) * 128 for p, (a, b) in zip(parts, scales, strict=True)
                    ]
                    parts = [np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in wide]
                deep = pixel_format.endswith("10le")
                frame = av.VideoFrame(width, height, pixel_format)
                for plane, part in zip(frame.planes, parts, strict=True):
                    rows = np.zeros((plane.height, plane.line_size), np.uint8)
                    if deep:
                        rows.view("<u2")[:, : part.shape[1]] = part.astype(np.uint16) << 2
                    else:
                        rows[:, : part.shape[1]] = part
                    plane.update(rows)
                frame.color_range = 2 if full else 1
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def followed(mtcnn: Mtcnn, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 5, 2) and crops (N, 64, 64) of the one face."""
    tracker = Tracker(mtcnn, TrackingConfig())
    points, crops = [], []
    for frame in frames:
        (face,) = tracker.update(frame).faces
        points.append(face.detection.landmarks)
        crops.append(crop_face(frame.picture, face.detection.landmarks, SPEC)[:, :, 0].astype(int))
    return np.array(points), np.array(crops)


@pytest.mark.slow
def test_other_pixel_formats_move_no_face(mtcnn: Mtcnn, planes: list[Planes], tmp_path: Path) -> None:
    """Before: points 2 to 4 px apart, those of 10 bits and RGB more than a level darker."""
    wanted, shown = followed(mtcnn, list(open_source(encoded(tmp_path / "r.mkv", planes, "yuv420p")).frames()))
    for pixel_format in ("yuv420p10le", "yuvj420p", "yuv444p", "bgr0"):
        frames = list(open_source(encoded(tmp_path / f"{pixel_format}.mkv", planes, pixel_format)).frames())
        points, crops = followed(mtcnn, frames)
        away = np.linalg.norm(points - wanted, axis=2)
        assert away.max() < (0.2 if pixel_format == "yuv420p10le" else 0.6), pixel_format
        assert abs((crops - shown).mean()) < 0.1, pixel_format
        assert np.abs(crops - shown).mean() < 0.8, pixel_format


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pixel_format", "like"),
    [
        ("yuv420p10le", "yuv420p"),
        ("yuv420p16le", "yuv420p"),
        ("p010le", "yuv420p"),
        ("nv12", "yuv420p"),
        ("yuvj420p", "yuv420p"),
        ("yuyv422", "yuv422p"),
        ("yuv422p12le", "yuv422p"),
        ("yuv444p10le", "yuv444p"),
    ],
)
def test_the_same_numbers_in_another_format_are_the_same_picture(
    mtcnn: Mtcnn, planes: list[Planes], pixel_format: str, like: str
) -> None:
    """Before, FFmpeg turned each format into RGB in its own way, so that faces were found elsewhere."""
    developer = _Developer()
    pictures = [[developer.picture(stored(p, f), _Geometry()) for p in planes[:2]] for f in (like, pixel_format)]
    for one, other in zip(*pictures, strict=True):
        np.testing.assert_array_equal(other.detector_rgb(), one.detector_rgb())
        if pixel_format != "yuvj420p":  # shown with all its levels
            np.testing.assert_array_equal(other.rgb(), one.rgb())
    wanted, found = (followed(mtcnn, [Frame(k, k / 25, p, "clip") for k, p in enumerate(copy)]) for copy in pictures)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


def stored(planes: Planes, pixel_format: str) -> av.VideoFrame:
    """A frame as a decoder hands it over: the numbers of 8 bits in another format, each rounded once."""
    parts = [np.clip(p, 16, 240 if k else 235).astype(np.float64) for k, p in enumerate(planes)]
    height, width = parts[0].shape
    if pixel_format == "yuvj420p":
        parts = [(p - a) * 255 / b for p, (a, b) in zip(parts, ((16, 219), (128, 224), (128, 224)), strict=True)]
        parts[1:] = [p + 128 for p in parts[1:]]
    if "422" in pixel_format or "444" in pixel_format:
        size = width if "444" in pixel_format else width // 2, height
        parts[1:] = [cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in parts[1:]]
    depth = av.VideoFormat(pixel_format).components[0].bits
    values = [np.clip(np.rint(p), 0, 255).astype(np.uint16) << (depth - 8) for p in parts]
    if pixel_format == "p010le":
        values = [v << 6 for v in values]
    if pixel_format in ("nv12", "p010le"):
        values = [values[0], np.stack(values[1:], 2).reshape(height // 2, width)]
    elif pixel_format == "yuyv422":
        packed = np.empty((height, width, 2), np.uint16)
        packed[:, :, 0], packed[:, 0::2, 1], packed[:, 1::2, 1] = values
        values = [packed.reshape(height, 2 * width)]
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, numbers in zip(frame.planes, values, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows.view(np.uint8 if depth == 8 else "<u2")[:, : numbers.shape[1]] = numbers
        plane.update(rows)
    frame.color_range = 2 if pixel_format == "yuvj420p" else 1
    return frame


def test_a_film_in_rgb_gives_the_same_crops(planes: list[Planes]) -> None:
    """Of skin that is brighter than red can be, too; before, one pixel of five was a level off, some six levels."""
    developer, matrix = _Developer(), similarity(FIVE, SPEC.template_px())
    for y, cb, cr in planes[:2]:
        for brighter in (0, 60):
            part = [np.clip(y.astype(int) + brighter, 16, 235).astype(np.uint8), cb, cr]
            film = developer.picture(stored(part, "yuv420p"), _Geometry())
            wanted, found = (p.crop(matrix, 64, 1).astype(int) for p in (RgbPicture(rgb_of(part)), film))
            assert (found != wanted).mean() < 0.001 and np.abs(found - wanted).max() <= 1


FIVE = np.array([[149, 76], [172, 77], [160, 91], [148, 96], [171, 97]], np.float32)
"""Points of a face of the sample clip."""


def test_a_face_leaves_its_rest_little_by_little() -> None:
    """Before, one that moved by a hundredth of a pixel more than another was six hundredths ahead of it."""
    before = Detection((0.0, 0.0, 50.0, 40.0), 0.99, np.full((5, 2), 20, np.float32))
    away = np.linspace(0, 4 * RESTING * 50, 401)
    now = [Detection((x, 0.0, 50.0, 40.0), 0.98, before.landmarks + np.float32([x, -x / 2])) for x in away]
    faces = [at_rest(before, face) for face in now]
    points, boxes = (np.array([getattr(f, name) for f in faces]) for name in ("landmarks", "box"))
    assert faces[90] is before and all(a is b for a, b in zip(faces[201:], now[201:], strict=True))
    steps = np.abs(np.diff(points, axis=0)).max((1, 2))
    assert steps.max() < 2.1 * away[1]
    np.testing.assert_allclose(boxes[:, 0], points[:, 0, 0] - 20, atol=1e-5)


def test_a_still_face_stays_where_it_is(mtcnn: Mtcnn, planes: list[Planes]) -> None:
    """In noise of two grey levels; before: .2 px from frame to frame."""
    image, random = rgb_of(planes[0]), np.random.default_rng(1)
    noisy = [np.clip(image + random.normal(0, 2, image.shape), 0, 255).astype(np.uint8) for _ in range(16)]
    points, _ = followed(mtcnn, [Frame(k, k / 25, RgbPicture(p), "clip") for k, p in enumerate(noisy)])
    assert np.median(np.abs(np.diff(points, axis=0))) < 0.1
    assert points.std(0).max() < 0.2


def test_points_rest_in_one_picture(mtcnn: Mtcnn, planes: list[Planes]) -> None:
    """Shown again and again; before: .1 px from frame to frame, which changed decisions."""
    picture = RgbPicture(rgb_of(planes[0]))
    points, crops = followed(mtcnn, [Frame(k, k / 25, picture, "clip") for k in range(14)])
    assert (points[2:] == points[2]).all()
    assert (crops[2:] == crops[2]).all()


@pytest.mark.slow
@pytest.mark.parametrize("speed", [3, 8])
def test_a_moving_face_is_not_left_behind(mtcnn: Mtcnn, planes: list[Planes], speed: int) -> None:
    """Px a frame; before: .5 and .7 px behind, after: .2 and .5."""
    image = rgb_of(planes[0])

    def moved(x: float) -> Frame:
        matrix = np.array([[1, 0, x], [0, 1, 0]])
        size = image.shape[1], image.shape[0]
        there = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        index = round(x / speed)
        return Frame(index, index / 25, RgbPicture(np.asarray(there, np.uint8)), "clip")

    shifts = np.arange(14) * float(speed)
    points, _ = followed(mtcnn, [moved(x) for x in shifts])
    alone = [mtcnn.settle(f.picture, mtcnn.detect(f.image))[0].landmarks for f in map(moved, shifts[4::4])]
    behind = np.array(alone)[..., 0].mean(1) - points[4::4, :, 0].mean(1)
    assert abs(behind.mean()) < 0.08 * speed


def test_detections_confirm_and_do_not_move(mtcnn: Mtcnn, planes: list[Planes]) -> None:
    image = rgb_of(planes[0])
    frames = [Frame(k, k / 25, RgbPicture(image), "clip") for k in range(14)]
    points, _ = followed(mtcnn, frames)  # detected in frames 0, 6 and 12
    assert np.abs(np.diff(points[4:], axis=0)).max() < 0.1
    # Whoever is new is where following would have him in the end.
    assert np.abs(points[0] - points[-1]).max() < 0.6
    found = mtcnn.detect(image)
    assert np.abs(found[0].landmarks - points[-1]).max() > np.abs(points[0] - points[-1]).max()


class Jumpy:
    """Detects a face now here, now there; follows it exactly."""

    def __init__(self, *, settles: bool) -> None:
        self._count = 0
        if settles:
            self.settle = self._settle

    def _face(self, x: float) -> Detection:
        points = np.array([[12, 15], [28, 15], [20, 24], [14, 31], [26, 31]], np.float32) + np.float32([x, 20])
        return Detection((x, 20.0, 40.0, 40.0), 0.99, points)

    def detect(self, image: UInt8) -> list[Detection]:
        self._count += 1
        return [self._face(50 + 2.0 * self._count)]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        return list(faces)

    def _settle(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        return [self._face(50.0) for _ in faces]

    def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize("settles", [True, False])
def test_who_settles_faces_is_not_asked_for_their_places_again(settles: bool) -> None:
    tracker = Tracker(Jumpy(settles=settles), TrackingConfig(detect_every=3, settled_s=0))
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    places = []
    for k in range(10):
        (face,) = tracker.update(Frame(k, k / 25, RgbPicture(image), "clip")).faces
        places.append(face.detection.box[0])
    assert len(set(places)) == (1 if settles else 4)


def test_the_square_around_known_points() -> None:
    five = np.array([[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]], np.float32)
    # Middle (20, 20); squares of the distances 200, 200, 0, 164, 164.
    spread = np.sqrt(728 / 5)
    side, middle_y = SIDE_IN_SPREADS * spread, 20 - UP_IN_SPREADS * spread
    square = square_of(Detection((0.0, 0.0, 40.0, 44.0), 1.0, five))
    assert square == pytest.approx((20 - side / 2, middle_y - side / 2, 20 + side / 2, middle_y + side / 2))
    # Turned by a quarter, what was above is beside.
    turned = square_of(Detection((0.0, 0.0, 44.0, 44.0), 1.0, np.stack([40 - five[:, 1], five[:, 0]], axis=1)))
    assert turned[0] + turned[2] == pytest.approx(2 * (20 + UP_IN_SPREADS * spread))
    for points in (five + 500, np.full((5, 2), 20, np.float32)):
        assert square_of(Detection((0.0, 10.0, 40.0, 20.0), 1.0, points)) == (0, 0, 40, 40)


@pytest.mark.parametrize(
    "pixel_format",
    [
        *(
            "yuv420p",
            "yuva420p",
            "yuv410p",
            "yuv420p10le",
            "yuv444p12le",
            "yuv422p16le",
            "nv12",
            "nv21",
            "nv16",
            "nv24",
        ),
        *("p010le", "p210le", "p416le", "yuyv422", "uyvy422", "yvyu422"),
    ],
)
def test_planes_of_every_format(pixel_format: str) -> None:
    """A picture of one colour in the left half and another in the right."""
    source = av.VideoFrame(32, 16, "yuv444p")
    halves = (60, 180), (90, 160), (200, 110)
    for plane, (left, right) in zip(source.planes, halves, strict=True):
        rows = np.full((plane.height, plane.line_size), right, np.uint8)
        rows[:, :16] = left
        plane.update(rows)
    found = planes_of(source.reformat(format=pixel_format, interpolation="POINT"))
    assert found is not None
    for plane, (left, right) in zip(found, halves, strict=True):
        columns = plane.shape[1]
        assert plane.dtype == np.uint8 and np.abs(plane[:, : columns // 4].astype(int) - left).max() <= 1
        assert np.abs(plane[:, -columns // 4 :].astype(int) - right).max() <= 1
    assert found[0].shape == (16, 32)


def test_luma_is_what_rgb_can_show() -> None:
    """Of skin brighter than R can be; before, the planes' own brightness, up to 30 levels more."""
    shapes = (48, 48), (24, 24), (24, 24)
    for y, cb, cr in ((215, 110, 170), (250, 120, 150), (30, 128, 60), (120, 128, 128), (8, 140, 128)):
        planes = [np.full(shape, value, np.uint8) for shape, value in zip(shapes, (y, cb, cr), strict=True)]
        rgb = rgb_of(planes)
        picture = YuvPicture((planes[0], planes[1], planes[2]), Colours(SIDES_BT601, full_range=False), lambda: rgb)  # noqa: B023
        matrix = np.array([[0.9, 0.1, -5.0], [-0.1, 0.9, 0.0]])
        wanted, found = (p.crop(matrix, 16, 1).astype(int) for p in (RgbPicture(rgb), picture))
        assert np.abs(found - wanted).max() <= 1, (y, cb, cr)

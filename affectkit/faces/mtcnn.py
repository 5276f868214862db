"""MTCNN (Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional networks", 2016).

The weights are those of the `mtcnn` package, converted by ``scripts/convert_mtcnn.py``; the arithmetic follows it too,
so that both find the same boxes. Boxes are arrays (N, 4) of x1, y1, x2, y2 in px of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from affectkit.faces.faint import in_evened_copy
from affectkit.faces.tiled_search import STRIDE_PX as PNET_STRIDE_PX
from affectkit.faces.tiled_search import WINDOW_PX as PNET_WINDOW_PX
from affectkit.faces.tiled_search import candidates, pyramid
from affectkit.forking import Workers
from affectkit.picture import RgbPicture
from affectkit.types import Array, Detection, Float32, Picture, RunNetwork, UInt8, check_image

Boxes = npt.NDArray[np.float64]

GREY = 128
"""What lies outside the picture: the middle of the range, which the networks see as about 0."""

SIDE_IN_SPREADS, UP_IN_SPREADS = 4.0, 0.3
"""Side of the square that O-Net is shown, and how far its middle lies above the middle of the points; in root mean
square distances of the points from their middle. Detected boxes are about 4.6 of them high; in a tighter square the
points depend less on it.
"""

SIDE_TO_BOX = 1.4
"""Most by which that square's side may differ from the box's longer side: seen from the side, the points are closer."""

SETTLING_ROUNDS = 4
"""O-Net's looks at a newly detected face, each around the points of the one before."""

_NMS_CELLS = 1 << 18
"""Of the matrix of overlaps that are computed at a time: a crowded picture has many boxes."""

_PATCHES_AT_ONCE = 512
"""Bounds the memory that a crowded picture takes."""


class Mtcnn:
    """The cascade of P-Net, R-Net and O-Net."""

    min_score = 0.9
    """Score that a face needs to begin a track; what is being followed may score less."""

    def __init__(
        self,
        pnet: RunNetwork,
        rnet: RunNetwork,
        onet: RunNetwork,
        *,
        min_face_px: int = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        follow_threshold: float = 0.7,
        threads: int = 1,
    ) -> None:
        """Wire the three networks.

        Args:
            threads: levels of the pyramid that are searched at the same time; the answer does not depend on it.
            min_face_px: smallest face, by the longer side of its box; twice as large is about four times as fast.
            thresholds: score that a candidate needs to pass each of the three networks.
            follow_threshold: score under which a followed face counts as lost.
        """
        if min_face_px < PNET_WINDOW_PX:
            raise ValueError(f"min_face_px must be at least {PNET_WINDOW_PX}, got {min_face_px}")
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._min_face_px = min_face_px
        self._thresholds = thresholds
        self._follow_threshold = follow_threshold
        self._pool = Workers(threads, "affectkit mtcnn") if threads > 1 else None

    def detect(self, image: UInt8) -> list[Detection]:
        """See :class:`affectkit.faces.base.Detector`."""
        return self._detect(image, (0, 0, image.shape[1], image.shape[0]), cv2.INTER_AREA)

    def detect_in(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
        """Like :meth:`detect`, but only for faces in a part of the picture: left, top, right, bottom, px.

        In the whole picture for faces from 1.4 times the smallest size on: small ones hardly come without changing it.
        """
        whole = region == (0, 0, image.shape[1], image.shape[0])
        return self._detect(image, region, cv2.INTER_LINEAR, 1.5 * self._min_face_px if whole else 0)

    def detect_large_in(self, image: UInt8, region: tuple[int, int, int, int], smallest_px: float) -> list[Detection]:
        """See :class:`affectkit.faces.base.DetectsLargeFaces`."""
        return self._detect(image, region, cv2.INTER_LINEAR, smallest_px)

    def detect_faint(self, image: UInt8, smallest_px: float = 0) -> list[Detection]:
        """See :class:`affectkit.faces.base.DetectsFaintFaces`.

        Searched is an evened-out copy, with twice as many levels of the pyramid; those faces count that O-Net sees in
        the picture itself.
        """
        check_image(image)

        def search(copy: UInt8, scale: float) -> list[Detection]:
            whole = (0, 0, copy.shape[1], copy.shape[0])
            return self._detect(copy, whole, cv2.INTER_AREA, scale * smallest_px, steps=2)

        found = in_evened_copy(image, search)
        seen = self.follow(image, found)
        return [face for face, there in zip(found, seen, strict=True) if there is not None]

    def _detect(
        self, image: UInt8, region: tuple[int, int, int, int], shrinking: int, smallest_px: float = 0, *, steps: int = 1
    ) -> list[Detection]:
        check_image(image)
        picture = RgbPicture(image)
        left, top, right, bottom = region
        boxes = self._propose(image[top:bottom, left:right], shrinking, smallest_px, steps) + np.array(
            [left, top, left, top], np.float64
        )
        boxes = self._refine(picture, boxes)
        return self._finish(picture, boxes)

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        """O-Net around the last points; see :class:`affectkit.faces.base.Detector`."""
        return self.follow_picture(RgbPicture(image), faces)

    def follow_picture(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection | None]:
        """:meth:`follow` without turning the whole picture into RGB."""
        if not faces:
            return []
        boxes, scores, points = self._run_onet(picture, np.array([square_of(face) for face in faces]), average=True)
        found: list[Detection | None] = []
        for box, score, five in zip(boxes, scores, points, strict=True):
            stays = score >= self._follow_threshold and bool(self._are_large(box[None])[0])
            found.append(_detection(box, score, five) if stays else None)
        return found

    def settle(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Detected faces, their points where following would have them in the end, whatever box they were found in.

        Returns:
            one entry for each of ``faces``: itself where O-Net says that there is none.
        """
        settled = list(faces)
        for _ in range(SETTLING_ROUNDS):
            found = self.follow_picture(picture, settled)
            settled = [old if new is None else new for old, new in zip(settled, found, strict=True)]
        return settled

    def close(self) -> None:
        """End the threads; the networks belong to whoever made them."""
        if self._pool is not None:
            self._pool.shutdown()

    def _propose(self, image: UInt8, shrinking: int, smallest_px: float, steps: int) -> Boxes:
        """P-Net over the levels of the pyramid for such faces, made by averaging or bilinear sampling."""
        height, width = image.shape[:2]
        scales = pyramid(height, width, self._min_face_px, steps)
        scales = scales[sum(PNET_WINDOW_PX / scale <= smallest_px for scale in scales[1:]) :]
        halves = [image]
        while scales and len(halves) <= _halvings(scales[-1], shrinking):
            rows, columns = halves[-1].shape[0] // 2 * 2, halves[-1].shape[1] // 2 * 2
            half = cv2.resize(halves[-1][:rows, :columns], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
            halves.append(np.asarray(half, np.uint8))

        def search(scale: float) -> tuple[Boxes, Boxes]:
            size = int(width * scale), int(height * scale)
            return self._search_level(halves[_halvings(scale, shrinking)], size, scale, shrinking)

        found = list((self._pool.map if self._pool is not None and len(scales) > 1 else map)(search, scales))
        boxes = np.concatenate([np.empty((0, 4)), *(level for level, _ in found)])
        scores = np.concatenate([np.empty(0), *(level for _, level in found)])
        return _square(boxes[nms(boxes, scores, 0.7)])

    def _search_level(self, source: UInt8, size: tuple[int, int], scale: float, shrinking: int) -> tuple[Boxes, Boxes]:
        """P-Net on one level of the pyramid; boxes (N, 4) in the whole picture, and their scores (N,)."""
        small = np.asarray(cv2.resize(source, size, interpolation=shrinking), np.uint8)
        rows, columns, probability, offsets = candidates(self._pnet, small, self._thresholds[0])
        if not len(rows):
            return np.empty((0, 4)), np.empty(0)
        cells = np.column_stack([columns, rows]) * PNET_STRIDE_PX
        windows = np.column_stack([cells + 1, cells + PNET_WINDOW_PX]) / scale
        scores = probability.astype(np.float64)
        best = nms(windows, scores, 0.5)
        return windows[best] + offsets[best] * ((PNET_WINDOW_PX - 1) / scale), scores[best]

    def _refine(self, picture: Picture, boxes: Boxes) -> Boxes:
        """R-Net; square boxes."""
        answer = self._run(self._rnet, picture, boxes, 24)
        scores = answer["probability"].astype(np.float64)
        keep = scores >= self._thresholds[1]
        boxes = _shift(boxes[keep], answer["offsets"][keep])
        return _square(boxes[nms(boxes, scores[keep], 0.7)])

    def _finish(self, picture: Picture, boxes: Boxes) -> list[Detection]:
        boxes, scores, points = self._run_onet(picture, boxes)
        keep = (scores >= self._thresholds[2]) & self._are_large(boxes)
        boxes, scores, points = boxes[keep], scores[keep], points[keep]
        best = nms(boxes, scores, 0.7, over_smaller=True)
        return [_detection(boxes[i], scores[i], points[i]) for i in best]

    def _run_onet(self, picture: Picture, boxes: Boxes, *, average: bool = False) -> tuple[Boxes, Boxes, Boxes]:
        """O-Net: refined boxes (N, 4), scores (N,), points (N, 5, 2)."""
        answer = self._run(self._onet, picture, boxes, 48, average=average)
        sides = _sides(boxes)
        x = boxes[:, :1] + answer["points"][:, :5] * sides[:, :1] - 1
        y = boxes[:, 1:2] + answer["points"][:, 5:] * sides[:, 1:] - 1
        return (
            _shift(boxes, answer["offsets"]),
            answer["probability"].astype(np.float64),
            np.stack([x, y], axis=2),
        )

    def _are_large(self, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """(N,) whether the longer side is what was asked for: the networks shrink what the first one proposed."""
        return np.asarray(_sides(boxes).max(1, initial=0) >= self._min_face_px - 0.5)

    @staticmethod
    def _run(
        network: RunNetwork, picture: Picture, boxes: Boxes, size: int, *, average: bool = False
    ) -> dict[str, Array]:
        if len(boxes) <= _PATCHES_AT_ONCE:
            return network({"images": cut_patches(picture, boxes, size, average=average)})
        parts = [
            network({"images": cut_patches(picture, boxes[start : start + _PATCHES_AT_ONCE], size, average=average)})
            for start in range(0, len(boxes), _PATCHES_AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _halvings(scale: float, shrinking: int) -> int:
    """How often a picture is halved, by averaging, before it is shrunk to ``scale``: small ones are cheaper to shrink.

    What is left to average is a factor of 3/4 at most, so that it is over the same pixels; bilinear sampling, which
    takes a tenth of the time, is nearly an average for a factor between 1/2 and 1.
    """
    return max(0, math.floor(math.log2((0.75 if shrinking == cv2.INTER_AREA else 1) / scale)))


def nms(boxes: Boxes, scores: Boxes, limit: float, *, over_smaller: bool = False) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        limit: a box that overlaps a better one by more is dropped.
        over_smaller: overlap is the intersection over the smaller box instead of over the union.

    Returns:
        indices of the boxes that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    sides = _sides(boxes)
    area = sides[:, 0] * sides[:, 1]
    gone = np.zeros(len(boxes), bool)
    kept = []
    at_once = max(1, _NMS_CELLS // max(1, len(boxes)))
    for block in range(0, len(boxes), at_once):
        rows = slice(block, block + at_once)
        right = np.minimum(boxes[rows, None, 2], boxes[None, :, 2]) - np.maximum(
            boxes[rows, None, 0], boxes[None, :, 0]
        )
        down = np.minimum(boxes[rows, None, 3], boxes[None, :, 3]) - np.maximum(boxes[rows, None, 1], boxes[None, :, 1])
        shared = np.maximum(right + 1, 0) * np.maximum(down + 1, 0)
        if over_smaller:
            whole = np.minimum(area[rows, None], area[None])
        else:
            whole = area[rows, None] + area[None] - shared
        drops = shared / whole > limit
        for i, row in enumerate(drops, block):
            if not gone[i]:
                kept.append(order[i])
                gone |= row
    return np.array(kept, np.intp)


def square_of(face: Detection) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of the square in which O-Net looks for a face whose points are known.

    Around the points, not around the box: where O-Net's points lie hardly depends on the square (a tenth of its shift,
    at most), while its box does (a third to four fifths). So two ways to the same face end at the same points. Where
    the points are unknown, or not in the box, around the box.
    """
    left_x, top_y, width, height = face.box
    points: list[list[float]] = face.landmarks.tolist()
    x, y = sum(p[0] for p in points) / 5, sum(p[1] for p in points) / 5
    spread = math.sqrt(sum((p[0] - x) ** 2 + (p[1] - y) ** 2 for p in points) / 5)
    longer = max(width, height)
    if not (left_x <= x <= left_x + width and top_y <= y <= top_y + height and spread > 0):
        x, y = left_x + width / 2, top_y + height / 2
        return x - longer / 2, y - longer / 2, x + longer / 2, y + longer / 2
    side = min(max(SIDE_IN_SPREADS * spread, longer / SIDE_TO_BOX), longer * SIDE_TO_BOX)
    left, right, _, mouth_left, mouth_right = points
    up_x = left[0] + right[0] - mouth_left[0] - mouth_right[0]
    up_y = left[1] + right[1] - mouth_left[1] - mouth_right[1]
    up = UP_IN_SPREADS * spread / (math.hypot(up_x, up_y) or 1.0)
    x, y = x + up * up_x, y + up * up_y
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def cut_patches(picture: Picture, boxes: Boxes, size: int, *, average: bool = False) -> UInt8:
    """(N, size, size, 3) bilinear patches; grey outside the picture.

    Args:
        average: what is larger than the patch is averaged, not only sampled.
    """
    if not len(boxes):
        return np.empty((0, size, size, 3), np.uint8)
    height, width = picture.shape
    # The original hands TensorFlow boxes as fractions of the side, and TensorFlow multiplies them by the side minus 1.
    factors = (width - 1) / width, (height - 1) / height
    boxes = boxes * np.array([*factors, *factors])
    steps = (boxes[:, 2:] - boxes[:, :2]) / (size - 1)
    return picture.patches(boxes[:, :2], steps, size, GREY, average=average)


def _sides(boxes: Boxes) -> Boxes:
    """Width and height, (N, 2); the last pixel belongs to the box."""
    return boxes[:, 2:] - boxes[:, :2] + 1


def _shift(boxes: Boxes, offsets: Float32) -> Boxes:
    """Move the corners by ``offsets`` in units of the box's sides."""
    sides = _sides(boxes)
    return np.asarray(boxes + offsets * np.concatenate([sides, sides], axis=1), np.float64)


def _square(boxes: Boxes) -> Boxes:
    """The square around the same centre with the longer side."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = sides.max(1, keepdims=True) if len(boxes) else sides[:, :1]
    corner = boxes[:, :2] + sides / 2 - side / 2
    return np.concatenate([corner, corner + side], axis=1)


def _detection(box: Array, score: float, points: Array) -> Detection:
    x1, y1, x2, y2 = map(float, box)
    return Detection((x1, y1, x2 - x1, y2 - y1), float(score), points.astype(np.float32))

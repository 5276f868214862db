"""insightface's face detector (SCRFD); the only file that imports that package.

Better than MTCNN on hard faces. The package's code is MIT, its weights are for non-commercial research only and are
downloaded by it: never a default, and its licence is shown when it is used for the first time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectkit.errors import DeviceUnavailable, MissingDependency, ModelError
from affectkit.faces.boxes import iou
from affectkit.types import Detection, UInt8, check_image

try:
    from insightface.model_zoo import get_model
    from insightface.utils.storage import ensure_available
except ModuleNotFoundError as error:
    raise MissingDependency(str(error.name), "insightface", "detector='insightface'") from error

log = logging.getLogger(__name__)

DEFAULT_PACK = "buffalo_l"
LICENCE = (
    "insightface's models are for non-commercial research only (https://github.com/deepinsight/insightface#license); "
    "affectkit neither contains nor distributes them"
)
INPUT_PX = 640
FOLLOW_PX = 256
"""Input of the network when only the surroundings of a known face are searched."""
MARGIN = 0.6
"""How far these surroundings reach, as a fraction of the box, on each side."""

_licence_shown = False


def find_detector(where: str | None) -> Path:
    """The detector's file in a pack (downloaded if it is not there), a folder, or the file itself.

    Args:
        where: name of a pack, path of a folder or of an .onnx file; None: the default pack.

    Raises:
        ModelError: there is no detector, or the pack cannot be downloaded.
    """
    name = where or DEFAULT_PACK
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise ModelError(f"{path}: no such file; give detector='insightface:FOLDER' or the name of a pack")
        return path
    if not path.is_dir():
        if path.parent != Path():
            raise ModelError(f"{path}: no such folder; give one with insightface's *.onnx files, or the name of a pack")
        path = Path("~/.insightface/models").expanduser() / name
        if not path.is_dir():
            log.warning("downloading insightface's pack %s to %s", name, path)
            try:
                path = Path(ensure_available("models", name))
            except Exception as error:  # requests', zipfile's and the package's own errors
                raise ModelError(
                    f"insightface's pack {name!r} is not in {path} and cannot be downloaded ({error}); put its .onnx "
                    "files there, or give their folder as detector='insightface:FOLDER'"
                ) from error
    found = sorted(path.rglob("*.onnx"), key=lambda file: (not file.name.startswith(("det_", "scrfd")), file.name))
    if not found:
        raise ModelError(f"{path}: no *.onnx in it; give the folder of an insightface pack")
    return found[0]


class InsightDetector:
    """SCRFD through insightface's model zoo."""

    min_score = 0.5
    """Score that a face needs to begin a track: SCRFD gives clear faces .6 to .9, where MTCNN gives nearly 1."""

    def __init__(
        self,
        where: str | None = None,
        *,
        device: str = "cpu",
        min_face_px: int = 20,
        threshold: float = min_score,
        follow_threshold: float = 0.4,
    ) -> None:
        """Load the detector.

        Args:
            where: see :func:`find_detector`.
            device: ``cpu``, ``cuda`` or ``cuda:N``; binding.
            min_face_px: smaller faces are left out.
            threshold: score that a face needs.
            follow_threshold: score under which a followed face counts as lost.

        Raises:
            ModelError: the file is missing, or is no face detector with five points.
            DeviceUnavailable: the device is not there.
        """
        global _licence_shown
        path = find_detector(where)
        if not _licence_shown:
            log.warning("%s", LICENCE)
            _licence_shown = True
        wanted = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
        options = [{} if device == "cpu" else {"device_id": device.partition(":")[2] or "0"}]
        try:
            model: Any = get_model(str(path), providers=[wanted], provider_options=options)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{path}: insightface cannot load it: {reason}") from error
        if model is None or getattr(model, "taskname", "") != "detection" or not getattr(model, "use_kps", False):
            raise ModelError(
                f"{path}: not a face detector with five points; give another detector='insightface:FOLDER'"
            )
        if model.session.get_providers()[0] != wanted:
            raise DeviceUnavailable(f"device {device!r}: insightface's session did not get it; see `affectkit doctor`")
        self._model, self._threshold, self._follow_threshold = model, threshold, follow_threshold
        self._min_face_px = min_face_px

    def detect(self, image: UInt8) -> list[Detection]:
        """See :class:`affectkit.faces.base.Detector`."""
        check_image(image)
        found = self._search(image, INPUT_PX, self._threshold)
        return [face for face in found if max(face.box[2:]) >= self._min_face_px]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        """The network on the surroundings of each last box; see :class:`affectkit.faces.base.Detector`."""
        return [self._follow_one(image, face) for face in faces]

    def _follow_one(self, image: UInt8, face: Detection) -> Detection | None:
        x, y, width, height = face.box
        reach = MARGIN * max(width, height)
        frame_height, frame_width = image.shape[:2]
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(frame_width, int(x + width + reach) + 1), min(frame_height, int(y + height + reach) + 1)
        if right - left < 2 or bottom - top < 2:
            return None
        shift = np.array([left, top], np.float32)
        best, overlap = None, 0.3  # less is another face
        for found in self._search(image[top:bottom, left:right], FOLLOW_PX, self._follow_threshold):
            box = (found.box[0] + left, found.box[1] + top, found.box[2], found.box[3])
            shared = iou(box, face.box)
            if shared > overlap:
                best, overlap = Detection(box, found.score, found.landmarks + shift), shared
        return best

    def _search(self, image: UInt8, size: int, threshold: float) -> list[Detection]:
        """Faces of a picture, which the network sees at ``size`` px."""
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        self._model.det_thresh = threshold  # an argument only since insightface 2
        boxes, points = self._model.detect(bgr, input_size=(size, size))
        order = np.argsort(-boxes[:, 4], kind="stable")
        return [
            Detection(
                (float(x1), float(y1), float(x2 - x1), float(y2 - y1)), float(score), np.asarray(points[i], np.float32)
            )
            for i in order
            for x1, y1, x2, y2, score in [boxes[i]]
        ]

    def close(self) -> None:
        """See :class:`affectkit.faces.base.Detector`."""
        self._model = None

"""One way from a video to numbers, in a process of its own, timed each time that a line comes in on standard input.

    python -m benchmarks.rivals.worker NAME CLIP OPTIONS_AS_JSON

Prints ``ready NOTE``, or ``absent WHY`` where what it needs is not installed, then ``FRAMES SECONDS FACES`` for each
line. Only the time from opening the file to the last answer counts, not loading models.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[], tuple[int, int]]
"""Goes through the clip once; frames and faces."""


def decoding(clip: str, options: dict[str, Any]) -> tuple[Run, str]:
    """OpenCV reads the frames and nothing else happens: the limit for all that read with OpenCV."""
    import cv2

    def run() -> tuple[int, int]:
        video, frames = cv2.VideoCapture(clip), 0
        while frames < options["most"] and video.read()[0]:
            frames += 1
        video.release()
        return frames, 0

    return run, f"OpenCV {cv2.__version__}"


def mediapipe(clip: str, options: dict[str, Any]) -> tuple[Run, str]:
    """MediaPipe's Face Landmarker in video mode with blendshapes, fed as its documentation does."""
    import cv2
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    model = options.get("landmarker")
    if not model or not Path(model).is_file():
        raise ModuleNotFoundError("give its model file: --landmarker face_landmarker.task")
    settings = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
        num_faces=options["faces"] or 5,
    )

    def run() -> tuple[int, int]:
        video, frames, faces = cv2.VideoCapture(clip), 0, 0
        step_ms = 1000 / (video.get(cv2.CAP_PROP_FPS) or 25)
        with vision.FaceLandmarker.create_from_options(settings) as landmarker:
            while frames < options["most"]:
                there, image = video.read()
                if not there:
                    break
                rgb = mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
                faces += len(landmarker.detect_for_video(rgb, round(frames * step_ms)).face_blendshapes)
                frames += 1
        video.release()
        return frames, faces

    return run, f"mediapipe {mp.__version__}, {options['faces'] or 5} faces at most"


def published(clip: str, options: dict[str, Any]) -> tuple[Run, str]:
    """The published demo's way: MTCNN on TensorFlow for every frame, five ResNet-50s in torch for the surest face.

    The weights are untrained: they take as long as trained ones.
    """
    import cv2
    import numpy as np
    import torch
    from mtcnn import MTCNN

    from affectkit.train.networks import MultitaskCNN, resnet50_config

    detector = MTCNN()
    networks = [MultitaskCNN(resnet50_config()).eval() for _ in range(5)]

    def run() -> tuple[int, int]:
        video, frames, faces = cv2.VideoCapture(clip), 0, 0
        while frames < options["most"]:
            there, image = video.read()
            if not there:
                break
            frames += 1
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            found = detector.detect_faces(rgb)
            if not found:
                continue
            faces += 1
            x, y, width, height = max(found, key=lambda face: face["confidence"])["box"]
            crop = rgb[max(0, y) : y + height, max(0, x) : x + width]
            face = cv2.resize(cv2.resize(crop, (134, 134))[11:123, 11:123], (112, 112))
            with torch.no_grad():
                answers = [network(torch.from_numpy(face[None])) for network in networks]
            np.mean([answer.expression.numpy() for answer in answers], 0)
        video.release()
        return frames, faces

    return run, f"mtcnn on TensorFlow, torch {torch.__version__}"


def affectkit(clip: str, options: dict[str, Any]) -> tuple[Run, str]:
    """This package: the clip to a CSV on disk, as `affectkit predict` does."""
    import cv2

    from affectkit.benchmark import to_table
    from affectkit.predictor import Predictor

    cv2.setNumThreads(1)  # as `affectkit predict` does
    predictor = Predictor(options["model"])
    scratch = Path(tempfile.mkdtemp())

    def run() -> tuple[int, int]:
        # Of each way the same number of faces is asked.
        frames, _ = to_table(predictor, clip, scratch, max_faces=options["faces"])
        return frames, faces

    to_table(predictor, clip, scratch, max_faces=options["faces"])
    lines = (scratch / "table.csv").read_text().splitlines()
    faces = sum(line.split(",")[lines[0].split(",").index("success")] == "1" for line in lines[1:])
    return run, f"{predictor.spec.name} on {predictor.device}"


WAYS = {"decoding": decoding, "mediapipe": mediapipe, "published": published, "affectkit": affectkit}


def main() -> None:
    name, clip, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        run, note = WAYS[name](clip, options)
    except ModuleNotFoundError as error:
        print(f"absent {error}", flush=True)
        return
    print(f"ready {note}", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        frames, faces = run()
        print(frames, time.perf_counter() - began, faces, flush=True)


if __name__ == "__main__":
    main()

"""Frames of a camera, or of a file that stands in for one, by OpenCV; the faces' values beside them.

python camera.py 0                                        # the first camera, in a window (opencv-python)
python camera.py clip.mp4 --frames 50 --save last.png     # no window: the last frame as a picture
"""

from __future__ import annotations

import argparse
import sys
import time

import cv2
import numpy as np

from affectkit import FrameResult, Predictor


def main() -> None:
    """Read, ask, draw, until the source or the number of frames is over, or q is pressed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="number of a camera, or a file")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many; 0: never")
    parser.add_argument("--save", metavar="PNG", help="no window; write the last frame")
    asked = parser.parse_args()
    camera = cv2.VideoCapture(int(asked.source) if asked.source.isdigit() else asked.source)
    if not camera.isOpened():
        sys.exit(f"{asked.source}: no such camera or file")
    count, drawn = 0, None
    start = time.monotonic()
    with Predictor().session() as session:
        while not asked.frames or count < asked.frames:
            there, bgr = camera.read()
            if not there:
                break
            count += 1
            for result in session.push(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), time.monotonic()):
                drawn = draw(bgr, result)
            if not asked.save and drawn is not None:
                cv2.imshow("affectkit", drawn)
                if cv2.waitKey(1) == ord("q"):
                    break
    camera.release()
    if drawn is None:
        sys.exit(f"{asked.source}: not one frame could be read")
    if asked.save:
        cv2.imwrite(asked.save, drawn)
    print(f"{count} frames, {count / (time.monotonic() - start):.0f} a second")


def draw(bgr: np.ndarray, result: FrameResult) -> np.ndarray:
    """The frame with a box and two lines of text a face."""
    picture = bgr.copy()
    for face in result.faces:
        x, y, width, height = map(round, face.box)
        cv2.rectangle(picture, (x, y), (x + width, y + height), (120, 170, 0), 2)
        active = [name for name, on in zip(face.affect.labels.action_units, face.affect.au_active, strict=True) if on]
        for k, text in enumerate((f"{face.track_id}: {face.affect.expression}", " ".join(active[:4]))):
            place = (x, y + height + 20 * (k + 1))
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    main()

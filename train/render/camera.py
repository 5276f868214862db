"""Where the camera and the lights stand, as 4 x 4 matrices, and where points fall in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectkit.types import Array


@dataclass(frozen=True, slots=True)
class Camera:
    """A view of a head.

    Angles as in the shared sets' ``pose_deg``: pitch > 0 looks down, yaw > 0 turns towards the picture's right,
    roll > 0 tilts counter-clockwise as seen.
    """

    pitch: float
    yaw: float
    roll: float
    """Degrees."""
    distance: float
    """dm."""
    eye_share: float
    """Distance of the eyes of a head that is not turned, over the picture's width."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Of the face, in pictures, right and up."""


def rotation(pitch: float, yaw: float, roll: float) -> Array:
    """(3, 3) from degrees."""
    a, b, c = np.radians([pitch, yaw, roll])
    about_x = np.asarray([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.asarray([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.asarray([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def view_matrix(camera: Camera, pivot: Array) -> Array:
    """(4, 4) from the head's space into the camera's; ``pivot`` (3,) stays where it is while the head turns."""
    view = np.eye(4)
    view[:3, :3] = rotation(camera.pitch, camera.yaw, camera.roll)
    view[:3, 3] = -view[:3, :3] @ pivot + [0, 0, -camera.distance]
    return view


def projection_matrix(camera: Camera, eye_distance: float) -> Array:
    """(4, 4) perspective."""
    focal = 2 * camera.distance * camera.eye_share / eye_distance
    near, far = max(camera.distance - 4, 0.3), camera.distance + 4
    matrix = np.zeros((4, 4))
    matrix[0, 0] = matrix[1, 1] = focal
    matrix[0, 2], matrix[1, 2] = -2 * camera.shift[0], -2 * camera.shift[1]
    matrix[2, 2], matrix[2, 3], matrix[3, 2] = (far + near) / (near - far), 2 * far * near / (near - far), -1
    return matrix


def light_matrix(direction: Array, centre: Array, reach: float = 1.9) -> Array:
    """(4, 4) orthographic view of a light from ``direction`` (3,), of ``reach`` dm around ``centre``."""
    forward = np.asarray(direction) / np.linalg.norm(direction)
    side = np.cross([0.03, 1.0, 0.02], forward)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = [side, np.cross(forward, side), forward]
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return np.diag([1 / reach, 1 / reach, -1 / (2 * reach), 1]) @ matrix


def project(points: Array, view: Array, projection: Array, size: int) -> Array:
    """Pixels (N, 2) of points (N, 3) in a picture of ``size``; pixel centres lie at whole numbers."""
    placed = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ (projection @ view).T
    plane = placed[:, :2] / placed[:, 3:]
    return np.stack([(plane[:, 0] + 1) * size / 2 - 0.5, (1 - plane[:, 1]) * size / 2 - 0.5], 1)

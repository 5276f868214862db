"""What lies over a face, faces that stand on their head, and crops that show none: so that networks learn what is seen.

Drawn over the crop, so that how much of brows, eyes and mouth is left is known, on photographs as on renderings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.train.render.occluders import Place, occluder
from affectkit.types import Array, UInt8
from affectkit.visibility import region_bands

HIDDEN = 0.35
"""Visible share of a region under which its action units are not taught: nothing of them can be seen."""

UPRIGHT_DEG = 45.0
"""How far a face may be turned in its crop and still be judged; further ones are taught to be invisible."""


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """A crop and what can be seen in it."""

    crop: UInt8
    """(S, S, C)."""
    seen: Array
    """(3,) visible shares of brows, eyes and mouth, 0..1, of what was visible before."""


def cover(crop: UInt8, points: Array, rng: np.random.Generator) -> Covered:
    """Lay something by lot over a face: a mask, a hand, a microphone, hair, glasses, the end of the picture ...

    Args:
        crop: (S, S, C).
        points: (5, 2) px of the crop: eyes, nose tip, mouth corners.
    """
    alpha, colour, left = drawn_layer(rng, crop.shape[0], points, np.full(3, float(np.median(crop))))
    shade = colour if crop.shape[2] == 3 else colour.mean(2, keepdims=True)
    covered = np.clip(crop * (1 - alpha[..., None]) + shade * alpha[..., None] + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:  # edges as soft as the picture's
        covered = np.asarray(cv2.GaussianBlur(covered, (0, 0), rng.uniform(0.4, 0.9)), np.uint8).reshape(crop.shape)
    return Covered(covered, left)


def drawn_layer(rng: np.random.Generator, size: int, points: Array, skin: Array) -> tuple[Array, Array, Array]:
    """Something by lot that lies over a face: how much it hides, its colour, and what is left of the face.

    Args:
        size: of the crop, S px.
        points: (5, 2) px of the crop: eyes, nose tip, mouth corners.
        skin: (3,) 0..255, which hands and heads look like.

    Returns:
        (S, S) 0..1, (S, S, 3) 0..255, and (3,) visible shares of brows, eyes and mouth.
    """
    place = Place(size, points, lower_face(points), skin)
    kind = rng.random()
    if kind < 0.15:
        alpha, colour = _glasses(rng, place)
    elif kind < 0.27:
        alpha, colour = _brim(rng, place)
    else:
        layer = occluder(rng, place)
        alpha, colour = layer.alpha, layer.colour
    masks = regions(size, points)
    left = np.array([1 - float(alpha[mask].mean()) if mask.any() else 0.0 for mask in masks])
    return alpha, colour, left


def regions(size: int, points: Array) -> list[Array]:
    """(S, S) masks of brows, eyes and mouth, by the five points of a face that looks at the camera more or less."""
    masks = []
    for bands in region_bands(points):
        mask = np.zeros((size, size), np.uint8)
        for start, end, half in bands:
            corners = np.stack([start - half, end - half, end + half, start + half])
            cv2.fillConvexPoly(mask, np.round(corners * 16).astype(np.int32), 1, cv2.LINE_8, shift=4)
        masks.append(mask > 0)
    return masks


def lower_face(points: Array) -> Array:
    """(10, 2) the outline of the lower face as five points tell of it: left half from the nose to the chin, then right.

    The chin lies about .85 of the way from the eyes to the mouth below the mouth, and cheeks are as wide apart as 2.2
    times the eyes at the nose.
    """
    eyes, nose, mouth = points[:2].mean(0), points[2], points[3:].mean(0)
    across, down = points[1] - points[0], mouth - eyes
    bridge = nose - 0.35 * down
    halves = []
    for sign in (-1, 1):
        halves.append(
            np.stack(
                [
                    bridge + sign * 0.15 * across,
                    bridge + sign * 0.75 * across + 0.1 * down,
                    nose + sign * 1.05 * across,
                    mouth + sign * 0.9 * across,
                    mouth + sign * 0.3 * across + 0.85 * down,
                ]
            )
        )
    return np.concatenate(halves)


def _glasses(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """Dark glasses; now and then with a mirror in them."""
    alpha = np.zeros((place.size, place.size), np.float32)
    across = place.landmark5[1] - place.landmark5[0]
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    width, height = place.unit * rng.uniform(0.32, 0.46), place.unit * rng.uniform(0.22, 0.4)
    for eye in place.landmark5[:2]:
        centre = tuple(int(v) for v in np.round(eye + rng.normal(0, 0.02, 2) * place.unit))
        cv2.ellipse(alpha, centre, (max(int(width), 1), max(int(height), 1)), angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    left, right = (tuple(int(v) for v in np.round(eye)) for eye in place.landmark5[:2])
    cv2.line(alpha, left, right, 1.0, max(int(place.unit * 0.06), 1), cv2.LINE_AA)
    alpha *= rng.uniform(0.8, 1.0)
    tint = np.full(3, rng.uniform(0, 60)) if rng.random() < 0.8 else rng.uniform(0, 255, 3)
    ramp = np.linspace(0.7, 1.4, place.size, dtype=np.float32)[:, None, None]
    return alpha, np.broadcast_to(tint * ramp, (place.size, place.size, 3)).astype(np.float32)


def _brim(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """A hat, a fringe or a headscarf: everything over a line between the forehead and the eyes."""
    eyes, mouth = place.landmark5[:2].mean(0), place.landmark5[3:].mean(0)
    down = mouth - eyes
    y, x = np.mgrid[0 : place.size, 0 : place.size].astype(np.float32)
    height = ((x - eyes[0]) * down[0] + (y - eyes[1]) * down[1]) / max(float(down @ down), 1.0)
    line = rng.uniform(-0.42, -0.05) + 0.04 * np.sin(x / place.unit * rng.uniform(2, 12) + rng.uniform(0, 6))
    alpha = np.clip((line - height) * place.unit * 2, 0, 1).astype(np.float32)
    colour = rng.uniform(0, 110) if rng.random() < 0.7 else rng.uniform(0, 255)
    grain = rng.normal(0, rng.uniform(0, 12), (place.size, place.size, 1)).astype(np.float32)
    return alpha, np.clip(colour + np.repeat(grain, 3, 2), 0, 255)


def no_face(crop: UInt8, rng: np.random.Generator) -> UInt8:
    """A crop of about these greys that shows no face: its parts in another order, a blurred noise, or a slope."""
    size, channels = crop.shape[0], crop.shape[2]
    kind = rng.random()
    if kind < 0.45:
        parts = int(rng.integers(2, 5))
        side = -(-size // parts)
        whole = cv2.resize(crop, (side * parts, side * parts)).reshape(side * parts, side * parts, channels)
        tiles = [
            whole[y : y + side, x : x + side] for y in range(0, len(whole), side) for x in range(0, len(whole), side)
        ]
        order = rng.permutation(len(tiles))
        mixed = [np.rot90(tiles[k], int(rng.integers(4))) for k in order]
        rows = [np.concatenate(mixed[k : k + parts], 1) for k in range(0, len(mixed), parts)]
        return np.ascontiguousarray(np.concatenate(rows, 0)[:size, :size])
    if kind < 0.8:
        grains = int(rng.integers(2, 24))
        noise = rng.uniform(0, 255, (grains, grains, channels)).astype(np.float32)
        drawn = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels)
    else:
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
        drawn = rng.uniform(0, 255) + rng.normal(0, 80) * x + rng.normal(0, 80) * y
        drawn = np.repeat(drawn[:, :, None], channels, 2)
    return np.clip(drawn, 0, 255).astype(np.uint8)

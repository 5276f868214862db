"""Training pictures and their disturbance on a GPU: train/augmentation.py for a whole batch at once.

A CPU core disturbs some hundred faces a second, a GPU that trains a network of this size takes tens of thousands.
Faces are kept as squares around their crop, cut by the SDK's own function (scripts/pack_for_gpu.py).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from affectkit.train.occlusion import HIDDEN
from affectkit.visibility import hidden_units

BASE, CROP = 128, 96
"""A crop ``CROP`` wide lies in the middle of a square ``BASE`` wide, which is kept in that many pixels, or more."""


@dataclass(frozen=True)
class How:
    """How much faces are disturbed; shares are of a batch."""

    rotate_deg: float = 9.0
    scale: float = 0.12
    shift: float = 0.045
    points: float = 1.1
    """Of the noise that landmarks off by .015 of the crop give rotation, size and place."""
    wave: float = 0.6
    """Standard deviation, 128ths of the square, of a smooth distortion: people differ in shape more than renderings."""
    turn: float = 0.04
    elsewhere: float = 0.05
    small: float = 0.25
    cover: float = 0.2
    same_tone: float = 0.4
    """Of what is laid over faces: as bright as the face, as its own hand is."""
    light: float = 0.6
    patchy: float = 0.2
    blur: float = 0.12
    sharpen: float = 0.08
    noise: float = 0.12
    compress: float = 0.15


@dataclass
class Faces:
    """Everything that is trained on, on the device; N faces, NaN where a label is unknown."""

    base: Tensor  # (N, S, S) uint8
    expression: Tensor  # (N, 7) probabilities
    au: Tensor  # (N, A)
    intensity: Tensor  # (N, A)
    va: Tensor  # (N, 2)
    visible: Tensor  # (N, 3)
    pose: Tensor  # (N, 3) degrees, in the picture
    turn: Tensor  # (N,) degrees, clockwise as seen, by which the square is turned against the picture
    said_expression: Tensor  # (N, 7) logits of the teachers
    said_va: Tensor  # (N, 40) logits of the teachers
    index: Tensor  # (N,) expression that is measured on
    rendered: Tensor  # (N,) bool

    def rows(self, rows: Tensor) -> Faces:
        """Some of them."""
        return Faces(*(getattr(self, part.name)[rows] for part in dataclasses.fields(self)))


@dataclass
class Bank:
    """What is laid over faces, drawn before; K layers and L crops that show no face."""

    alpha: Tensor  # (K, 96, 96) uint8
    colour: Tensor  # (K, 96, 96) uint8
    seen: Tensor  # (K, 3) shares of brows, eyes and mouth that are left
    none: Tensor  # (L, 96, 96) uint8


class Disturber:
    """Crops of a set of faces, clean or disturbed, and what is true of them then."""

    def __init__(self, faces: Faces, bank: Bank, size: int, units: tuple[str, ...], seed: int, how: How | None = None):
        self.faces, self.bank, self.size, self.how = faces, bank, size, how or How()
        self.device = faces.base.device
        self._generator = torch.Generator(device=self.device)
        self._generator.manual_seed(seed)
        self._numbers = np.random.default_rng(seed)
        needs = np.stack([hidden_units(np.eye(3)[[k]] > 0, units)[0] for k in range(3)])  # (3, A)
        self._needs = torch.from_numpy(needs).to(self.device).float()

    def clean(self, rows: Tensor) -> Tensor:
        """(N, S, S) 0..255."""
        zero = torch.zeros(len(rows), device=self.device)
        plain = self._warped(self.faces.base[rows].float(), zero, zero + 1, zero + 1, zero[:, None].expand(-1, 2), None)
        return plain.round()

    def __call__(self, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, S, S) 0..255, and labels by their names in ``Faces``."""
        how, count, faces = self.how, len(rows), self.faces.rows(rows)
        angle = torch.deg2rad(self._uniform(-how.rotate_deg, how.rotate_deg, count))
        angle = angle + self._normal(count) * 0.0287 * how.points
        zoom = torch.exp(
            self._uniform(-1, 1, count) * math.log1p(how.scale) + self._normal(count) * 0.0287 * how.points
        )
        flip = torch.where(self._uniform(0, 1, count) < 0.5, -1.0, 1.0)
        offset = self._uniform(-how.shift, how.shift, count, 2) + self._normal(count, 2) * 0.0067 * how.points
        turned = self._uniform(0, 1, count) < how.turn
        angle = torch.where(turned, torch.deg2rad(self._uniform(60, 300, count)), angle)
        gone = self._uniform(0, 1, count) < how.elsewhere
        beside = gone & (self._uniform(0, 1, count) < 0.5)
        none = torch.zeros(count, device=self.device)
        far = torch.where(
            beside, self._uniform(0.55, 0.95, count), torch.where(turned, self._uniform(0, 0.3, count), none)
        )
        towards = self._uniform(0, 2 * math.pi, count)
        offset = offset + far[:, None] * torch.stack([torch.cos(towards), torch.sin(towards)], 1)
        wave = self._smooth(self._normal(count, 2, 5, 5) * how.wave)
        crops = self._warped(faces.base.float(), angle, zoom, flip, offset, wave)
        seen = self._cover(crops)
        self._fewer_pixels(crops)  # after what lies over the face: it would be the only sharp thing in the picture
        self._no_face(crops, gone & ~beside)
        crops = self._spoilt(crops)
        return crops, self._labels(faces, seen, ~(turned | gone), flip, angle)

    def _labels(self, faces: Faces, seen: Tensor, face: Tensor, flip: Tensor, angle: Tensor) -> dict[str, Tensor]:
        nan, off = torch.tensor(torch.nan, device=self.device), ~face[:, None]
        visible = torch.where(torch.isnan(faces.visible), torch.ones_like(faces.visible), faces.visible) * seen
        visible = torch.where(off, torch.zeros_like(visible), visible)
        hidden = ((visible < HIDDEN).float() @ self._needs) > 0  # (N, A)
        # y points down: a positive turn of the crop is clockwise as seen, roll counts the other way.
        roll = flip * (faces.pose[:, 2] - faces.turn) - torch.rad2deg(angle)
        pose = torch.stack([faces.pose[:, 0], flip * faces.pose[:, 1], roll], 1)
        return {
            "expression": torch.where(off, nan, faces.expression),
            "au": torch.where(hidden, nan, faces.au),
            "intensity": torch.where(hidden, nan, faces.intensity),
            "va": torch.where(off, nan, faces.va),
            "visible": visible,
            "pose": torch.where(off, nan, pose),
            "said_expression": torch.where(off, nan, faces.said_expression),
            "said_va": torch.where(off, nan, faces.said_va),
        }

    def _warped(
        self, base: Tensor, angle: Tensor, zoom: Tensor, flip: Tensor, offset: Tensor, wave: Tensor | None
    ) -> Tensor:
        """(N, S, S): angle in radians, zoom > 1 enlarges, offset in crops, wave (N, 2, S, S) px of the square."""
        steps = (torch.arange(self.size, device=self.device) - (self.size - 1) / 2) * (CROP / self.size)
        y, x = torch.meshgrid(steps, steps, indexing="ij")  # px of the square, from its middle
        x, y = x[None] - offset[:, 0, None, None] * CROP, y[None] - offset[:, 1, None, None] * CROP
        cosine, sine, size = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None], zoom[:, None, None]
        u, v = (cosine * x + sine * y) / size * flip[:, None, None], (cosine * y - sine * x) / size
        if wave is not None:
            u, v = u + wave[:, 0], v + wave[:, 1]
        grid = torch.stack([u, v], -1) * (2 / BASE)
        return F.grid_sample(base[:, None], grid, padding_mode="border", align_corners=False)[:, 0]

    def _fewer_pixels(self, crops: Tensor) -> None:
        """Some of the faces with as few as .3 of the pixels; in four groups, each of one size."""
        for part in self._some(len(crops), self.how.small).chunk(4):
            target = int(self._numbers.integers(round(0.3 * self.size), self.size))
            shown = crops[part][:, None]
            if self._numbers.random() < 0.5:
                small = F.interpolate(shown, size=(target, target), mode="area")
            else:
                small = F.interpolate(shown, size=(target, target), mode="bilinear", antialias=True)
            mode = "bilinear" if self._numbers.random() < 0.7 else "bicubic"
            crops[part] = F.interpolate(small, size=(self.size, self.size), mode=mode)[:, 0].clamp(0, 255)

    def _cover(self, crops: Tensor) -> Tensor:
        """Lay something over some of them; (N, 3) what is left of brows, eyes and mouth."""
        seen = torch.ones(len(crops), 3, device=self.device)
        part = self._some(len(crops), self.how.cover)
        pick = torch.randint(len(self.bank.alpha), (len(part),), device=self.device, generator=self._generator)
        layer = torch.stack([self.bank.alpha[pick].float() / 255, self.bank.colour[pick].float()], 1)
        mirrored = (self._uniform(0, 1, len(part)) < 0.5)[:, None, None, None]
        layer = torch.where(mirrored, layer.flip(3), layer)
        if layer.shape[2] != self.size:
            layer = F.interpolate(layer, size=(self.size, self.size), mode="bilinear")
        alpha, colour = layer[:, 0], layer[:, 1]
        alike = (self._uniform(0, 1, len(part)) < self.how.same_tone)[:, None, None]
        colour = torch.where(alike, self._in_tone(colour, alpha, crops[part]), colour)
        crops[part] = crops[part] * (1 - alpha) + colour * alpha
        seen[part] = self.bank.seen[pick].float()
        return seen

    def _in_tone(self, colour: Tensor, alpha: Tensor, crops: Tensor) -> Tensor:
        """(N, S, S) layers brought to about the brightness of the middle of the crops, which is the nose."""
        size = self.size
        own = (colour * alpha).sum((1, 2)) / alpha.sum((1, 2)).clamp(min=1)
        face = crops[:, size * 2 // 5 : size * 3 // 5, size * 2 // 5 : size * 3 // 5].mean((1, 2))
        gain = face * self._uniform(0.85, 1.15, len(crops)) / own.clamp(min=16)
        return (colour * gain[:, None, None]).clamp(0, 255)

    def _no_face(self, crops: Tensor, instead: Tensor) -> None:
        rows = torch.nonzero(instead)[:, 0]
        pick = torch.randint(len(self.bank.none), (len(rows),), device=self.device, generator=self._generator)
        other = self.bank.none[pick].float()[:, None]
        mirrored = self._uniform(0, 1, len(rows)) < 0.5
        other = torch.where(mirrored[:, None, None, None], other.flip(3), other)
        if len(rows):
            crops[rows] = F.interpolate(other, size=(self.size, self.size), mode="bilinear")[:, 0]

    def _spoilt(self, crops: Tensor) -> Tensor:
        how, count, size = self.how, len(crops), self.size

        def on(share: float) -> Tensor:
            return (self._uniform(0, 1, count) < share)[:, None, None]

        def column(low: float, high: float) -> Tensor:
            return self._uniform(low, high, count)[:, None, None]

        lit = (crops / 255).clamp(1e-3, 1) ** torch.exp(column(-0.5, 0.5))
        lit = ((lit - 0.5) * torch.exp(column(-0.5, 0.2)) + 0.5 + column(-0.15, 0.15)).clamp(0, 1) * 255
        towards, ramp = column(0, 2 * math.pi), torch.linspace(-1, 1, size, device=self.device)
        side = 1 + column(0, 0.5) * (
            torch.cos(towards) * ramp[None, None, :] + torch.sin(towards) * ramp[None, :, None]
        )
        lit = torch.where(on(0.5), lit * side, lit)
        lit = torch.where(on(how.patchy), lit * (1 + self._smooth(self._normal(count, 1, 4, 4) * 0.18)[:, 0]), lit)
        crops = torch.where(on(how.light), lit.clamp(0, 255), crops)
        for part in self._some(count, how.blur).chunk(4):
            crops[part] = blurred(crops[part], float(self._numbers.uniform(0.4, 2.0)) * size / CROP)
        part = self._some(count, how.sharpen)
        gain = self._uniform(0.3, 1.5, len(part))[:, None, None]
        crops[part] = (crops[part] + gain * (crops[part] - blurred(crops[part], 1.2 * size / CROP))).clamp(0, 255)
        noisy = crops + self._normal(count, size, size) * column(1, 10)
        crops = torch.where(on(how.noise), noisy, crops).clamp(0, 255)
        part = self._some(count, how.compress)
        crops[part] = jpeg(crops[part], self._uniform(20, 90, len(part)))
        return crops.round()

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device, generator=self._generator) * (high - low) + low

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, generator=self._generator)

    def _smooth(self, coarse: Tensor) -> Tensor:
        """(N, C, k, k) -> (N, C, S, S)."""
        return F.interpolate(coarse, size=(self.size, self.size), mode="bicubic", align_corners=True)

    def _some(self, count: int, share: float) -> Tensor:
        """Rows by lot; always as many, so that nothing has to be asked of the device."""
        return torch.randperm(count, device=self.device, generator=self._generator)[: int(count * share)]


def blurred(crops: Tensor, sigma: float) -> Tensor:
    """(N, S, S) through a Gaussian of one sigma, px."""
    reach = max(1, math.ceil(2.5 * sigma))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, device=crops.device) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None]
    wide = F.pad(crops[:, None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel[..., None]), kernel[:, :, None])[:, 0]


# ITU T.81, Annex K, table K.1: quantisation of luminance.
_LUMINANCE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""


def jpeg(crops: Tensor, quality: Tensor) -> Tensor:
    """(N, S, S) 0..255 as JPEGs of their qualities (N,) 1..99 show them; S a multiple of 8."""
    count, size, _ = crops.shape
    place = torch.arange(8, dtype=torch.float32, device=crops.device)
    cosines = torch.cos(math.pi * (2 * place[None] + 1) * place[:, None] / 16) / 2
    cosines[0] /= math.sqrt(2)
    table = torch.tensor([float(value) for value in _LUMINANCE.split()], device=crops.device).reshape(8, 8)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    steps = ((table[None] * scale + 50) / 100).floor().clamp(1, 255)[:, None, None]  # (N, 1, 1, 8, 8)
    blocks = (crops - 128).reshape(count, size // 8, 8, size // 8, 8).permute(0, 1, 3, 2, 4)
    blocks = cosines.T @ ((cosines @ blocks @ cosines.T / steps).round() * steps) @ cosines
    return (blocks.permute(0, 1, 3, 2, 4).reshape(count, size, size) + 128).clamp(0, 255)

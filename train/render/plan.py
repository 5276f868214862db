"""What is to be rendered, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from affectkit.types import UInt8


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be rendered; with the assets it says everything."""

    seed: int
    stills: int
    sequences: int
    frames: int
    """Of a sequence."""
    identities: int
    size: int
    """Of the pictures, px."""

    @property
    def stills_each(self) -> int:
        """Stills of one identity, at most."""
        return -(-self.stills // self.identities)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture and what is true of it."""

    name: str
    picture: UInt8
    """RGB."""
    row: dict[str, Any]

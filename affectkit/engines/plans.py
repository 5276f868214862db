"""Where TensorRT's plans are kept, and when one may be used again. Knows nothing of TensorRT itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from affectkit.errors import EngineError, OutputError
from affectkit.outputs.files import write_whole

log = logging.getLogger(__name__)

CACHE_VARIABLE = "AFFECTKIT_CACHE"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a plan is built for, in TensorRT's words: the least, the usual and the greatest batch."""

    min: int = 1
    """Faces (or sequences) at once."""
    opt: int = 32
    """What it is tuned for."""
    max: int = 128
    frames: int = 32
    """Longest sequence, and the length it is tuned for; only of temporal networks, whose second free axis it is."""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise ValueError(f"a profile needs 1 <= min <= opt <= max, got {self}")
        if self.frames < 1:
            raise ValueError(f"a profile needs at least one frame, got {self}")

    def key(self) -> tuple[int, int, int, int]:
        """All of it, for a :class:`PlanKey`."""
        return self.min, self.opt, self.max, self.frames

    def shape(self, network: tuple[int, ...], which: Literal["min", "opt", "max"]) -> tuple[int, ...]:
        """A shape in which -1 is free, with its free axes filled in: the first counts faces, the second frames.

        Raises:
            EngineError: there are no free axes, or more than two.
        """
        free = [axis for axis, length in enumerate(network) if length < 0]
        if not 1 <= len(free) <= 2:
            raise EngineError(f"a network needs one or two free axes to be given faces, this one is {network}")
        frames = 1 if which == "min" else self.frames
        filled = dict(zip(free, (getattr(self, which), frames), strict=False))
        return tuple(filled.get(axis, length) for axis, length in enumerate(network))

    def check(self, path: Path, name: str, network: tuple[int, ...], given: tuple[int, ...]) -> None:
        """Refuse an input that the plan was not built for.

        Args:
            path: of the network, for the message.
            network: shape of the input in the network, -1 where it is free.
            given: that of the batch.

        Raises:
            EngineError: a free axis is shorter or longer than the profile's.
        """
        low, high = self.shape(network, "min"), self.shape(network, "max")
        if any(not a <= g <= b for a, g, b in zip(low, given, high, strict=True)):
            raise EngineError(
                f"{path}: {name!r} of shape {given} is outside the plan's profile, {low} to {high}; use a batch size "
                "in it, or build for another profile"
            )


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan depends on; a plan of another key is not used."""

    weights: str
    """sha256 of the ONNX file."""
    precision: str
    profile: tuple[int, int, int, int]
    tensorrt: str
    gpu: str
    driver: str

    @property
    def digest(self) -> str:
        """Name of the plan's file."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def cache_folder() -> Path:
    """``$AFFECTKIT_CACHE``, else ``affectkit`` in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "affectkit"


def plan_for(key: PlanKey, name: str, build: Callable[[bytes], tuple[bytes, bytes]], folder: Path) -> bytes:
    """The plan of ``key``: from the cache, or built and put there.

    Args:
        name: of the model, for messages and to find what a plan in the cache differs in.
        build: takes a timing cache (or nothing), returns a plan and the timing cache after it.
        folder: of the cache; made if need be.

    Raises:
        EngineError: the cache cannot be written.
    """
    path = folder / f"{name}-{key.digest}.plan"
    described = path.with_suffix(".json")
    timing = folder / f"{key.gpu}-{key.tensorrt}.timing".replace(" ", "_").replace("/", "_")
    with _kept_in(folder):
        if path.is_file() and described.is_file():
            plan = path.read_bytes()
            if _described_sha256(described) == hashlib.sha256(plan).hexdigest():
                return plan
            log.warning("%s: the plan in the cache is damaged; building it again", name)
        else:
            log.warning(
                "%s: building a TensorRT plan, which takes a minute or more (%s)", name, _why(key, name, folder)
            )
        folder.mkdir(parents=True, exist_ok=True)
        timed_before = timing.read_bytes() if timing.is_file() else b""
    plan, timed = build(timed_before)  # its errors are its own, not the cache's
    with _kept_in(folder):
        write_whole(timing, timed)
        write_whole(path, plan)
        facts = {**asdict(key), "name": name, "sha256": hashlib.sha256(plan).hexdigest()}
        write_whole(described, (json.dumps(facts, indent=2) + "\n").encode())
    return plan


@contextlib.contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Reading and writing in the cache; what goes wrong says what to do."""
    try:
        yield
    except (OSError, OutputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        where, reason = (cause.filename, cause.strerror) if isinstance(cause, OSError) else (None, None)
        raise EngineError(
            f"{where or folder}: TensorRT's plan cannot be kept there ({reason or error}); set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error


def _described_sha256(described: Path) -> str:
    """The sha256 of a plan as the file beside it says; empty where that file is damaged."""
    try:
        facts = json.loads(described.read_text(encoding="utf-8"))
    except ValueError:
        return ""
    return str(facts.get("sha256")) if isinstance(facts, dict) else ""


def _why(key: PlanKey, name: str, folder: Path) -> str:
    """What keeps the plans that are there from being used."""
    wanted = asdict(key)
    nearest: list[str] | None = None
    for described in sorted(folder.glob(f"{name}-*.json")):
        try:
            there = json.loads(described.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(there, dict):
            continue
        other = [field for field, value in wanted.items() if _plain(there.get(field)) != _plain(value)]
        if nearest is None or len(other) < len(nearest):
            nearest = other
    return "the first for this model" if nearest is None else f"another {' and '.join(nearest)} than before"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

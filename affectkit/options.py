"""What a run can be asked for: options that have names, and check themselves when they are made.

:class:`PredictorConfig` says what is run, :class:`StreamOptions` how a source is gone through, :class:`OutputOptions`
what is written, and :class:`affectkit.sources.limits.Opening` how a source is opened. They are values: they compare,
and can be sent to other processes. The keyword arguments of ``Predictor`` and its methods are their fields, which the
TypedDicts here declare to type checkers.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast, get_args

from affectkit.faces.names import DETECTORS
from affectkit.spec import Precision, Prior
from affectkit.windows import WindowMode

if TYPE_CHECKING:
    from affectkit.faces.base import DetectsFaces
    from affectkit.outputs.layouts import TableFormat
    from affectkit.types import TrackedFrame

PRECISIONS = ("auto", *get_args(Precision))


class PredictorKeywords(TypedDict, total=False):
    """Keyword arguments of ``Predictor``: the fields of :class:`PredictorConfig` but the model."""

    device: str
    detector: str | DetectsFaces
    detect_every: int | None
    min_face_px: int
    batch_size: int
    max_wait_s: float
    threads: int | None
    temporal: bool | None
    precision: str
    prior: Prior
    min_quality: float
    au_thresholds: Mapping[str, float] | None


class StreamKeywords(TypedDict, total=False):
    """Keyword arguments of ``Predictor.stream``: the fields of :class:`StreamOptions`."""

    start_s: float
    end_s: float
    every: int
    max_faces: int | None
    aligned: bool
    window: WindowMode
    lookahead: int
    max_gap_s: float
    smooth_s: float
    min_confidence: float


class PredictKeywords(StreamKeywords, total=False):
    """Keyword arguments that ``Predictor.predict`` passes on to ``Predictor.stream``."""

    keep_images: bool
    resume: Mapping[str, Any] | None
    on_tracked: Callable[[TrackedFrame], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorConfig:
    """What is run, on what: the arguments of ``Predictor``, which describes them.

    Raises:
        ValueError: an argument is out of range.
        TypeError: it is of another type.
    """

    model: str | os.PathLike[str] = "lite"
    device: str = "auto"
    detector: str | DetectsFaces = "mtcnn"
    detect_every: int | None = None
    min_face_px: int = 20
    batch_size: int = 32
    max_wait_s: float = 0.5
    threads: int | None = None
    temporal: bool | None = None
    precision: str = "auto"
    prior: Prior = "natural"
    min_quality: float = 0.0
    au_thresholds: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        from affectkit.engines import check_device

        _check(isinstance(self.model, str | os.PathLike), "model", "a name or a path", self.model)
        _check(isinstance(self.device, str), "device", "a name", self.device)
        check_device(self.device)
        if isinstance(self.detector, str) and self.detector.partition(":")[0] not in DETECTORS:
            known = ", ".join(DETECTORS.values())
            raise ValueError(f"detector must be {known} or a Detector object, got {self.detector!r}")
        if self.detect_every is not None:
            _whole("detect_every", self.detect_every, 1)
        _whole("min_face_px", self.min_face_px, 1)
        _whole("batch_size", self.batch_size, 1)
        _seconds("max_wait_s", self.max_wait_s, endless=True)
        if self.threads is not None:
            _whole("threads", self.threads, 1)
        _check(
            self.temporal is None or isinstance(self.temporal, bool), "temporal", "True, False or None", self.temporal
        )
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be auto, {', '.join(get_args(Precision))}, got {self.precision!r}")
        if self.prior not in get_args(Prior):
            raise ValueError(f"prior must be {' or '.join(get_args(Prior))}, got {self.prior!r}")
        if not 0 <= _real("min_quality", self.min_quality) <= 1:
            raise ValueError(f"min_quality must be 0 to 1, got {self.min_quality}")
        _check(
            self.au_thresholds is None or isinstance(self.au_thresholds, Mapping),
            "au_thresholds",
            "thresholds by action unit or None",
            self.au_thresholds,
        )
        for unit, threshold in (self.au_thresholds or {}).items():
            if not 0 <= _real(f"au_thresholds of {unit}", threshold) <= 1:
                raise ValueError(f"au_thresholds must be 0 to 1, got {threshold} for {unit}")

    def keywords(self) -> PredictorKeywords:
        """All but the model, as keyword arguments."""
        return cast(PredictorKeywords, {name: value for name, value in fields_of(self).items() if name != "model"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a source is gone through: the arguments of ``Predictor.stream``, which describes them.

    Raises:
        ValueError: an argument is out of range.
        TypeError: it is of another type.
    """

    start_s: float = -math.inf
    end_s: float = math.inf
    every: int = 1
    max_faces: int | None = None
    aligned: bool = False
    window: WindowMode = "overlap"
    lookahead: int = 0
    max_gap_s: float = 0.5
    smooth_s: float = 0.0
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not _real("start_s", self.start_s) < _real("end_s", self.end_s):
            raise ValueError(f"start_s must be before end_s, got {self.start_s} and {self.end_s}")
        _whole("every", self.every, 1)
        if self.max_faces is not None:
            _whole("max_faces", self.max_faces, 1)
        _check(isinstance(self.aligned, bool), "aligned", "True or False", self.aligned)
        if self.window not in get_args(WindowMode):
            raise ValueError(f"window must be one of {', '.join(get_args(WindowMode))}, got {self.window!r}")
        _whole("lookahead", self.lookahead, 0)
        _seconds("max_gap_s", self.max_gap_s)
        _seconds("smooth_s", self.smooth_s)
        if not 0 <= _real("min_confidence", self.min_confidence) <= 1:
            raise ValueError(f"min_confidence must be 0 to 1, got {self.min_confidence}")

    def keywords(self) -> StreamKeywords:
        """As keyword arguments."""
        return cast(StreamKeywords, fields_of(self))

    def for_neutral(self) -> StreamOptions:
        """The options that a video of the neutral face is read with, all of it."""
        return dataclasses.replace(self, start_s=-math.inf, end_s=math.inf, every=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is written of an input, and what becomes of what is there already.

    Raises:
        ValueError: there is no such format, or it has no place for the uncertainty; the baseline cannot be understood.
    """

    table_format: TableFormat = "native"
    uncertainty: bool = False
    """Whether the ensemble's spread and the expression's entropy are columns."""
    overwrite: bool = False
    """Whether outputs that exist are replaced."""
    resume: bool = False
    """Whether an interrupted run is continued, where there is one."""
    baseline: str | None = None
    """Action units are told relative to each face's neutral (:func:`affectkit.baseline.neutral.parse_rule`)."""

    def __post_init__(self) -> None:
        from affectkit.baseline.neutral import parse_rule
        from affectkit.outputs.layouts import check_format

        for name in ("uncertainty", "overwrite", "resume"):
            _check(isinstance(getattr(self, name), bool), name, "True or False", getattr(self, name))
        check_format(self.table_format, uncertainty=self.uncertainty)
        if self.baseline is not None:
            parse_rule(self.baseline)


def stream_keywords(given: PredictKeywords) -> StreamKeywords:
    """Those that are fields of :class:`StreamOptions`."""
    names = StreamKeywords.__annotations__
    return cast(StreamKeywords, {name: value for name, value in given.items() if name in names})


def fields_of(options: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, in their order, as they are."""
    return {name: getattr(options, name) for name in _field_names(options.__class__)}


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _check(holds: bool, name: str, wanted: str, value: object) -> None:
    if not holds:
        raise TypeError(f"{name} must be {wanted}, got {value!r}")


def _whole(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number of at least ``least``; True is none."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    _check(whole, name, "a whole number", value)
    if cast(int, value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _real(name: str, value: object) -> float:
    """Refuse what is no number, or NaN."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    _check(real, name, "a number", value)
    if math.isnan(cast(float, value)):
        raise ValueError(f"{name} must be a number, got {value}")
    return cast(float, value)


def _seconds(name: str, value: object, *, endless: bool = False) -> None:
    """Refuse what is no time of 0 or more seconds."""
    if not 0 <= _real(name, value) < math.inf and not (endless and value == math.inf):
        raise ValueError(f"{name} must be 0 or more seconds, got {value}")


Method = TypeVar("Method", bound=Callable[..., Any])


def spelled_out(options: type[Any], *without: str) -> Callable[[Method], Method]:
    """Show the fields of a dataclass, with their defaults, in place of a function's ``**options``.

    ``help()`` and :func:`inspect.signature` list them then, as type checkers do.
    """

    def spelled(method: Method) -> Method:
        signature = inspect.signature(method)
        given = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
            for field in dataclasses.fields(options)
            if field.name not in (*without, *(p.name for p in given))
        ]
        first = [p for p in given if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        last = [p for p in given if p.kind is inspect.Parameter.KEYWORD_ONLY]
        method.__signature__ = signature.replace(parameters=[*first, *fields, *last])  # type: ignore[attr-defined]
        return method

    return spelled

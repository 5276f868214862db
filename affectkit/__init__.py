"""Facial action units, expression, valence and arousal for every frame and face of a video.

    from affectkit import Predictor

    for result in Predictor().stream("video.mp4"):
        for face in result.faces:
            print(result.time_s, face.track_id, face.affect.expression, face.affect.valence)

Names are loaded when they are first used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectkit.align import crop_face as crop_face
    from affectkit.asynchronous import AsyncResultStream as AsyncResultStream
    from affectkit.engines import Engine as Engine
    from affectkit.engines import FakeEngine as FakeEngine
    from affectkit.errors import AffectKitError as AffectKitError
    from affectkit.errors import DeviceUnavailable as DeviceUnavailable
    from affectkit.errors import EngineError as EngineError
    from affectkit.errors import MissingDependency as MissingDependency
    from affectkit.errors import ModelError as ModelError
    from affectkit.errors import OutputError as OutputError
    from affectkit.errors import SourceError as SourceError
    from affectkit.face_results import Affect as Affect
    from affectkit.face_results import Face as Face
    from affectkit.face_results import FrameResult as FrameResult
    from affectkit.faces.base import Detector as Detector
    from affectkit.faces.base import DetectsFaces as DetectsFaces
    from affectkit.options import PredictKeywords as PredictKeywords
    from affectkit.options import PredictorConfig as PredictorConfig
    from affectkit.options import PredictorKeywords as PredictorKeywords
    from affectkit.options import StreamKeywords as StreamKeywords
    from affectkit.outputs.overlay import DrawnPlanes as DrawnPlanes
    from affectkit.outputs.overlay import Overlay as Overlay
    from affectkit.predictor import Predictor as Predictor
    from affectkit.result_stream import ResultStream as ResultStream
    from affectkit.result_stream import Session as Session
    from affectkit.sources.base import LeftOut as LeftOut
    from affectkit.sources.base import Source as Source
    from affectkit.sources.base import SourceInfo as SourceInfo
    from affectkit.sources.base import SourceReport as SourceReport
    from affectkit.sources.live import LiveSource as LiveSource
    from affectkit.sources.opening import open_source as open_source
    from affectkit.sources.streams import Film as Film
    from affectkit.spec import InputSpec as InputSpec
    from affectkit.spec import ModelSpec as ModelSpec
    from affectkit.spec import TemporalSpec as TemporalSpec
    from affectkit.tables.reading import read_table as read_table
    from affectkit.tables.summary import Group as Group
    from affectkit.tables.summary import Measure as Measure
    from affectkit.tables.summary import Summary as Summary
    from affectkit.tables.table import Table as Table
    from affectkit.types import AU_NAMES as AU_NAMES
    from affectkit.types import EXPRESSION_NAMES as EXPRESSION_NAMES
    from affectkit.types import Detection as Detection
    from affectkit.types import Frame as Frame
    from affectkit.types import LabelSet as LabelSet
    from affectkit.types import Picture as Picture
    from affectkit.types import TrackedFace as TrackedFace
    from affectkit.types import TrackedFrame as TrackedFrame

_HOME = {
    "AU_NAMES": "types",
    "Affect": "face_results",
    "AffectKitError": "errors",
    "AsyncResultStream": "asynchronous",
    "Detection": "types",
    "Detector": "faces.base",
    "DetectsFaces": "faces.base",
    "DeviceUnavailable": "errors",
    "DrawnPlanes": "outputs.overlay",
    "EXPRESSION_NAMES": "types",
    "Engine": "engines",
    "EngineError": "errors",
    "Face": "face_results",
    "FakeEngine": "engines",
    "FrameResult": "face_results",
    "Film": "sources.streams",
    "Frame": "types",
    "Group": "tables.summary",
    "InputSpec": "spec",
    "LabelSet": "types",
    "LeftOut": "sources.base",
    "LiveSource": "sources.live",
    "Measure": "tables.summary",
    "MissingDependency": "errors",
    "ModelError": "errors",
    "ModelSpec": "spec",
    "OutputError": "errors",
    "Overlay": "outputs.overlay",
    "Picture": "types",
    "PredictKeywords": "options",
    "Predictor": "predictor",
    "PredictorConfig": "options",
    "PredictorKeywords": "options",
    "ResultStream": "result_stream",
    "Session": "result_stream",
    "Source": "sources.base",
    "SourceError": "errors",
    "SourceInfo": "sources.base",
    "SourceReport": "sources.base",
    "StreamKeywords": "options",
    "Summary": "tables.summary",
    "Table": "tables.table",
    "TemporalSpec": "spec",
    "TrackedFace": "types",
    "TrackedFrame": "types",
    "crop_face": "align",
    "open_source": "sources.opening",
    "read_table": "tables.reading",
}

__all__ = [
    "AU_NAMES",
    "EXPRESSION_NAMES",
    "Affect",
    "AffectKitError",
    "AsyncResultStream",
    "Detection",
    "Detector",
    "DetectsFaces",
    "DeviceUnavailable",
    "DrawnPlanes",
    "Engine",
    "EngineError",
    "Face",
    "FakeEngine",
    "Film",
    "Frame",
    "FrameResult",
    "Group",
    "InputSpec",
    "LabelSet",
    "LeftOut",
    "LiveSource",
    "Measure",
    "MissingDependency",
    "ModelError",
    "ModelSpec",
    "OutputError",
    "Overlay",
    "Picture",
    "PredictKeywords",
    "Predictor",
    "PredictorConfig",
    "PredictorKeywords",
    "ResultStream",
    "Session",
    "Source",
    "SourceError",
    "SourceInfo",
    "SourceReport",
    "StreamKeywords",
    "Summary",
    "Table",
    "TemporalSpec",
    "TrackedFace",
    "TrackedFrame",
    "__version__",
    "crop_face",
    "open_source",
    "read_table",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # late: it takes longer than the rest

        return metadata.version("affectkit")
    if name in _HOME:
        value = getattr(import_module(f"affectkit.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'affectkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

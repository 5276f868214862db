"""Names of detectors; importing it loads nothing."""

from __future__ import annotations

from collections.abc import Mapping

DETECTORS: Mapping[str, str] = {"mtcnn": "mtcnn", "insightface": "insightface[:PACK|:FOLDER]"}
"""By name, how each may be asked for."""
HELP = "Face detector: mtcnn, or insightface[:PACK|:FOLDER] (non-commercial weights)."
"""Of the option ``--detector``."""

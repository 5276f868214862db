"""How to cite: the software, the method, and, of a table, the model that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METHOD = (
    "Deng, D., Chen, Z., & Shi, B. E. (2020). Multitask emotion recognition with incomplete labels. In 15th IEEE "
    "International Conference on Automatic Face and Gesture Recognition (FG 2020)."
)

_SOFTWARE_BIBTEX = """@software{affectkit,
  author  = {{affectkit contributors}},
  title   = {affectkit},
  version = {VERSION}
}
"""

_METHOD_BIBTEX = """@inproceedings{deng2020multitask,
  author    = {Deng, Didan and Chen, Zhaokang and Shi, Bertram E.},
  title     = {Multitask Emotion Recognition with Incomplete Labels},
  booktitle = {15th IEEE International Conference on Automatic Face and Gesture Recognition (FG 2020)},
  year      = {2020}
}
"""


def software(version: str) -> str:
    """The software, as a reference list has it."""
    return f"affectkit contributors. affectkit (version {version}) [Computer software]."


def bibtex(version: str) -> str:
    """Both as BibTeX."""
    return f"{_SOFTWARE_BIBTEX.replace('VERSION', version)}\n{_METHOD_BIBTEX}"


def method_section(meta: Mapping[str, Any]) -> str:
    """A sentence for the methods section of a paper, of what a meta file says; empty where it says too little."""
    model, versions = meta.get("model"), meta.get("versions")
    if not isinstance(model, Mapping) or not isinstance(versions, Mapping) or "name" not in model:
        return ""
    precision = {"fp32": "float32", "fp16": "float16"}.get(str(model.get("precision")), str(model.get("precision")))
    detector = meta.get("detector")
    found = f"; faces were found by {detector['name']}" if isinstance(detector, Mapping) and "name" in detector else ""
    sums = model.get("sha256")
    checksum = f", sha256 {str(sums['frame.onnx'])[:12]}" if isinstance(sums, Mapping) and "frame.onnx" in sums else ""
    temporal = "over sequences of frames" if meta.get("temporal") else "frame by frame"
    return (
        f"Action units, expressions, valence and arousal were predicted {temporal} by affectkit "
        f"{versions.get('affectkit', '(version unknown)')} with its model {model['name']} (version "
        f"{model.get('version', '?')}, {precision}{checksum}){found}."
    )

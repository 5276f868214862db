"""A second graph that decodes: faces in; probabilities, decisions, valence and arousal, visibility and pose out.

What :func:`affectkit.readout.read_out` and :func:`affectkit.visibility.withheld` do, as nodes behind the network, for
programs that only have a runtime. The prior is the natural one; the members' spread is not among the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from affectkit.engines import open_engine
from affectkit.errors import EngineError
from affectkit.export.graph_cleanup import tidied
from affectkit.readout import read_out, visibility_of
from affectkit.spec import ModelSpec
from affectkit.types import REGIONS, Array, UInt8
from affectkit.visibility import hidden_regions, hidden_units, regions_of

LARGEST_DIFFERENCE = 1e-4
"""Between the graph's answers and Python's; degrees of pose times 100."""


class _Builder:
    """Nodes behind a network."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._count = 0
        (self._opset,) = (one.version for one in model.opset_import if not one.domain)

    def constant(self, values: npt.ArrayLike) -> str:
        """Name of a constant."""
        self._count += 1
        name = f"readout_constant_{self._count}"
        self.model.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """Name of what a node gives."""
        self._count += 1
        name = name or f"readout_{self._count}"
        made = onnx.helper.make_node(kind, list(inputs), [name], f"readout_node_{self._count}", **attributes)
        self.model.graph.node.append(made)
        return name

    def mean(self, value: str, name: str = "") -> str:
        """Over the members."""
        if self._opset < 18:  # the axes were an attribute
            return self.node("ReduceMean", [value], name, axes=[0], keepdims=0)
        return self.node("ReduceMean", [value, self.constant(np.array([0], np.int64))], name, keepdims=0)

    def averaged(self, logits: str, kind: str, by_logits: bool, name: str = "") -> str:
        """Members -> one answer: ``kind`` of the mean of their logits, or the mean of their ``kind``."""
        attributes: dict[str, Any] = {"axis": -1} if kind == "Softmax" else {}
        if by_logits:
            return self.node(kind, [self.mean(logits)], name, **attributes)
        return self.mean(self.node(kind, [logits], **attributes), name)


def readout_graph(frame: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """The frame network with the decoding behind it. Labels are in the order of ``spec.labels``.

    Outputs, each where the model has it, of n faces: ``expression_probabilities`` (n, E), ``au_probabilities`` (n, A),
    ``au_active`` (n, A) bool, ``au_intensities`` (n, A), ``valence_arousal`` (n, 2), ``visibility`` (n, 3) of brows,
    eyes and mouth, ``au_hidden`` (n, A) bool: nothing can be said of these, ``face_hidden`` (n,) bool: of the whole
    face, ``pose`` (n, 3) degrees in the crop.
    """
    model = onnx.ModelProto()
    model.CopyFrom(frame)
    for node in model.graph.node:  # a network's own names, so that ours are free
        node.input[:] = [f"logits_{name}" if name in spec.further_widths else name for name in node.input]
        node.output[:] = [f"logits_{name}" if name in spec.further_widths else name for name in node.output]
    build, by_logits = _Builder(model), spec.ensemble == "logits"
    labels = spec.labels
    outputs: list[tuple[str, int, int]] = []

    def ordered(value: str, wanted: Sequence[str], given: Sequence[str]) -> str:
        places = np.array([list(given).index(name) for name in wanted], np.int64)
        return value if list(wanted) == list(given) else build.node("Gather", [value, build.constant(places)], axis=-1)

    def answer(name: str, width: int, kind: int = onnx.TensorProto.FLOAT) -> None:
        outputs.append((name, kind, width))

    if labels.expressions:
        logits = ordered("expression", labels.expressions, spec.expression_labels)
        cooled = build.node("Div", [logits, build.constant(np.float32(spec.expression_temperature))])
        build.averaged(cooled, "Softmax", by_logits, "expression_probabilities")
        answer("expression_probabilities", len(labels.expressions))
    if labels.action_units:
        count = len(labels.action_units)
        logits = ordered("au", labels.action_units, spec.au_labels)
        shares = build.averaged(logits, "Sigmoid", by_logits, "au_probabilities")
        limits = build.constant(np.array(spec.label_thresholds, np.float32))
        build.node("GreaterOrEqual", [shares, limits], "au_active")
        answer("au_probabilities", count)
        answer("au_active", count, onnx.TensorProto.BOOL)
        if spec.intensity:
            logits = ordered("logits_intensity", labels.action_units, spec.au_labels)
            build.averaged(logits, "Sigmoid", by_logits, "au_intensities")
            answer("au_intensities", count)
    if labels.valence_arousal:
        _valence_arousal(build, spec, by_logits)
        answer("valence_arousal", 2)
    if spec.visibility_thresholds is not None:
        build.averaged("logits_visibility", "Sigmoid", by_logits, "visibility")
        answer("visibility", len(REGIONS))
        for name, width in _hidden(build, spec):
            answer(name, width, onnx.TensorProto.BOOL)
    if spec.pose:
        build.mean("logits_pose", "pose")
        answer("pose", 3)
    del model.graph.output[:]
    for name, kind, width in outputs:
        shape: list[str | int] = ["n", width] if width else ["n"]
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    tidied(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _valence_arousal(build: _Builder, spec: ModelSpec, by_logits: bool) -> None:
    """The expectation over the bins, averaged as the ensemble is."""
    value = build.mean("va") if by_logits else "va"
    shape = build.constant(np.array(([0] if by_logits else [0, 0]) + [2, spec.va_bins], np.int64))
    shares = build.node("Softmax", [build.node("Reshape", [value, shape])], axis=-1)
    centres = build.constant(np.linspace(-1, 1, spec.va_bins, dtype=np.float32)[:, None])
    expected = build.node("MatMul", [shares, centres])  # (..., 2, 1)
    last = build.constant(np.array([-1], np.int64))
    if by_logits:
        build.node("Squeeze", [expected, last], "valence_arousal")
    else:
        build.mean(build.node("Squeeze", [expected, last]), "valence_arousal")


def _hidden(build: _Builder, spec: ModelSpec) -> list[tuple[str, int]]:
    """What cannot be seen: outputs and their widths, 0 for none."""
    limits = build.constant(np.array(spec.visibility_thresholds, np.float32))
    seen = build.node("Cast", [build.node("GreaterOrEqual", ["visibility", limits])], to=onnx.TensorProto.FLOAT)
    half = build.constant(np.float32(0.5))
    total = build.node("ReduceSum", [seen, build.constant(np.array([1], np.int64))], keepdims=0)
    build.node("Less", [total, half], "face_hidden")
    found = [("face_hidden", 0)]
    units = spec.labels.action_units
    if units:
        needed = np.array([[region in regions_of(unit) for region in REGIONS] for unit in units], np.float32)
        missing = build.node("Sub", [build.constant(np.float32(1)), seen])
        lacks = build.node("MatMul", [missing, build.constant(needed.T)])
        build.node("Greater", [lacks, half], "au_hidden")
        found.append(("au_hidden", len(units)))
    return found


def write_readout(frame: Path, target: Path, spec: ModelSpec, faces: UInt8) -> None:
    """Write the graph, if it decodes as Python does.

    Args:
        faces: (N, S, S, C) to compare on.

    Raises:
        EngineError: its answers differ.
    """
    onnx.save(readout_graph(onnx.load(str(frame)), spec), str(target))
    answers = []
    for path in (frame, target):
        engine = open_engine(path, device="cpu")
        answers.append(engine.run({"faces": faces}))
        engine.close()
    logits, got = answers
    for name, want in expected_answers(logits, spec).items():
        scale = 100 if name == "pose" else 1
        away = float(np.abs(got[name].astype(np.float64) - want).max())
        share = float((got[name] != want).mean()) if want.dtype == np.bool_ else 0.0
        if (want.dtype == np.bool_ and share > 0.01) or (
            want.dtype != np.bool_ and not away <= scale * LARGEST_DIFFERENCE
        ):
            raise EngineError(f"{target.name}: {name} differs by {away:.1e} from what is decoded in Python")


def expected_answers(logits: dict[str, Array], spec: ModelSpec) -> dict[str, Array]:
    """What the graph should answer, by Python's decoding."""
    affects = read_out(logits, spec)
    found: dict[str, Array] = {}
    if spec.labels.expressions:
        found["expression_probabilities"] = np.stack([one.expression_probabilities for one in affects])
    if spec.labels.action_units:
        found["au_probabilities"] = np.stack([one.au_probabilities for one in affects])
        found["au_active"] = np.stack([np.asarray(one.au_active) for one in affects])
    if spec.labels.valence_arousal:
        found["valence_arousal"] = np.array([[one.valence, one.arousal] for one in affects])
    if spec.intensity:
        found["au_intensities"] = np.stack([np.asarray(one.au_intensities) for one in affects])
    if spec.visibility_thresholds is not None:
        found["visibility"] = visibility_of(logits, spec)
        hidden = hidden_regions(found["visibility"], spec)
        found["face_hidden"] = np.asarray(hidden.all(1))
        if spec.labels.action_units:
            found["au_hidden"] = hidden_units(hidden, spec.labels.action_units)
    if spec.pose:
        found["pose"] = np.stack([np.asarray(one.pose) for one in affects])
    return found

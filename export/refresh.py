"""Bring the files of a model folder up to what today's export writes, without a change to a weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from affectkit.engines import open_engine
from affectkit.errors import EngineError
from affectkit.export.describe import READOUT_NAME, describe_folder
from affectkit.export.graph_cleanup import tidied, with_constant_weights
from affectkit.export.readout import write_readout
from affectkit.export.verify import read_golden
from affectkit.models import FRAME_NAME, SPEC_NAME, TEMPORAL_NAME, load
from affectkit.outputs.json_files import write_text
from affectkit.spec import ModelSpec
from affectkit.types import Array

LARGEST_DIFFERENCE = 1e-5
"""Of an answer before and after, relative to its largest value: a runtime may add up in another order."""


def refresh(folder: Path) -> list[str]:
    """Rewrite a folder's networks, metadata and digests; a line for each file that changed.

    Raises:
        ModelError: the folder is damaged.
        EngineError: a network would answer differently; nothing is changed then.
    """
    model = load(folder)
    golden = read_golden(model.golden)
    lines = []
    changed: dict[Path, onnx.ModelProto] = {}
    for name, given in ((FRAME_NAME, "faces"), (TEMPORAL_NAME, "sequence_features")):
        path = folder / name
        if not path.is_file():  # another model's, or there is none
            continue
        before = onnx.load(str(path))
        after = onnx.ModelProto()
        after.CopyFrom(before)
        tidied(with_constant_weights(after) if name == TEMPORAL_NAME else after)
        _same(before, after, {given.removeprefix("sequence_"): golden[given]}, path)
        lines.append(
            f"{path}: {len(before.graph.node)} -> {len(after.graph.node)} nodes, {len(before.graph.initializer)} -> "
            f"{len(after.graph.initializer)} constants, {len(before.opset_import)} -> {len(after.opset_import)} domains"
        )
        changed[path] = after
    for path, network in changed.items():
        onnx.save(network, str(path))
    write_refreshed(folder, model.spec)
    return lines


def write_refreshed(folder: Path, spec: ModelSpec) -> None:
    """Write model.json, and what the networks themselves say of it: metadata, and the decoding of a read-out graph.

    Raises:
        OutputError: model.json cannot be written.
    """
    target = folder / READOUT_NAME
    if target.is_file():
        write_readout(folder / FRAME_NAME, target, spec, read_golden(folder / "golden.npz")["faces"])
    write_text(folder / SPEC_NAME, describe_folder(folder, spec).to_json())


def _same(before: onnx.ModelProto, after: onnx.ModelProto, inputs: dict[str, Array], path: Path) -> None:
    """Refuse a network that answers differently."""
    answers = []
    for which, network in (("before", before), ("after", after)):
        scratch = path.with_name(f".{path.name}.{which}")
        try:
            onnx.save(network, str(scratch))
            engine = open_engine(scratch, device="cpu", threads=1)
            answers.append(engine.run(inputs))
            engine.close()
        finally:
            scratch.unlink(missing_ok=True)
    for name, want in answers[0].items():
        away = float(np.abs(answers[1][name] - want).max())
        if not away <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(want).max())):
            raise EngineError(f"{path}: {name} would differ by {away:.1e}; nothing was changed")

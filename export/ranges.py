"""Between which values the tensors of a network lie, for the ranges that int8 cuts into 255 steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import onnx
import onnx.helper

from affectkit.engines import Engine, open_engine
from affectkit.export.graph_cleanup import readers_of
from affectkit.types import Array, UInt8

HIGHEST = 0.9999
"""Share of a tensor's values below its upper end. A step is a 255th of the range, so single large values make the steps
of all others coarse; at .9997, .9 % of `lite`'s expressions are others than in float32, at .9999 .6 %."""

HIGHEST_OF_SUM = 0.99999
"""The same of a sum, which every later block reads: cut at .9999, one changes the answers more than its steps do."""

LOWEST_OF_ADDEND = 0.003
"""Share below the lower end of what is added before a ReLU: far below 0 the sum becomes 0 whatever the number is."""

BINS = 8192
SHOWN = ".shown"


def find_ranges(path: Path, names: Collection[str], batches: Iterable[UInt8]) -> dict[str, tuple[float, float]]:
    """(lower, upper) end by name, 0 included, of tensors of a float32 network.

    Args:
        path: the ONNX file; its one input is ``faces``. A second file is written beside it for the time being.
        batches: (N, S, S, C) each; all are gone over twice.
    """
    model = onnx.load(str(path))
    sums, addends = _sums(model.graph)
    wanted = list(dict.fromkeys(names))
    # Copied: ONNX Runtime may merge a convolution whose own answer is an output into the sum behind it.
    for name in wanted:
        model.graph.node.append(onnx.helper.make_node("Identity", [name], [f"{name}{SHOWN}"]))
        model.graph.output.append(onnx.ValueInfoProto(name=f"{name}{SHOWN}"))
    shown = path.with_name(f"{path.stem}-shown.onnx")
    onnx.save(model, str(shown))
    engine = open_engine(shown, device="cpu")
    try:
        least, most, counts = _counted(engine, wanted, list(batches))
    finally:
        engine.close()
        shown.unlink()
    found = {}
    for name in wanted:
        edges = np.linspace(least[name], most[name], BINS + 1)
        below = np.cumsum(counts[name]) / max(1, counts[name].sum())  # share up to each bin's end
        high = HIGHEST_OF_SUM if name in sums else HIGHEST
        low = LOWEST_OF_ADDEND if name in addends else 1 - high
        upper = edges[min(int(np.searchsorted(below, high)), BINS - 1) + 1]
        lower = edges[np.searchsorted(below, low)]
        found[name] = (min(0.0, float(lower)), max(0.0, float(upper)))
    return found


def _counted(
    engine: Engine, wanted: list[str], batches: list[UInt8]
) -> tuple[dict[str, float], dict[str, float], dict[str, Array]]:
    """Least and largest value of each tensor, 0 included, and how many values lie in each of ``BINS`` between them."""
    least, most = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    for faces in batches:
        answers = engine.run({"faces": faces})
        for name in wanted:
            values = answers[f"{name}{SHOWN}"]
            least[name] = min(least[name], float(values.min()))
            most[name] = max(most[name], float(values.max()))
    counts: dict[str, Array] = {name: np.zeros(BINS, np.int64) for name in wanted}
    for faces in batches:
        answers = engine.run({"faces": faces})
        for name in wanted:
            if most[name] > least[name]:
                counts[name] += np.histogram(answers[f"{name}{SHOWN}"], BINS, (least[name], most[name]))[0]
    return least, most, counts


def _sums(graph: onnx.GraphProto) -> tuple[set[str], set[str]]:
    """Names of the sums of two tensors, with what a ReLU makes of them; and of the addends whose sum goes to a ReLU."""
    readers = readers_of(graph)
    made = {name for node in graph.node for name in node.output}
    sums, addends = set(), set()
    for node in graph.node:
        if node.op_type != "Add" or not made.issuperset(node.input):
            continue
        sums.add(node.output[0])
        after = readers.get(node.output[0], [])
        sums.update(name for reader in after if reader.op_type == "Relu" for name in reader.output)
        if after and all(reader.op_type == "Relu" for reader in after):
            addends.update(node.input)
    return sums, addends

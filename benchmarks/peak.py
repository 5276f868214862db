"""How near a network comes to what the CPU can do at all: the same kind of product, of two large matrices.

    python benchmarks/peak.py lite lite-int8 -o benchmarks/results/peak.json

One thread. Both through ONNX Runtime, in turns; medians. Needs the extras train and export. A network's work is what
its float32 original's convolutions and linear layers multiply and add, two operations each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from affectkit.engines import open_engine
from affectkit.measurements import machine
from affectkit.models import load
from affectkit.train.networks import MultitaskCNN, NetworkConfig, multiply_adds

SIDE = 1024


def product(precision: str) -> onnx.ModelProto:
    """x (n, SIDE) times a constant matrix: floats, or unsigned by signed bytes."""
    rng = np.random.default_rng(0)
    if precision == "int8":
        weights = numpy_helper.from_array(rng.integers(-127, 128, (SIDE, SIDE)).astype(np.int8), "w")
        node, kind, out = helper.make_node("MatMulInteger", ["x", "w"], ["y"]), TensorProto.UINT8, TensorProto.INT32
    else:
        weights = numpy_helper.from_array(rng.normal(size=(SIDE, SIDE)).astype(np.float32), "w")
        node, kind, out = helper.make_node("MatMul", ["x", "w"], ["y"]), TensorProto.FLOAT, TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", kind, ["n", SIDE])],
        [helper.make_tensor_value_info("y", out, ["n", SIDE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    operations = 2 * multiply_adds(MultitaskCNN(NetworkConfig()))
    rows = []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.models:
            folder = load(name)
            precision = "int8" if folder.spec.precision == "int8" else "fp32"
            path = Path(scratch) / f"{precision}.onnx"
            onnx.save(product(precision), str(path))
            matrices, network = (open_engine(p, device="cpu", threads=1) for p in (path, folder.frame_onnx))
            x = rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
            inputs = {"x": x if precision == "int8" else x.astype(np.float32)}
            size = folder.spec.input.size
            faces = {"faces": rng.integers(0, 256, (32, size, size, folder.spec.input.channels)).astype(np.uint8)}
            rates: dict[str, list[float]] = {"matrices": [], "network": []}
            for repeat in range(arguments.repeats + 2):
                for kind, engine, given, work in (
                    ("matrices", matrices, inputs, 2 * SIDE**3),
                    ("network", network, faces, 32 * folder.spec.members * operations),
                ):
                    began = time.perf_counter()
                    engine.run(given)
                    if repeat > 1:
                        rates[kind].append(work / (time.perf_counter() - began) / 1e9)
            peak, reached = statistics.median(rates["matrices"]), statistics.median(rates["network"])
            rows.append({"model": name, "matrices_gops": peak, "network_gops": reached, "share": reached / peak})
            print(f"{name:16} network {reached:6.1f}, matrices {peak:6.1f} GOP/s: {reached / peak:.0%}")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"rows": rows, "machine": machine()}, indent=2) + "\n")


if __name__ == "__main__":
    main()

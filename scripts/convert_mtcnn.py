"""Convert the weights of the `mtcnn` wheel (MIT) to the three ONNX files that the package ships. Run once.

    pip download --no-deps mtcnn==1.0.0 && unzip mtcnn-*.whl -d mtcnn_wheel
    pip install joblib lz4 onnx
    python scripts/convert_mtcnn.py mtcnn_wheel/mtcnn/assets/weights affectkit/faces/weights

Only the weight files are read: importing `mtcnn` would import TensorFlow.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Collects nodes and weights of one network in the order they run."""

    def __init__(self, weights: list[Any]) -> None:
        self.weights = [np.asarray(w, np.float32) for w in weights]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.count = 0

    def take(self) -> np.ndarray:
        return self.weights.pop(0)

    def constant(self, value: np.ndarray) -> str:
        self.count += 1
        name = f"w{self.count}"
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        self.count += 1
        output = output or f"t{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, x: str, *, first: bool = False) -> str:
        kernel, bias = self.take(), self.take()
        if first:
            # pixels are (x - 127.5) / 128; no convolution pads, so the first one can hold that exactly
            bias = bias - kernel.sum((0, 1, 2)) * np.float32(127.5 / 128)
            kernel = kernel / np.float32(128)
        return self.add("Conv", [x, self.constant(kernel.transpose(3, 2, 0, 1)), self.constant(bias)])

    def prelu(self, x: str, *, dense: bool = False) -> str:
        slope = self.take().reshape(-1)
        return self.add("PRelu", [x, self.constant(slope if dense else slope[:, None, None])])

    def pool(self, x: str, size: int, *, ceil: bool) -> str:
        return self.add("MaxPool", [x], kernel_shape=[size, size], strides=[2, 2], ceil_mode=int(ceil))

    def dense(self, x: str, output: str | None = None) -> str:
        return self.add("Gemm", [x, self.constant(self.take()), self.constant(self.take())], output)

    def start(self) -> str:
        """uint8 (N, H, W, 3) -> float (N, 3, H, W)."""
        return self.add("Transpose", [self.add("Cast", ["images"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])

    def flatten(self, x: str) -> str:
        """The original swaps height and width before its first dense layer: (N, W, H, C), flattened."""
        return self.add("Flatten", [self.add("Transpose", [x], perm=[0, 3, 2, 1])])

    def probability(self, logits: str, axis: int) -> str:
        """Probability of the second class of two."""
        both = self.add("Softmax", [logits], axis=axis)
        index = self.constant(np.array(1, np.int64))
        return self.add("Gather", [both, index], "probability", axis=axis)

    def model(self, name: str, size: int | None, outputs: dict[str, list[Any]]) -> onnx.ModelProto:
        assert not self.weights, f"{name}: {len(self.weights)} arrays left over"
        shape = ["n", size or "height", size or "width", 3]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="affectkit")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model


def pnet(weights: list[Any]) -> onnx.ModelProto:
    g = Graph(weights)
    x = g.prelu(g.conv(g.start(), first=True))
    x = g.pool(x, 2, ceil=True)
    x = g.prelu(g.conv(x))
    x = g.prelu(g.conv(x))
    kernel, bias = g.constant(g.take().transpose(3, 2, 0, 1)), g.constant(g.take())
    g.add("Conv", [x, kernel, bias], "offsets")
    g.probability(g.conv(x), axis=1)
    return g.model("pnet", None, {"probability": ["n", "rows", "columns"], "offsets": ["n", 4, "rows", "columns"]})


def rnet(weights: list[Any]) -> onnx.ModelProto:
    g = Graph(weights)
    x = g.pool(g.prelu(g.conv(g.start(), first=True)), 3, ceil=True)
    x = g.pool(g.prelu(g.conv(x)), 3, ceil=False)
    x = g.prelu(g.conv(x))
    x = g.prelu(g.dense(g.flatten(x)), dense=True)
    g.dense(x, "offsets")
    g.probability(g.dense(x), axis=1)
    return g.model("rnet", 24, {"probability": ["n"], "offsets": ["n", 4]})


def onet(weights: list[Any]) -> onnx.ModelProto:
    g = Graph(weights)
    x = g.pool(g.prelu(g.conv(g.start(), first=True)), 3, ceil=True)
    x = g.pool(g.prelu(g.conv(x)), 3, ceil=False)
    x = g.pool(g.prelu(g.conv(x)), 2, ceil=True)
    x = g.prelu(g.conv(x))
    x = g.prelu(g.dense(g.flatten(x)), dense=True)
    g.dense(x, "offsets")
    g.dense(x, "points")
    g.probability(g.dense(x), axis=1)
    return g.model("onet", 48, {"probability": ["n"], "offsets": ["n", 4], "points": ["n", 10]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="folder with pnet.lz4, rnet.lz4, onet.lz4")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True, exist_ok=True)
    for name, build in {"pnet": pnet, "rnet": rnet, "onet": onet}.items():
        onnx.save(build(joblib.load(arguments.weights / f"{name}.lz4")), arguments.target / f"{name}.onnx")


if __name__ == "__main__":
    main()

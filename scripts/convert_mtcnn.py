"""Convert the weights of the `mtcnn` wheel (MIT) to the three ONNX files that the package ships. Run once.

    pip download --no-deps mtcnn==1.0.0 && unzip mtcnn-*.whl -d mtcnn_wheel
    pip install joblib lz4 onnx
    python scripts/convert_mtcnn.py mtcnn_wheel/mtcnn/assets/weights affectkit/faces/weights

Only the weight files are read: importing `mtcnn` would import TensorFlow.

The graphs compute what the original computes, arranged so that ONNX Runtime does it fast: its PRelu takes as long as
all convolutions together, so there is none.
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

BLOCK = 16
"""Channels that ONNX Runtime's convolutions compute together, at most (of CPUs with AVX-512)."""


class Graph:
    """Collects nodes and weights of one network in the order they run."""

    def __init__(self, weights: list[Any]) -> None:
        self.weights = [np.asarray(w, np.float32) for w in weights]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.count = 0
        self.order: np.ndarray | None = None

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

    def take_conv(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel (out, in, height, width) and bias."""
        kernel, bias = self.take(), self.take()
        order, self.order = self.order, None
        kernel = kernel.transpose(3, 2, 0, 1)
        return (kernel if order is None else kernel[:, order]), bias

    def conv(self, x: str, output: str | None = None) -> str:
        kernel, bias = self.take_conv()
        return self.add("Conv", [x, self.constant(kernel), self.constant(bias)], output)

    def dense_prelu(self, x: str) -> str:
        """The larger of x and its multiple, which PReLU is for slopes up to 1."""
        slope = self.take().reshape(-1)
        assert (slope <= 1).all()
        return self.add("Max", [x, self.add("Mul", [x, self.constant(slope)])])

    def prelu(self, x: str) -> str:
        """max(x, 0) - a max(-x, 0), of which one is 0: the same to the last bit, whatever the slope a.

        Unlike Max, all of it stays in the layout of ONNX Runtime's convolutions: O-Net takes 7 % less.
        """
        slope = self.take().reshape(-1)[:, None, None]
        negative = self.add("Relu", [self.add("Mul", [x, self.constant(np.full_like(slope, -1))])])
        return self.add("Add", [self.add("Relu", [x]), self.add("Mul", [negative, self.constant(-slope)])])

    def in_sum(self, x: str) -> tuple[str, str, np.ndarray]:
        """x, max(x, 0) and the slope a of a PReLU, which is a x + (1 - a) max(x, 0).

        For large maps: the sum stays in the layout of ONNX Runtime's convolutions, which has no Max.
        """
        return x, self.add("Relu", [x]), self.take().reshape(-1)

    def summed(self, x: str) -> str:
        """PReLU as that sum."""
        x, positive, slope = self.in_sum(x)
        a = slope[:, None, None]
        parts = self.add("Mul", [x, self.constant(a)]), self.add("Mul", [positive, self.constant(1 - a)])
        return self.add("Add", list(parts))

    def heads(self, x: str) -> None:
        """PReLU and P-Net's two last convolutions in one, the slopes in its weights."""
        x, positive, slope = self.in_sum(x)
        offsets, probability = self.take_conv(), self.take_conv()
        # Probability of the second class of two: the sigmoid of how much larger its logit is.
        kernel = np.concatenate([offsets[0], probability[0][1:] - probability[0][:1]])
        bias = self.constant(np.concatenate([offsets[1], probability[1][1:] - probability[1][:1]]))
        a = slope[:, None, None]
        whole = self.add("Conv", [x, self.constant(kernel * a), bias])
        both = self.add("Add", [self.add("Conv", [positive, self.constant(kernel * (1 - a))]), whole])
        self.nodes.append(
            helper.make_node("Split", [both, self.constant(np.array([4, 1], np.int64))], ["offsets", "logit"], axis=1)
        )
        axis = self.constant(np.array([1], np.int64))
        self.add("Squeeze", [self.add("Sigmoid", ["logit"]), axis], "probability")

    def first(self, x: str, size: int) -> str:
        """First convolution, PReLU and pooling, with the PReLU after the pooling, on a quarter of the values.

        Where the slope a is not negative PReLU rises, and it does not matter which comes first. Where it is, it is
        max(x, a x), and pooling that is the larger of pooling either: the convolution gives both.
        """
        kernel, bias = self.take_conv()
        # pixels are (x - 127.5) / 128; no convolution pads, so the first one can hold that exactly
        bias = bias - kernel.sum((1, 2, 3)) * np.float32(127.5 / 128)
        kernel = kernel / np.float32(128)
        slope = self.take().reshape(-1)
        falling, rising = np.flatnonzero(slope < 0), np.flatnonzero(slope >= 0)
        factors = np.concatenate([np.ones(len(slope), np.float32), slope[falling]])
        rows = np.concatenate([falling, rising, falling])
        factors = factors.astype(np.float32)
        # Pooling is done in the layout of the convolutions, three times as fast, only if they give whole blocks.
        rest = -len(rows) % BLOCK
        kernels = np.pad(kernel[rows] * factors[:, None, None, None], ((0, rest), (0, 0), (0, 0), (0, 0)))
        both = self.constant(kernels), self.constant(np.pad(bias[rows] * factors, (0, rest)))
        pooled = self.pool(self.add("Conv", [x, *both]), size, ceil=True)
        lengths = [len(falling), len(rising), len(falling), *([rest] if rest else [])]
        sizes = self.constant(np.array(lengths, np.int64))
        self.count += 1
        parts = [f"t{self.count}_{k}" for k in range(len(lengths))]
        self.nodes.append(helper.make_node("Split", [pooled, sizes], parts, axis=1))
        larger = self.add("Max", [parts[0], parts[2]])
        # a x + (1 - a) max(x, 0), which holds for slopes over 1 too
        a = slope[rising][:, None, None]
        whole = self.add("Mul", [parts[1], self.constant(a)])
        positive = self.add("Mul", [self.add("Relu", [parts[1]]), self.constant(1 - a)])
        self.order = np.concatenate([falling, rising])  # in which the next convolution is given the channels
        return self.add("Concat", [larger, self.add("Add", [whole, positive])], axis=1)

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

    def probability(self, x: str) -> str:
        """Probability of the second class of two: the sigmoid of how much larger its logit is."""
        kernel, bias = self.take(), self.take()
        difference = self.constant(kernel[:, 1:] - kernel[:, :1]), self.constant(bias[1:] - bias[:1])
        logit = self.add("Gemm", [x, *difference])
        axis = self.constant(np.array([1], np.int64))
        return self.add("Squeeze", [self.add("Sigmoid", [logit]), axis], "probability")

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
    x = g.summed(g.conv(g.first(g.start(), 2)))
    g.heads(g.conv(x))
    return g.model("pnet", None, {"probability": ["n", "rows", "columns"], "offsets": ["n", 4, "rows", "columns"]})


def rnet(weights: list[Any]) -> onnx.ModelProto:
    g = Graph(weights)
    x = g.first(g.start(), 3)
    x = g.pool(g.prelu(g.conv(x)), 3, ceil=False)
    x = g.prelu(g.conv(x))
    x = g.dense_prelu(g.dense(g.flatten(x)))
    g.dense(x, "offsets")
    g.probability(x)
    return g.model("rnet", 24, {"probability": ["n"], "offsets": ["n", 4]})


def onet(weights: list[Any]) -> onnx.ModelProto:
    g = Graph(weights)
    x = g.first(g.start(), 3)
    x = g.pool(g.prelu(g.conv(x)), 3, ceil=False)
    x = g.pool(g.prelu(g.conv(x)), 2, ceil=True)
    x = g.prelu(g.conv(x))
    x = g.dense_prelu(g.dense(g.flatten(x)))
    g.dense(x, "offsets")
    g.dense(x, "points")
    g.probability(x)
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

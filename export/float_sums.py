"""Residual sums in float32 between convolutions that multiply in int8.

A convolution in int8 adds up in 32 bits; to hand its answer to a sum, it would round it to 8, the sum would be rounded
again, and so on in every block. A product of matrices may give its 32 bits as float32 for nothing: so, where maps are
small, the convolution that a sum reads becomes one, over the patches laid side by side. What is rounded is what the
next convolution multiplies, and no more. More than half of the noise of an int8 network came from its sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from affectkit.export.graph_cleanup import readers_of, tidied
from affectkit.types import Array

LARGEST_MAP = 144
"""Pixels of a map up to which its sums are made in float32. On larger ones laying patches side by side takes too long:
with 12 x 12 a convolution takes a third more than in int8 throughout, with 24 x 24 two to three times as long."""


def with_float_sums(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of QuantizeLinear and DequantizeLinear with residual sums of small maps in float32; changed in place."""
    graph = model.graph
    shapes = _map_shapes(model)
    makers = {name: node for node in graph.node for name in node.output}
    convolutions: set[str] = set()
    for node in graph.node:
        if node.op_type != "Add" or any(shapes.get(name) is None for name in (*node.input, *node.output)):
            continue
        height, width = shapes[node.output[0]]
        exact = [_before_rounding(name, makers) for name in node.input]
        sources = [makers.get(name or "") for name in exact]
        added = [source for source in sources if source is not None and source.op_type == "Conv"]
        if height * width > LARGEST_MAP or None in exact or not added or not all(map(_fits, added)):
            continue
        for k, name in enumerate(exact):
            node.input[k] = name
        convolutions.update(source.name for source in added)
        _read_exactly(graph, node.output[0], makers)
    tidied(model)  # roundings that nothing reads any more are no readers
    nodes: list[onnx.NodeProto] = []
    readers = readers_of(graph)
    for node in graph.node:
        alone = all(reader.op_type == "Add" for reader in readers.get(node.output[0], []))
        if node.name in convolutions and alone:
            nodes += _Product(graph, makers, shapes).of(node)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return tidied(model)


def without_relus(model: onnx.ModelProto) -> onnx.ModelProto:
    """A quantised graph without the ReLUs between two quantisations, the second of which begins at 0.

    Rounding into a range that begins at 0 is a ReLU already; with one between, what is before and after it is computed
    in float32.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    readers = readers_of(graph)
    gone: set[str] = set()
    for relu in graph.node:
        widening = makers.get(relu.input[0]) if relu.op_type == "Relu" else None
        rounding = makers.get(widening.input[0]) if widening is not None else None
        after = readers.get(relu.output[0], [])
        if widening is None or rounding is None or [node.op_type for node in after] != ["QuantizeLinear"]:
            continue
        if (rounding.op_type, widening.op_type) != ("QuantizeLinear", "DequantizeLinear"):
            continue
        alone = len(readers[rounding.output[0]]) == 1 and len(readers[widening.output[0]]) == 1
        zero = onnx.numpy_helper.to_array(arrays[after[0].input[2]])
        if alone and zero.dtype == np.uint8 and not zero.any():
            after[0].input[0] = rounding.input[0]
            gone |= {rounding.name, widening.name, relu.name}
    kept = [node for node in graph.node if node.name not in gone]
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _map_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """(height, width) of the tensors (N, C, H, W) by name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = {}
    for value in graph.value_info:
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
        if len(sizes) == 4 and all(sizes[1:]):
            found[value.name] = (sizes[2], sizes[3])
    return found


def _before_rounding(name: str, makers: dict[str, onnx.NodeProto]) -> str | None:
    """What was rounded and widened again to become this tensor; None where it was not."""
    widening = makers.get(name)
    rounding = makers.get(widening.input[0]) if widening is not None else None
    kinds = [node.op_type if node is not None else "" for node in (rounding, widening)]
    return rounding.input[0] if rounding is not None and kinds == ["QuantizeLinear", "DequantizeLinear"] else None


def _read_exactly(graph: onnx.GraphProto, name: str, makers: dict[str, onnx.NodeProto]) -> None:
    """Let all nodes but convolutions read a tensor as it is before it is rounded."""
    for node in graph.node:
        if node.op_type == "Conv":
            continue
        for k, given in enumerate(node.input):
            if _before_rounding(given, makers) == name:
                node.input[k] = name


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _fits(convolution: onnx.NodeProto) -> bool:
    """Whether a convolution is one that can be written as a product of matrices."""
    given = _attributes(convolution)
    pads, sides = set(given.get("pads", [0])), set(given["kernel_shape"])
    plain = given.get("group", 1) == 1 and set(given.get("dilations", [1])) == {1}
    padded = given.get("auto_pad", b"NOTSET") == b"NOTSET" and len(pads) == 1
    return (
        plain
        and padded
        and len(sides) == 1
        and len(set(given.get("strides", [1]))) == 1
        and len(convolution.input) == 3
    )


class _Product:
    """Writes one convolution as a product of matrices."""

    def __init__(
        self, graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], shapes: dict[str, tuple[int, int]]
    ) -> None:
        self._graph, self._makers, self._shapes = graph, makers, shapes
        self._arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._nodes: list[onnx.NodeProto] = []
        self._name = ""

    def of(self, convolution: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that take the convolution's place: patches (N, H * W, k * k * C) times weights (k * k * C, K)."""
        self._name = convolution.output[0]
        given = _attributes(convolution)
        side, stride, pad = given["kernel_shape"][0], given.get("strides", [1])[0], given.get("pads", [0])[0]
        data, weight, bias = (self._makers[name] for name in convolution.input)
        rounded, scale, zero = data.input
        weights, scales, zeros = (self._arrays[name] for name in weight.input)  # (K, C, k, k), (K,), (K,)
        offset = self._arrays[bias.input[0]].astype(np.float64) * self._arrays[bias.input[1]]  # (K,)
        (rows, columns), (height, width) = self._shapes[convolution.input[0]], self._shapes[self._name]
        channels, kernels = weights.shape[1], len(weights)
        x = self._add("Transpose", rounded, perm=[0, 2, 3, 1])
        if pad:
            edge = np.array([0, pad, pad, 0] * 2, np.int64)
            x = self._add("Pad", x, self._store("pads", edge), self._store("edge", self._arrays[zero]))
        rows, columns = rows + 2 * pad, columns + 2 * pad
        x = self._reshaped(x, rows * columns, channels)
        top, left = np.meshgrid(np.arange(height) * stride, np.arange(width) * stride, indexing="ij")
        down, right = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        where = (top.reshape(-1, 1) + down.reshape(1, -1)) * columns + left.reshape(-1, 1) + right.reshape(1, -1)
        x = self._add("Gather", x, self._store("patches", where.astype(np.int32)), axis=1)  # (N, H * W, k * k, C)
        x = self._reshaped(x, height * width, side * side * channels)
        x = self._add("DequantizeLinear", x, scale, zero)
        matrix = weights.transpose(2, 3, 1, 0).reshape(-1, kernels)
        parts = {"weights": matrix, "scales": scales, "zeros": zeros}
        w = self._add("DequantizeLinear", *(self._store(name, part) for name, part in parts.items()), axis=1)
        x = self._add("MatMul", x, w)
        # As large as what it is added to: ONNX Runtime adds a row to each pixel a third slower.
        whole = self._store("size", np.array([height * width, kernels], np.int64))
        x = self._add("Add", x, self._add("Expand", self._store("bias", offset.astype(np.float32)), whole))
        x = self._reshaped(x, height, width, kernels)
        self._add("Transpose", x, output=self._name, perm=[0, 3, 1, 2])
        return self._nodes

    def _reshaped(self, name: str, *sizes: int) -> str:
        """(N, ...) in another shape."""
        return self._add("Reshape", name, self._store(f"shape_{len(self._nodes)}", np.array([0, *sizes], np.int64)))

    def _store(self, name: str, values: Array) -> str:
        full = f"{self._name}_{name}"
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), full))
        return full

    def _add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = f"{self._name}_{kind}_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(kind, inputs, [output or name], name=name, **attributes))
        return output or name

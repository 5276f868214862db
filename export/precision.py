"""Other precisions of a float32 network: float16 by conversion, int8 by static quantisation. Graph in, graph out."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from affectkit.errors import EngineError
from affectkit.export.float_sums import with_float_sums, without_relus
from affectkit.export.graph_cleanup import readers_of, tidied
from affectkit.export.ranges import find_ranges
from affectkit.types import Array, UInt8

QUANTISED = ("Conv", "Add", "AveragePool", "GlobalAveragePool", "MaxPool")
"""Kinds of nodes that are computed in int8. Not fully connected ones: in float32 they take no measurable time,
and on faces unlike those that the ranges were found on a head's answers keep their sense (of `lite`'s visibility, on
noise, the cosine with float32 is .999 in place of .93)."""

BATCH = 32

LARGEST_CELL = 3
"""Side of the cells that are averaged inside a convolution, whose weights grow with it."""


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with float32 weights where they are stored as float16 (``to_onnx.store_as_half``)."""
    widened_model = onnx.ModelProto()
    widened_model.CopyFrom(model)
    graph = widened_model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        source = stored.get(node.input[0]) if node.op_type == "Cast" and node.input else None
        if source is None or source.data_type != onnx.TensorProto.FLOAT16:
            kept.append(node)
            continue
        values = onnx.numpy_helper.to_array(source).astype(np.float32)
        source.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return widened_model


def before_the_network(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes between the pixels and the first convolution: the normalisation, which stays float32.

    Squares of pixels leave float16's range, and eight bits are too few for a mean.
    """
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    found: dict[str, None] = {}
    waiting = [graph_input.name for graph_input in model.graph.input]
    while waiting:
        for node in consumers.get(waiting.pop(), []):
            if node.op_type not in ("Conv", "Gemm", "MatMul", "GRU") and node.name not in found:
                found[node.name] = None
                waiting += node.output
    return list(found)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in which every node has a name of its own, so that nodes can be told apart."""
    for k, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{k}"
    return model


def to_half(source: Path, target: Path) -> None:
    """Convert an ONNX file to float16; inputs and outputs, the normalisation and what overflows stay float32."""
    model = named(widened(onnx.load(str(source))))
    blocked = before_the_network(model)
    converted = convert_float_to_float16(model, keep_io_types=True, node_block_list=blocked)
    OnnxModel(converted).topological_sort()  # the converter adds its casts at the end
    del converted.graph.value_info[:]  # and leaves notes on types that are no longer true
    tidied(converted)
    onnx.checker.check_model(converted, full_check=True)
    onnx.save(converted, str(target))


def rearranged(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without nodes that take longer than what they compute is worth.

    A power of two is a product; averaging cells of k x k pixels and then mixing channels by a 1x1 convolution is one
    convolution of k x k with stride k and a k * k-th of the weights.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    readers = readers_of(graph)
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type == "Pow":
            exponent = arrays.get(node.input[1], constants.get(node.input[1]))
            if exponent is not None and onnx.numpy_helper.to_array(exponent).reshape(-1).tolist() == [2]:
                node.op_type, node.input[1] = "Mul", node.input[0]
        elif node.op_type == "AveragePool" and (side := _side_of_cells(node)):
            after = readers.get(node.output[0], [])
            if len(after) == 1 and _mixes_channels(after[0], arrays):
                (conv,) = after
                weight = arrays[conv.input[1]]
                spread = np.repeat(np.repeat(onnx.numpy_helper.to_array(weight) / side**2, side, 2), side, 3)
                weight.CopyFrom(onnx.numpy_helper.from_array(spread.astype(np.float32), weight.name))
                sides = {name: onnx.helper.make_attribute(name, [side, side]) for name in ("kernel_shape", "strides")}
                del conv.attribute[:]
                conv.attribute.extend(sides.values())
                conv.input[0] = node.input[0]
                gone.add(node.name)
    _remove(graph, gone)
    onnx.checker.check_model(changed, full_check=True)
    return changed


def _remove(graph: onnx.GraphProto, names: set[str]) -> None:
    """Take nodes out of a graph; nothing may need them any more."""
    kept = [node for node in graph.node if node.name not in names]
    del graph.node[:]
    graph.node.extend(kept)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _side_of_cells(node: onnx.NodeProto) -> int:
    """Side of the cells that a pooling node goes over once each; 0 where it does something else."""
    given = _attributes(node)
    kernel, strides = list(given["kernel_shape"]), list(given.get("strides", [1, 1]))
    plain = not any(given.get("pads", [0])) and not given.get("ceil_mode", 0)
    small = plain and len(kernel) == 2 and kernel[0] == kernel[1] <= LARGEST_CELL and strides == kernel
    return int(kernel[0]) if small else 0


def _mixes_channels(node: onnx.NodeProto, arrays: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node is a convolution of single pixels with weights of its own."""
    if node.op_type != "Conv" or node.input[1] not in arrays:
        return False
    given = _attributes(node)
    plain = given.get("group", 1) == 1 and not any(given.get("pads", [0])) and set(given.get("strides", [1])) == {1}
    return plain and list(arrays[node.input[1]].dims[2:]) == [1, 1]


def with_own_normalisation(quantised: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """The quantised graph with the float32 network's nodes before the first convolution; changed in place.

    ONNX Runtime's optimisation takes the mean before it transposes, and OpenCV 4 takes such a mean over other axes.
    Square roots become powers: ONNX Runtime before 1.21 approximates them where several are computed at once. The last
    bit decides now and then how the first layer is rounded, so that answers depended on the batch, by up to .02.

    Args:
        source: the float32 network, with nodes that have names.
    """
    before, own = set(before_the_network(quantised)), set(before_the_network(source))
    rest = [node for node in quantised.graph.node if node.name not in before]
    first = [node for node in source.graph.node if node.name in own]
    needed = {name for node in rest for name in node.input}
    if not needed & _made_by(quantised.graph.node, before) <= _made_by(source.graph.node, own):
        return quantised  # the optimisation has joined it with what follows
    constants = {tensor.name: tensor for tensor in source.graph.initializer}
    there = {tensor.name for tensor in quantised.graph.initializer}
    half = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "normalisation_half")
    for node in first:
        if node.op_type == "Sqrt":
            node.op_type = "Pow"
            node.input.append(half.name)
            constants[half.name] = half
    wanted = {name for node in first for name in node.input} & constants.keys() - there
    quantised.graph.initializer.extend(constants[name] for name in sorted(wanted))
    del quantised.graph.node[:], quantised.graph.value_info[:]
    quantised.graph.node.extend([*first, *rest])
    return quantised


def _made_by(nodes: Iterable[onnx.NodeProto], names: set[str]) -> set[str]:
    """The values that the nodes of these names make."""
    return {value for node in nodes if node.name in names for value in node.output}


class _Faces(CalibrationDataReader):  # type: ignore[misc]
    """Hands faces to the quantiser, a batch at a time; those that do not fill one are left out, its histograms need
    batches of one size."""

    def __init__(self, faces: UInt8) -> None:
        self._batches: Iterator[dict[str, Array]] = ({"faces": batch} for batch in _batches(faces))

    def get_next(self) -> dict[str, Array] | None:
        """The next batch; None at the end."""
        return next(self._batches, None)


def to_int8(source: Path, target: Path, faces: UInt8, *, for_tensorrt: bool = False) -> None:
    """Quantise an ONNX file to int8 with Q/DQ nodes, weights by channel and symmetric.

    What is between the layers is unsigned for ONNX Runtime on CPUs, whose int8 kernels take a ReLU into an unsigned
    range (a signed one leaves the ReLU, and with it every convolution, in float32: 2.0 ms a face against .8 on a core
    with VNNI), and symmetric and signed for TensorRT, which reads nothing else.

    Args:
        faces: (N, S, S, C) uint8, real faces as the network will meet them: they decide the ranges of what is between
            the layers. A few hundred are enough.
        for_tensorrt: symmetric int8 throughout.

    Raises:
        EngineError: the quantiser failed.
    """
    if len(faces) < BATCH:
        raise EngineError(f"int8 needs at least {BATCH} faces to find its ranges by, got {len(faces)}")
    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared = Path(scratch) / "plain.onnx", Path(scratch) / "prepared.onnx"
        original = rearranged(named(widened(onnx.load(str(source)))))
        onnx.save(original, str(plain))
        quiet = logging.getLogger()
        level = quiet.level
        quiet.setLevel(logging.ERROR)  # the quantiser advises its own users on the root logger
        try:
            # ONNX Runtime's own graph optimisation first, so that what it would fuse is quantised as one.
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            model = named(onnx.load(str(prepared)))
            onnx.save(model, str(prepared))
            _quantise(prepared, target, faces, _kept_in_float(model), for_tensorrt=for_tensorrt)
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(f"{source}: cannot be quantised ({error})") from error
        finally:
            quiet.setLevel(level)
    quantised = named(onnx.load(str(target)))
    quantised = without_relus(quantised if for_tensorrt else with_float_sums(quantised))
    onnx.save(tidied(named(with_own_normalisation(quantised, original))), str(target))
    onnx.checker.check_model(str(target), full_check=True)


def _quantise(source: Path, target: Path, faces: UInt8, excluded: list[str], *, for_tensorrt: bool) -> None:
    """The quantised graph as the quantiser writes it."""
    options: dict[str, Any] = {"ActivationSymmetric": for_tensorrt, "WeightSymmetric": True}
    if not for_tensorrt:
        ranges = find_ranges(source, _between_layers(onnx.load(str(source)), excluded), _batches(faces))
        options["TensorQuantOverrides"] = {
            name: [{"rmin": np.float32(lower), "rmax": np.float32(upper)}] for name, (lower, upper) in ranges.items()
        }
        faces = faces[:BATCH]  # nothing is left for the quantiser to find
    with redirect_stdout(io.StringIO()):  # it prints what it does
        quantize_static(
            str(source),
            str(target),
            _Faces(faces),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QInt8 if for_tensorrt else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            # Of what is between the layers a hundred-thousandth is cut off: single large values would make the steps of
            # all others coarse.
            calibrate_method=CalibrationMethod.Percentile if for_tensorrt else CalibrationMethod.MinMax,
            extra_options=options,
        )


def _batches(faces: UInt8) -> Iterator[UInt8]:
    """Faces in batches of one size; those that do not fill one are left out."""
    return (faces[start : start + BATCH] for start in range(0, len(faces) - BATCH + 1, BATCH))


def _between_layers(model: onnx.ModelProto, excluded: list[str]) -> list[str]:
    """Names of the tensors that the quantised nodes read and write."""
    stored = {tensor.name for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in QUANTISED and node.name not in set(excluded)]
    return [name for node in nodes for name in (*node.input, *node.output) if name not in stored]


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """The nodes that are not quantised."""
    return before_the_network(model) + _first_layers(model) + _last_layers(model)


def _first_layers(model: onnx.ModelProto) -> list[str]:
    """The convolutions that see the face itself: in float they halve the difference to float32 at a twentieth of the
    time, since a face's small changes are smaller than the steps of 256 that its range is cut into."""
    readers, found, seen = readers_of(model.graph), [], set()
    waiting = [given.name for given in model.graph.input]
    while waiting:
        for node in readers.get(waiting.pop(), []):
            if node.name in seen:
                continue
            seen.add(node.name)
            if node.op_type == "Conv":
                found.append(node.name)
            else:
                waiting += list(node.output)
    return found


def _last_layers(model: onnx.ModelProto) -> list[str]:
    """The layers that give the logits: they cost nothing, and their rounding would go straight into the answers."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found = []
    for graph_output in model.graph.output:
        waiting = [graph_output.name]
        while waiting:
            node = makers.get(waiting.pop())
            if node is None:
                continue
            found.append(node.name)
            if node.op_type not in ("Gemm", "MatMul", "Conv"):
                waiting += list(node.input)
    return list(dict.fromkeys(found))

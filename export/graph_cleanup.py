"""Graphs without what only their exporter needed: other runtimes read less of ONNX than the one they were made with."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.reference import ReferenceEvaluator

from affectkit.types import Array


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without nodes, constants and operator sets that nothing needs; changed in place.

    Runtimes warn of each unused constant, and some refuse operator sets that they do not know, used or not.
    """
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in list(graph.node)[::-1]:  # in topological order, so whoever reads a value comes after its maker
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read_by(node) - {""})  # the name of an input that is left out
    kept.reverse()
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    made = {name for node in kept for name in node.output}
    notes = [value for value in graph.value_info if value.name in made]
    for field, values in ((graph.node, kept), (graph.initializer, initializers), (graph.value_info, notes)):
        del field[:]
        field.extend(values)
    used = {node.domain for node in kept} | {function.domain for function in model.functions} | {""}
    imports = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    return model


def _read_by(node: onnx.NodeProto) -> set[str]:
    """Every value that a node or a graph within it reads."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    inner += [graph for attribute in node.attribute for graph in attribute.graphs]
    return set(node.input).union(*(_read_by(part) | {o.name for o in g.output} for g in inner for part in g.node))


def readers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that take each value."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def with_constant_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same recurrent network whose GRUs have constants for weights; changed in place.

    torch's exporter writes the order of ONNX's gates as slices of torch's weights, a state of zeros as an expression of
    the batch's size, and how the directions are joined as arithmetic of shapes. OpenCV reads constants only.
    """
    _without_zero_states(model)
    _joined_by_constants(model)
    _picked_by_lists(model)
    tidied(model)
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer} | {""}
    constant = []
    for node in graph.node:
        if node.domain == "" and node.op_type != "Constant" and known.issuperset(_read_by(node)):
            constant.append(node)
            known.update(node.output)
    made = {name for node in constant for name in node.output}
    rest = [node for node in graph.node if not made.intersection(node.output)]
    wanted = sorted(made & {name for node in rest for name in node.input})
    if wanted:
        values = [onnx.ValueInfoProto(name=name) for name in wanted]
        part = onnx.helper.make_graph(constant, "constants", [], values, list(graph.initializer))
        alone = onnx.helper.make_model(part, opset_imports=list(model.opset_import))
        alone.ir_version = model.ir_version
        computed = ReferenceEvaluator(alone).run(None, {})
        graph.initializer.extend(
            onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in zip(wanted, computed, strict=True)
        )
        del graph.node[:]
        graph.node.extend(rest)
    tidied(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _constants(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _without_zero_states(model: onnx.ModelProto) -> None:
    """Leave out first states that are zeros of any size, which is what a GRU without one has.

    Its last state is given a name, though nothing reads it: OpenCV takes it for the only answer otherwise.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    arrays = _constants(model)
    for node in model.graph.node:
        if node.op_type != "GRU":
            continue
        if len(node.output) == 1:
            node.output.append(f"{node.output[0]}_last")
        name = node.input[5] if len(node.input) > 5 else ""
        while name in makers and makers[name].op_type in ("Slice", "Expand", "Identity"):
            name = makers[name].input[0]
        if name in arrays and not arrays[name].any():
            del node.input[5:]
        while not node.input[-1]:
            del node.input[-1]


def _picked_by_lists(model: onnx.ModelProto) -> None:
    """Pick along an axis by a list of one and drop the axis after: OpenCV takes a single index for such a list."""
    arrays = _constants(model)
    lists: dict[str, Array] = {}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        index = arrays.get(node.input[1]) if node.op_type == "Gather" else None
        if index is None or index.ndim:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        picked, place, dropped = f"{node.output[0]}_picked", f"pick_{int(index)}", f"drop_{axis}"
        lists |= {place: np.array([int(index)], np.int64), dropped: np.array([axis], np.int64)}
        nodes.append(onnx.helper.make_node("Squeeze", [picked, dropped], [node.output[0]]))
        node.input[1], node.output[0] = place, picked
    model.graph.initializer.extend(onnx.numpy_helper.from_array(values, name) for name, values in lists.items())
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _joined_by_constants(model: onnx.ModelProto) -> None:
    """Join the directions of a GRU's answer, (T, B, directions, F) -> (T, B, directions * F), without arithmetic."""
    readers = readers_of(model.graph)
    shape = "joined_directions"
    found = False
    for node in model.graph.node:
        if node.op_type != "GRU":
            continue
        for turned in readers.get(node.output[0], []):
            turns = [list(a.ints) for a in turned.attribute if a.name == "perm"]
            if turned.op_type != "Transpose" or turns != [[0, 2, 1, 3]]:
                continue
            for joined in readers.get(turned.output[0], []):
                apart = joined.op_type == "Reshape" and joined.input[0] == turned.output[0] and joined.input[1] != shape
                if apart:
                    joined.input[1], found = shape, True
    if found:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 0, -1], np.int64), shape))

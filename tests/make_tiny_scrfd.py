"""A detector with SCRFD's nine outputs that finds bright squares: the small ONNX of tests/test_insight.py.

Every cell of stride 32 whose mean brightness is over the middle is a face, the brighter the surer: a box of 4 by 5
cells around its corner, and five points at known places in it. The other strides never find anything. As in SCRFD
there are two anchors a cell; the second never finds anything either.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

REACH = (2.0, 2.0, 2.0, 3.0)
"""Left, top, right and bottom of the box from the cell's corner, in cells."""
POINTS = ((-1.0, -1.0), (1.0, -1.0), (0.0, 0.0), (-0.75, 1.0), (0.75, 1.0))
"""The five points from the cell's corner, in cells."""


def write(path: Path) -> None:
    """Write the network: input (1, 3, H, W) float32 as insightface prepares it, (x - 127.5) / 128."""
    nodes, constants, outputs = [], [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    kinds = {"scores": (1, None), "boxes": (4, REACH), "points": (10, tuple(np.ravel(POINTS)))}
    for stride in (8, 16, 32):
        grey, cells = f"grey{stride}", f"cells{stride}"
        nodes.append(
            helper.make_node("ReduceMean", ["input", constant(f"axes{stride}", np.array([1]))], [grey], keepdims=1)
        )
        nodes.append(
            helper.make_node("AveragePool", [grey], [cells], kernel_shape=[stride, stride], strides=[stride, stride])
        )
        shape = constant(f"flat{stride}", np.array([-1, 1]))
        nodes.append(helper.make_node("Reshape", [cells, shape], [f"column{stride}"]))
        gain = constant(f"gain{stride}", np.array([[1.0 if stride == 32 else 0.0, 0.0]], np.float32))
        nodes.append(helper.make_node("MatMul", [f"column{stride}", gain], [f"pair{stride}"]))
        nodes.append(helper.make_node("Reshape", [f"pair{stride}", shape], [f"line{stride}"]))
        nodes.append(helper.make_node("Relu", [f"line{stride}"], [f"scores{stride}"]))
        for kind in ("boxes", "points"):
            width, values = kinds[kind]
            zero = constant(f"{kind}_zero{stride}", np.zeros((1, width), np.float32))
            fixed = constant(f"{kind}_fixed{stride}", np.array([values], np.float32))
            nodes.append(helper.make_node("MatMul", [f"line{stride}", zero], [f"{kind}_nothing{stride}"]))
            nodes.append(helper.make_node("Add", [f"{kind}_nothing{stride}", fixed], [f"{kind}{stride}"]))
    for kind, (width, _) in kinds.items():
        for stride in (8, 16, 32):
            outputs.append(helper.make_tensor_value_info(f"{kind}{stride}", TensorProto.FLOAT, ["n", width]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "squares", [picture], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))

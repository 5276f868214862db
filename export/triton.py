"""A model folder -> a model repository for NVIDIA's Triton inference server: its networks, and one that finds faces."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.helper
import onnx.numpy_helper

from affectkit import __version__
from affectkit.export.folders import check_folder, put_in_place
from affectkit.models import ModelFolder
from affectkit.options import PredictorConfig
from affectkit.spec import ModelSpec

LARGEST_BATCH = 128
PREFERRED = (8, 32, 128)
WARM_FRAMES = 16
"""Length of the sequences that the server warms up with."""
MIN_FACE_PX = PredictorConfig().min_face_px
DELAY_US = 2000
"""Longest time that the server lets a request wait for others to share its batch."""

CARD = """\
# {name} on Triton

`tritonserver --model-repository=THIS_FOLDER` serves:

- `{name}`: `faces` uint8 ({size}, {size}, {channels}), an aligned face of {what} -> logits {logits}
  and `features` ({members}, {tasks}, {width}), each by member
{temporal}
- `{name}_pictures`: a picture, `picture` uint8 (H, W, 3) RGB or `file` uint8 (the bytes of a JPEG, PNG, WebP, AVIF,
  HEIC ...) -> its N faces in falling order of score: `box` (N, 4) x, y, width, height and `landmarks` (N, 5, 2) in
  pixels, `score`; {told}, NaN where nothing is told or can be seen; and `features`
  (N, {members}, {tasks}, {width}), which windows are made of. N may be 0.

`{name}_pictures` runs in Triton's Python backend, finds and cuts out faces as affectkit does, and asks `{name}`, so
that faces of all requests share its batches. (An ensemble of Triton's cannot: no face is no batch.) Its Python needs
`pip install 'affectkit[cpu]=={version}'`, with `heif` for HEIC; a conda pack of such an environment is named by
`EXECUTION_ENV_PATH`, as Triton's documentation says. Faces under {min_face_px} px are not looked for (`min_face_px` in
its config.pbtxt); `count` there is how many pictures are searched at a time.

No Triton server has run this repository yet: its configurations were parsed with Triton's own schema, the networks
run by ONNX Runtime, and `{name}_pictures` by a stand-in for the Python backend with the names and signatures of its
source.

{windows}Labels, thresholds and decoding stand in `model.json`, beside this file; `affectkit.readout.read_out`
decodes logits whose first two axes are (members, faces): transpose what the server answers. All of a face is decoded,
whether it can be seen or not; `affectkit.visibility.withheld` takes out what cannot.
"""


PLACES = ("box", "score", "landmarks", "features")
TOLD = {"expression": " probabilities", "au": " probabilities", "au_active": " decisions", "pose": " in degrees"}
"""What is told of a face besides where it is: what the numbers are."""

WINDOWS = """\
Of a face that is followed without a cut, give the temporal network windows of {length} frames (fewer where the face was
seen for less, which is one window): each begins {length} // 2 frames after the one before, and the last is moved back
to end with the sequence. Where windows overlap, average their logits, each weighted by how far the frame is from
the nearer end of its window; `affectkit.temporal` does it so (mode `overlap`). Live, give the last {length} frames and
read the frame that is as far from the end as you can wait.

"""


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    kind: str
    """Triton's name of the data type."""
    dims: tuple[int, ...]
    """Without the batch; -1: any."""
    labels: str = ""
    """File with a label a line."""
    optional: bool = False
    """Of an input: it may be left out."""

    def text(self) -> str:
        """As in config.pbtxt."""
        lines = [f'name: "{self.name}"', f"data_type: {self.kind}", f"dims: [ {', '.join(map(str, self.dims))} ]"]
        if self.labels:
            lines.append(f'label_filename: "{self.labels}"')
        lines += ["optional: true"] * self.optional
        return "  {\n" + "".join(f"    {line}\n" for line in lines) + "  }"


def write_triton(model: ModelFolder, folder: Path, *, overwrite: bool = False) -> None:
    """Write a model repository with the frame network and, where there is one, the temporal network.

    Triton batches along the first axis, so the networks there answer (faces, members, ...).

    Networks run on the GPUs where the server has any, else on the CPU (KIND_AUTO).

    Raises:
        OutputError: the folder exists, or cannot be written.
    """
    check_folder(folder, overwrite=overwrite, mark="model.json", kind="model repository")
    spec = model.spec
    name = spec.name.replace("-", "_")
    members, size, channels = spec.members, spec.input.size, spec.input.channels
    files, tasks = _label_files(spec), len(spec.tasks)
    answers = [
        _Tensor(task, "TYPE_FP32", (members, width), f"{task}.txt" if task in files else "")
        for task, width in spec.task_widths.items()
    ]
    besides = [_Tensor(name, "TYPE_FP32", (members, width)) for name, width in spec.further_widths.items()]
    features = _Tensor("features", "TYPE_FP32", (members, tasks, spec.feature_width))
    faces = _Tensor("faces", "TYPE_UINT8", (size, size, channels))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        partial = Path(scratch) / folder.name
        _write_model(partial / name, name, model.frame_onnx, spec, [faces], [*answers, *besides, features])
        temporal = ""
        if model.temporal_onnx is not None:
            inputs = [_Tensor("features", "TYPE_FP32", (members, -1, tasks, spec.feature_width))]
            outputs = [_Tensor(t.name, t.kind, (members, -1, t.dims[1]), t.labels) for t in answers]
            _write_model(partial / f"{name}_temporal", f"{name}_temporal", model.temporal_onnx, spec, inputs, outputs)
            shape = f"({members}, T, {tasks}, {spec.feature_width})"
            temporal = f"- `{name}_temporal`: `features` {shape} of T frames -> the same logits, by frame\n"
        _write_pictures(partial / f"{name}_pictures", name, spec)
        what = "RGB" if channels == 3 else "luma"
        card = CARD.format(
            name=name,
            size=size,
            channels=channels,
            what=what,
            logits=", ".join(
                f"`{name}` ({members}, {width})" for name, width in (spec.task_widths | spec.further_widths).items()
            ),
            members=members,
            tasks=tasks,
            width=spec.feature_width,
            temporal=temporal,
            told=", ".join(f"`{name}`{TOLD.get(name, '')}" for name in _of_a_face(spec) if name not in PLACES),
            version=__version__,
            min_face_px=MIN_FACE_PX,
            windows="" if spec.temporal is None else WINDOWS.format(length=spec.temporal.sequence_length),
        )
        (partial / "README.md").write_text(card, encoding="utf-8")
        (partial / "model.json").write_text(spec.to_json(), encoding="utf-8")
        parity = model.path / "parity.json"
        if parity.is_file():
            shutil.copyfile(parity, partial / parity.name)
        put_in_place(partial, folder)


def _label_files(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Labels by the task that has a file of them."""
    named = {"expression": spec.expression_labels, "au": spec.au_labels}
    return {task: labels for task, labels in named.items() if labels}


def _write_model(
    folder: Path, name: str, source: Path, spec: ModelSpec, inputs: list[_Tensor], outputs: list[_Tensor]
) -> None:
    """One model of the repository: config.pbtxt, labels and version 1."""
    (folder / "1").mkdir(parents=True)
    onnx.save(faces_first(onnx.load(str(source))), str(folder / "1" / "model.onnx"))
    for task, labels in _label_files(spec).items():
        (folder / f"{task}.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    blocks = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {LARGEST_BATCH}",
        "input [\n" + ",\n".join(tensor.text() for tensor in inputs) + "\n]",
        "output [\n" + ",\n".join(tensor.text() for tensor in outputs) + "\n]",
        "dynamic_batching {\n"
        f"  preferred_batch_size: [ {', '.join(map(str, PREFERRED))} ]\n"
        f"  max_queue_delay_microseconds: {DELAY_US}\n}}",
        "model_warmup [\n" + ",\n".join(_warmup(inputs, batch) for batch in (1, *PREFERRED)) + "\n]",
        "instance_group [\n  {\n    count: 1\n    kind: KIND_AUTO\n  }\n]",
    ]
    (folder / "config.pbtxt").write_text("\n".join(blocks) + "\n", encoding="utf-8")


def _of_a_face(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """What is told of each face of a picture: names and shapes."""
    units = len(spec.au_labels)
    widths: dict[str, tuple[int, ...]] = {"box": (4,), "score": (), "landmarks": (5, 2)}
    widths |= {"expression": (len(spec.expression_labels),), "au": (units,), "au_active": (units,)}
    widths |= {"valence_arousal": (2,), "intensity": (units,), "visibility": (3,), "pose": (3,), "quality": ()}
    widths |= {"features": (spec.members, len(spec.tasks), spec.feature_width)}
    return {name: width for name, width in widths.items() if 0 not in width}  # without labels that the model has not


def _write_pictures(folder: Path, network: str, spec: ModelSpec) -> None:
    """The model that finds the faces of a picture and asks ``network`` about them."""
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("triton_pictures.py"), folder / "1" / "model.py")
    (folder / "1" / "model.json").write_text(spec.to_json(), encoding="utf-8")
    files = _label_files(spec)
    for task, labels in files.items():
        (folder / f"{task}.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    outputs = [
        _Tensor(
            name,
            "TYPE_BOOL" if name == "au_active" else "TYPE_FP32",
            (-1, *width),
            f"{name}.txt" if name in files else "",
        )
        for name, width in _of_a_face(spec).items()
    ]
    inputs = [_Tensor("picture", "TYPE_UINT8", (-1, -1, 3), optional=True)]
    inputs.append(_Tensor("file", "TYPE_UINT8", (-1,), optional=True))
    parameters = {"network": network, "affectkit": __version__, "largest_batch": LARGEST_BATCH}
    parameters |= {"min_face_px": MIN_FACE_PX, "threads": 1}
    black = "data_type: TYPE_UINT8 dims: [ 360, 640, 3 ] zero_data: true"  # without a face, so that no network is asked
    blocks = [
        f'name: "{network}_pictures"',
        'backend: "python"',
        "max_batch_size: 0",
        "input [\n" + ",\n".join(tensor.text() for tensor in inputs) + "\n]",
        "output [\n" + ",\n".join(tensor.text() for tensor in outputs) + "\n]",
        *(
            f'parameters {{\n  key: "{key}"\n  value: {{ string_value: "{value}" }}\n}}'
            for key, value in parameters.items()
        ),
        'model_warmup [\n  {\n    name: "black"\n    batch_size: 1\n'
        f'    inputs {{\n      key: "picture"\n      value: {{ {black} }}\n    }}\n  }}\n]',
        "instance_group [\n  {\n    count: 1\n    kind: KIND_CPU\n  }\n]",
    ]
    (folder / "config.pbtxt").write_text("\n".join(blocks) + "\n", encoding="utf-8")


def _warmup(inputs: list[_Tensor], batch: int) -> str:
    """A request that the server makes of itself when it starts, so that the first one from outside need not wait."""
    lines = [f'    name: "{batch} at once"', f"    batch_size: {batch}"]
    for tensor in inputs:
        dims = ", ".join(str(length if length > 0 else WARM_FRAMES) for length in tensor.dims)
        value = f"data_type: {tensor.kind} dims: [ {dims} ] zero_data: true"
        lines.append(f'    inputs {{\n      key: "{tensor.name}"\n      value: {{ {value} }}\n    }}')
    return "  {\n" + "\n".join(lines) + "\n  }"


def faces_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with members and faces (the first two axes) exchanged wherever members come first."""
    graph = model.graph
    before, after = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:  # features; faces have no members
            inner = f"{value.name}_members_first"
            for node in graph.node:
                node.input[:] = [inner if name == value.name else name for name in node.input]
            before.append(_exchange(value, value.name, inner))
    for value in graph.output:
        inner = f"{value.name}_members_first"
        for node in graph.node:
            node.output[:] = [inner if name == value.name else name for name in node.output]
            node.input[:] = [inner if name == value.name else name for name in node.input]
        after.append(_exchange(value, inner, value.name))
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _exchange(value: onnx.ValueInfoProto, source: str, target: str) -> onnx.NodeProto:
    """A node that exchanges the first two axes; the shape noted at ``value`` is exchanged with it."""
    dims = value.type.tensor_type.shape.dim
    first, second = onnx.TensorShapeProto.Dimension(), onnx.TensorShapeProto.Dimension()
    first.CopyFrom(dims[0])
    second.CopyFrom(dims[1])
    dims[0].CopyFrom(second)
    dims[1].CopyFrom(first)
    return onnx.helper.make_node("Transpose", [source], [target], perm=[1, 0, *range(2, len(dims))])

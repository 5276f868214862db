"""Trained members -> one ONNX graph, golden outputs and a model folder."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from affectkit.errors import EngineError
from affectkit.export.describe import describe_folder
from affectkit.export.folders import check_folder, put_in_place
from affectkit.export.graph_cleanup import tidied, with_constant_weights
from affectkit.export.verify import Parity, compare_golden, problems
from affectkit.models import FRAME_NAME, GOLDEN_NAME, SPEC_NAME, TEMPORAL_NAME, frame_of, sha256
from affectkit.readout import check_outputs
from affectkit.spec import FURTHER, ModelSpec
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN, TemporalHeads
from affectkit.types import Array, UInt8

OPSET = 18
CARD_NAME = "MODEL_CARD.md"


def further_outputs(member: MultitaskCNN) -> tuple[str, ...]:
    """Those of ``FURTHER`` that a network has."""
    config = member.config
    there = (config.intensity and bool(config.task_widths["au"]), config.visibility, config.pose)
    return tuple(name for name, present in zip(FURTHER, there, strict=True) if present)


class FusedMembers(nn.Module):
    """M networks of K tasks as one: uint8 (N, S, S, C) -> by ``names``, K x logits (M, N, C), features (M, N, K, F).

    Between them what the networks say besides, each (M, N, C): intensity, visibility, pose.
    """

    def __init__(self, members: Sequence[MultitaskCNN]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.names = (*members[0].config.tasks, *further_outputs(members[0]), "features")
        """Of the outputs: the tasks that the members have, what they say besides, and the features."""

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        answers = [member(faces) for member in self.members]
        return tuple(torch.stack([getattr(answer, name) for answer in answers]) for name in self.names)


class FusedSequences(nn.Module):
    """M recurrent parts of K tasks as one: features (M, B, T, K, F) -> by ``names``, K x logits (M, B, T, C)."""

    def __init__(self, heads: Sequence[TemporalHeads]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.names = tuple(heads[0].rnn)
        """Of the outputs: the tasks that the parts have."""

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        answers = [part(features[k]) for k, part in enumerate(self.heads)]
        return tuple(torch.stack([getattr(answer, name) for answer in answers]) for name in self.names)


def write_onnx(members: Sequence[MultitaskCNN], path: Path) -> None:
    """Export the members as one graph with a free number of faces; the exporter folds batch-norm into the weights."""
    network = FusedMembers([member.eval() for member in members])
    config = members[0].config
    example = torch.zeros(2, config.size, config.size, config.channels, dtype=torch.uint8)
    shapes = {"faces": {0: torch.export.Dim("n", min=1, max=65536)}}
    _write(network, example, path, input_name="faces", output_names=network.names, dynamic_shapes=shapes, free={1: "n"})


def write_temporal_onnx(heads: Sequence[TemporalHeads], path: Path) -> None:
    """Export the recurrent parts as one graph with a free number of sequences of a free length."""
    network = FusedSequences([part.eval() for part in heads])
    example = torch.zeros(len(heads), 2, 5, len(network.names), FEATURE_WIDTH)
    shapes = {"features": {1: torch.export.Dim("b", min=1, max=65536), 2: torch.export.Dim("t", min=1, max=65536)}}
    free = {1: "b", 2: "t"}
    names = network.names
    _write(
        network,
        example,
        path,
        input_name="features",
        output_names=names,
        dynamic_shapes=shapes,
        free=free,
        recurrent=True,
    )


@contextlib.contextmanager
def _fresh_gru_dispatch() -> Iterator[None]:
    """Let torch look up how to export a GRU, before and after.

    While it exports, torch 2.13 exchanges the implementation of the GRU for one of free length, but an earlier look-up
    that it keeps counts first: the second export in a process would fix the length at the example's.
    """
    kept = getattr(torch.ops.aten.gru.input, "_dispatch_cache", {})
    kept.clear()
    try:
        yield
    finally:
        kept.clear()


def _write(
    network: nn.Module,
    example: Tensor,
    path: Path,
    *,
    input_name: str,
    output_names: Sequence[str],
    dynamic_shapes: dict[str, Any],
    free: dict[int, str],
    recurrent: bool = False,
) -> None:
    """Export one network; ``free`` names the axes of the outputs that are as long as those of the input."""
    # The exporter looks for torchvision's operators first, which no network here has, and logs that there are none.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), _fresh_gru_dispatch():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_shapes=dynamic_shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise EngineError("torch.onnx.export gave nothing back")
    model = program.model_proto
    for node in model.graph.node:  # names of our source files and stack traces do not belong in the product
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    # The exporter notes the example's length as the length of what a GRU answers; inference recomputes the rest.
    del model.graph.value_info[:]
    for value in model.graph.output:
        for axis, axis_name in free.items():
            value.type.tensor_type.shape.dim[axis].dim_param = axis_name
    tidied(with_constant_weights(model) if recurrent else model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


@torch.no_grad()
def rounded_to_half(member: MultitaskCNN) -> MultitaskCNN:
    """A copy without batch-norm after convolutions, whose weights :func:`store_as_half` stores without loss.

    Batch-norm goes first, because exporters fold it into the weights, which would then be other numbers than those that
    were rounded. Biases and what is left of the statistics are few, and small values of theirs matter: they stay.

    Raises:
        EngineError: folding changed what the network answers.
    """
    copied = copy.deepcopy(member).eval()
    for module in list(copied.modules()):
        children = list(module.named_children())
        for (name, conv), (norm_name, norm) in pairwise(children):  # a norm registered right after a conv follows it
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    config = member.config
    faces = torch.from_numpy(golden_faces(config.size, config.channels))
    before, after = FusedMembers([member.eval()]), FusedMembers([copied])
    for name, want, got in zip(before.names, before(faces), after(faces), strict=True):
        if float((want - got).abs().max()) > 1e-3 * float(want.abs().max()):
            raise EngineError(f"folding batch-norm changed the output {name!r}")
    for parameter in copied.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half().float())
    return copied


def store_as_half(path: Path) -> None:
    """Store the large float32 weights of an ONNX file as float16, each with a cast back that is folded on loading.

    Raises:
        EngineError: a weight cannot be held by float16 as it is.
    """
    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        small = values.astype(np.float16)
        if not np.array_equal(small.astype(np.float32), values):
            raise EngineError(f"{path.name}: {tensor.name} does not fit into float16; export it without half storage")
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(small, f"{name}_f16"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


@torch.no_grad()
def golden_outputs(members: Sequence[MultitaskCNN], faces: UInt8) -> dict[str, Array]:
    """What torch answers on the CPU in float32, by output name."""
    network = FusedMembers([member.eval().float() for member in members])
    answers = network(torch.from_numpy(faces))
    return {name: answer.numpy() for name, answer in zip(network.names, answers, strict=True)}


@torch.no_grad()
def golden_sequence(heads: Sequence[TemporalHeads]) -> dict[str, Array]:
    """Features of two sequences of seven frames, and what torch makes of them; names begin with ``sequence_``."""
    rng = np.random.default_rng(2020)
    network = FusedSequences([part.eval().float() for part in heads])
    features = rng.normal(0, 1, (len(heads), 2, 7, len(network.names), FEATURE_WIDTH)).astype(np.float32)
    answers = network(torch.from_numpy(features))
    outputs = {f"sequence_{name}": a.numpy() for name, a in zip(network.names, answers, strict=True)}
    return {"sequence_features": features, **outputs}


def golden_faces(size: int, channels: int, count: int = 8) -> UInt8:
    """Inputs for the golden outputs: smooth patterns, noise, flat black, grey and white. No picture of anybody."""
    rng = np.random.default_rng(2020)
    y, x = np.mgrid[0:size, 0:size] / size
    faces = np.empty((count, size, size, channels), np.uint8)
    for face in faces:
        for channel in range(channels):
            waves = sum(
                rng.uniform(0.3, 1) * np.sin(2 * np.pi * (fx * x + fy * y) + rng.uniform(0, 2 * np.pi))
                for fx, fy in rng.uniform(-5, 5, (6, 2))
            )
            face[..., channel] = np.clip(128 + 45 * waves + rng.normal(0, 8, (size, size)), 0, 255)
    faces[-3:] = np.array([0, 127, 255], np.uint8)[:, None, None, None]
    return faces


def write_model_folder(
    members: Sequence[MultitaskCNN],
    spec: ModelSpec,
    folder: Path,
    *,
    card: str,
    temporal: Sequence[TemporalHeads] = (),
    overwrite: bool = False,
    half: bool = False,
) -> list[Parity]:
    """Write model.json, frame.onnx, golden.npz and MODEL_CARD.md; over the tolerance nothing is left behind.

    Recurrent parts, one for each member, become temporal.onnx. Where the spec names a ``frame_model``, that model's
    frame.onnx is used, if it is the network of ``members``, and none is written.

    Args:
        spec: without ``files``, which are filled in here.
        card: text of the model card.
        half: store the weights of convolutions and linear layers as float16, which halves the file; they are widened
            again when it is loaded, so all computation stays float32. The golden outputs are those of the rounded
            weights.

    Returns:
        how far ONNX Runtime's outputs are from torch's.

    Raises:
        OutputError: the folder exists, or cannot be written.
        EngineError: the exported graph, or that of the ``frame_model``, does not reproduce torch; or the networks
            answer other labels than the spec has.
        ModelError: there is no model of the name of the ``frame_model``.
    """
    check_folder(folder, overwrite=overwrite, mark=SPEC_NAME, kind="model folder")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        if half:
            members = [rounded_to_half(member) for member in members]
        digests = _write_frame(members, partial, spec, folder, half=half)
        frame = partial / FRAME_NAME if spec.frame_model is None else frame_of(folder, spec)
        arrays = _write_golden(members, temporal, partial, spec)
        parity = compare_golden(partial, arrays, frame=frame, device="cpu")
        over = problems(parity, spec.precision)
        if over:
            raise EngineError(f"the exported graph differs from torch: {'; '.join(over)}")
        (partial / CARD_NAME).write_text(card, encoding="utf-8")
        finished = describe_folder(partial, spec)
        names = (name for name in (GOLDEN_NAME, CARD_NAME, FRAME_NAME, TEMPORAL_NAME) if (partial / name).exists())
        finished = dataclasses.replace(finished, files=digests | {name: sha256(partial / name) for name in names})
        (partial / SPEC_NAME).write_text(finished.to_json(), encoding="utf-8")
        put_in_place(partial, folder)
    logging.getLogger(__name__).info("wrote %s", folder)
    return parity


def _write_frame(
    members: Sequence[MultitaskCNN], partial: Path, spec: ModelSpec, folder: Path, *, half: bool
) -> dict[str, str]:
    """Write frame.onnx; or, where another model's is used, its sha256 by its name, for ``ModelSpec.files``."""
    if spec.frame_model is not None:
        return {FRAME_NAME: sha256(frame_of(folder, spec))}
    write_onnx(members, partial / FRAME_NAME)
    if half:
        store_as_half(partial / FRAME_NAME)
    return {}


def _write_golden(
    members: Sequence[MultitaskCNN], temporal: Sequence[TemporalHeads], partial: Path, spec: ModelSpec
) -> dict[str, Any]:
    """Write golden.npz, and temporal.onnx where there are recurrent heads; the golden arrays."""
    faces = golden_faces(spec.input.size, spec.input.channels)
    arrays: dict[str, Any] = {"faces": faces, **golden_outputs(members, faces)}
    check_outputs(arrays, spec, len(faces))
    if temporal:
        write_temporal_onnx(temporal, partial / TEMPORAL_NAME)
        arrays |= golden_sequence(temporal)
    np.savez_compressed(partial / GOLDEN_NAME, **arrays)
    return arrays

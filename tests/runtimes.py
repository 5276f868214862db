"""The embedded models in every runtime that is here, against ONNX Runtime's and torch's answers; a table of them.

    python tests/runtimes.py [MODEL ...]

`make runtimes` installs onnxruntime-node and OpenCV 4 into .venv/, where they are looked for (and the former in
NODE_PATH, the latter in AFFECTKIT_OPENCV4, a folder for PYTHONPATH).

Of float32 networks the golden inputs are compared with the golden outputs, torch's; a difference is relative to the
largest value of its output. Of int8 networks, whose ranges were found on faces and which no two runtimes round alike,
what is decoded of faces of the sample clip is compared with ONNX Runtime's: shares, valence and arousal as they are,
angles in quarters of a turn.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectkit import models
from affectkit.engines import open_engine
from affectkit.export.readout import expected_answers
from affectkit.export.verify import read_golden
from affectkit.models import ModelFolder

Arrays = dict[str, np.ndarray]
ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "astronaut.mp4"
NODE_MODULES = ROOT / ".venv" / "node" / "node_modules"
OPENCV4 = Path(os.environ.get("AFFECTKIT_OPENCV4") or ROOT / ".venv" / "opencv4")
TOLERANCES = {"fp32": 1e-4, "int8": 5e-2}

NODE = """
const ort = require("onnxruntime-node"), fs = require("fs");
const [model, folder] = process.argv.slice(2);
const asked = JSON.parse(fs.readFileSync(folder + "/asked.json"));
const bytes = fs.readFileSync(folder + "/input.bin");
const data = asked.type === "uint8" ? new Uint8Array(bytes) : new Float32Array(new Uint8Array(bytes).buffer);
ort.InferenceSession.create(model).then(async (session) => {
  const given = {[asked.name]: new ort.Tensor(asked.type, data, asked.dims)};
  const answers = await session.run(given), shapes = {};
  for (const [name, tensor] of Object.entries(answers)) {
    const values = tensor.data;
    shapes[name] = tensor.dims;
    fs.writeFileSync(folder + "/" + name + ".bin", Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  }
  fs.writeFileSync(folder + "/answers.json", JSON.stringify(shapes));
}).catch((error) => { console.error(error); process.exit(1); });
"""


ONE_BY_ONE = """
import sys
import cv2, numpy as np
network, given = cv2.dnn.readNetFromONNX(sys.argv[1]), np.load(sys.argv[2])
(name,) = given.files
names, answers = network.getUnconnectedOutLayersNames(), []
for face in given[name]:
    network.setInput(face[None], name)
    answers.append(network.forward(names))
np.savez(sys.argv[3], **{n: np.concatenate([one[k] for one in answers], axis=1) for k, n in enumerate(names)})
"""


def with_engine(device: str) -> Callable[[Path, Arrays], Arrays]:
    """A runtime that is one of our own devices."""

    def run(path: Path, inputs: Arrays) -> Arrays:
        engine = open_engine(path, device=device, threads=1)
        try:
            return engine.run(inputs)
        finally:
            engine.close()

    return run


def with_opencv(path: Path, inputs: Arrays) -> Arrays:
    """OpenCV's own importer and kernels."""
    network = cv2.dnn.readNetFromONNX(str(path))
    for name, values in inputs.items():
        network.setInput(values, name)
    names = [name for name in network.getUnconnectedOutLayersNames()]
    return dict(zip(names, network.forward(names), strict=True))


def with_opencv4(path: Path, inputs: Arrays) -> Arrays:
    """OpenCV 4 in a process of its own, a face at a time: it takes the batch for one whatever it is."""
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "given.npz", Path(folder) / "answers.npz"
        np.savez(given, **inputs)  # type: ignore[arg-type]  # numpy's stubs take the names for its own options
        command = [sys.executable, "-P", "-c", ONE_BY_ONE, str(path), str(given), str(answers)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(OPENCV4)})
        with np.load(answers) as found:
            return {name: found[name] for name in found.files}


def node_environment() -> dict[str, str]:
    """Where node looks for packages: as it is told, else where `make runtimes` puts them."""
    return {"NODE_PATH": str(NODE_MODULES), **os.environ}


def with_node(path: Path, inputs: Arrays) -> Arrays:
    """onnxruntime-node, in a process of its own."""
    ((name, values),) = inputs.items()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "run.js").write_text(NODE)
        (scratch / "input.bin").write_bytes(np.ascontiguousarray(values).tobytes())
        asked = {"name": name, "type": str(values.dtype), "dims": values.shape}
        (scratch / "asked.json").write_text(json.dumps(asked))
        command = ["node", str(scratch / "run.js"), str(path), folder]
        subprocess.run(command, check=True, capture_output=True, env=node_environment())
        shapes = json.loads((scratch / "answers.json").read_text())
        return {
            output: np.frombuffer((scratch / f"{output}.bin").read_bytes(), np.float32).reshape(shape)
            for output, shape in shapes.items()
        }


def node_is_here() -> bool:
    """Whether node finds onnxruntime-node."""
    if shutil.which("node") is None:
        return False
    command = ["node", "-e", 'require("onnxruntime-node")']
    return subprocess.run(command, capture_output=True, env=node_environment()).returncode == 0


def without_openvino() -> str:
    """Why OpenVINO cannot run here; empty: it can."""
    if not importlib.util.find_spec("onnxruntime_ep_openvino"):
        return "needs the extra openvino"
    processor = Path("/proc/cpuinfo")
    if processor.exists() and "GenuineIntel" not in processor.read_text():
        return "OpenVINO's plug-in for ONNX Runtime offers Intel's processors and GPUs only"
    return ""


RUNTIMES: dict[str, tuple[Callable[[Path, Arrays], Arrays], Callable[[], str]]] = {
    "ONNX Runtime": (with_engine("cpu"), lambda: ""),
    "OpenVINO": (
        with_engine("openvino"),
        without_openvino,
    ),
    "OpenCV dnn": (with_opencv, lambda: "" if int(cv2.__version__.partition(".")[0]) >= 5 else "needs OpenCV 5"),
    "OpenCV 4 dnn": (
        with_opencv4,
        lambda: "" if (OPENCV4 / "cv2").is_dir() else "there is no OpenCV 4 (make runtimes)",
    ),
    "onnxruntime-node": (
        with_node,
        lambda: "" if node_is_here() else "node finds no onnxruntime-node (make runtimes, where npm is)",
    ),
}
"""How each runs a network, and why it cannot here, or nothing."""


def sample_faces(model: ModelFolder, count: int = 8) -> np.ndarray:
    """(N, S, S, C) aligned faces of the sample clip, cut as the model wants them."""
    from affectkit.export.convert import faces_of

    return faces_of(model.path, str(SAMPLE), most=count)


def cases(name: str) -> list[tuple[Path, Arrays, Arrays]]:
    """Networks of a model that are its own, with inputs and the answers that are right."""
    model = models.load(name)
    golden = read_golden(model.golden)
    found: list[tuple[Path, Arrays, Arrays]] = []
    if model.spec.precision == "int8":
        faces = {"faces": sample_faces(model)}
        return [(model.frame_onnx, faces, with_engine("cpu")(model.frame_onnx, faces))]
    if model.spec.frame_model is None:
        want = {name: values for name, values in golden.items() if not name.startswith("sequence_") and name != "faces"}
        found.append((model.frame_onnx, {"faces": golden["faces"]}, want))
    if model.temporal_onnx is not None:
        want = {
            name.removeprefix("sequence_"): values
            for name, values in golden.items()
            if name.startswith("sequence_") and name != "sequence_features"
        }
        found.append((model.temporal_onnx, {"features": golden["sequence_features"]}, want))
    return found


def largest_difference(runtime: str, name: str) -> tuple[float, str]:
    """Of all that is compared, and which output it is."""
    run, _ = RUNTIMES[runtime]
    spec = models.load(name).spec
    worst = (0.0, "")
    for path, inputs, want in cases(name):
        got = run(path, inputs)
        scales = {output: max(float(np.abs(right).max()), 1e-6) for output, right in want.items()}
        if spec.precision == "int8":
            want, got = (
                {key: values for key, values in expected_answers(answers, spec).items() if values.dtype != np.bool_}
                for answers in (want, got)
            )
            scales = {output: 90.0 if output == "pose" else 1.0 for output in want}
        for output, right in want.items():
            away = float(np.abs(got[output] - right).max()) / scales[output]
            worst = max(worst, (away, output))
    return worst


def table(names: Sequence[str]) -> str:
    """Markdown: a row for each model, a column for each runtime that is here."""
    here = [runtime for runtime, (_, lacks) in RUNTIMES.items() if not lacks()]
    lines = ["| model | " + " | ".join(here) + " |", "|---" * (len(here) + 1) + "|"]
    for name in names:
        cells: list[Any] = []
        for runtime in here:
            try:
                away, output = largest_difference(runtime, name)
                cells.append(f"{away:.0e} ({output})" if away else "0")
            except Exception as error:  # what a runtime of others raises
                cells.append(f"cannot read it: {str(error).strip().splitlines()[0][:60]}")
        lines.append(f"| {Path(name).name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1:] or models.embedded_names()))

"""A picture in, what the model says of each of its faces out: a model for the Python backend of NVIDIA's Triton.

`affectkit export --format triton` copies this file into the repository as the model.py of `NAME_pictures`. The server's
Python needs `affectkit[cpu]`, of the version that made the repository. Faces are found, cut out and read out as
everywhere in affectkit; the network is the repository's own model, which batches across requests and runs where the
server runs it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from affectkit import __version__
from affectkit.align import crop_face
from affectkit.errors import AffectKitError, EngineError
from affectkit.face_results import Affect
from affectkit.faces.search import FaceSearch
from affectkit.image_input import as_rgb
from affectkit.inference import Reader
from affectkit.result_stream import in_file
from affectkit.spec import ModelSpec
from affectkit.types import Array, Detection, UInt8
from affectkit.visibility import inside


class TritonPythonModel:
    """What the backend looks for in a model.py, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the detector.

        Args:
            args: as the backend gives them: `model_config` as JSON, `model_repository` (this model's folder),
                `model_version` and others.

        Raises:
            TritonModelException: another affectkit is installed than the repository was made by.
        """
        config = json.loads(args["model_config"])
        asked = {name: value["string_value"] for name, value in config["parameters"].items()}
        if asked["affectkit"] != __version__:
            raise pb_utils.TritonModelException(
                f"this repository was made by affectkit {asked['affectkit']}, and {__version__} is installed; "
                "export it again"
            )
        folder = Path(args["model_repository"]) / args["model_version"]
        self._spec = ModelSpec.from_json((folder / "model.json").read_text(encoding="utf-8"))
        self._network, self._largest_batch = asked["network"], int(asked["largest_batch"])
        self._outputs = [output["name"] for output in config["output"]]
        self._reader = Reader(self._ask, self._spec)
        self._search = FaceSearch(
            "mtcnn",
            device="cpu",
            detect_every=None,
            min_face_px=int(asked["min_face_px"]),
            threads=int(asked["threads"]),
            states_kept=1,
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response for each request; what is wrong with one is the error of that one."""
        return [self._respond(request) for request in requests]

    def finalize(self) -> None:
        """The model is unloaded."""
        self._search.close()

    def _respond(self, request: Any) -> Any:
        try:
            answers = self._answers(*_picture_of(request))
        except (AffectKitError, TypeError, ValueError) as error:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor(name, np.ascontiguousarray(answers[name])) for name in self._outputs]
        )

    def _answers(self, picture: UInt8, reduced: int) -> dict[str, Array]:
        """By output, of N faces (N, ...); what is not told or cannot be seen is NaN.

        Args:
            reduced: how many pixels of the file one of the picture stands for, in each direction.
        """
        faces = self._search.in_picture(picture)
        affects: list[Affect] = []
        spec = self._spec
        features = np.zeros((0, spec.members, len(spec.tasks), spec.feature_width), np.float32)
        if faces:
            crops = np.stack([crop_face(picture, face.landmarks, spec.input) for face in faces])
            shares = [inside(face.landmarks, picture.shape[1], picture.shape[0]) for face in faces]
            outputs = self._reader.ask(crops, faces, inside=np.stack(shares))
            affects = self._reader.read(outputs)
            features = outputs["features"].swapaxes(0, 1)
        return _arrays([in_file(face, reduced) for face in faces], affects, spec) | {"features": features}

    def _ask(self, crops: UInt8) -> dict[str, Array]:
        """What the repository's network says of N crops, (M, N, ...) by output."""
        names = [*self._spec.task_widths, *self._spec.further_widths, "features"]
        parts: list[dict[str, Array]] = []
        for start in range(0, len(crops), self._largest_batch):
            response = pb_utils.InferenceRequest(
                model_name=self._network,
                requested_output_names=names,
                inputs=[pb_utils.Tensor("faces", crops[start : start + self._largest_batch])],
                preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
            ).exec()
            if response.has_error():
                raise EngineError(response.error().message())
            parts.append({name: pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in names})
        return {name: np.concatenate([part[name] for part in parts]).swapaxes(0, 1) for name in names}


def _picture_of(request: Any) -> tuple[UInt8, int]:
    """The RGB picture of a request, and by which whole number it was reduced."""
    picture, file = (pb_utils.get_input_tensor_by_name(request, name) for name in ("picture", "file"))
    if (picture is None) == (file is None):
        raise ValueError("give the picture as pixels, `picture`, or as what a file holds, `file`; one of the two")
    if picture is not None:
        return as_rgb(picture.as_numpy(), bgr=False)
    with tempfile.NamedTemporaryFile(prefix="affectkit-") as scratch:  # what files may be is decided by one gate
        scratch.write(file.as_numpy().tobytes())
        scratch.flush()
        try:
            return as_rgb(scratch.name, bgr=False)
        except AffectKitError as error:
            raise ValueError(str(error).replace(scratch.name, "file")) from error


def _arrays(faces: Sequence[Detection], affects: Sequence[Affect], spec: ModelSpec) -> dict[str, Array]:
    """The values of N faces, by output of the model (`affectkit.export.triton` lists them), but for the features."""
    units = len(spec.au_labels)

    def floats(values: Sequence[Any], *shape: int) -> Array:
        found = [np.full(shape, np.nan) if value is None else value for value in values]
        return np.asarray(found, np.float32).reshape(len(found), *shape)

    return {
        "box": floats([face.box for face in faces], 4),
        "score": floats([face.score for face in faces]),
        "landmarks": floats([face.landmarks for face in faces], 5, 2),
        "expression": floats([a.expression_probabilities for a in affects], len(spec.expression_labels)),
        "au": floats([a.au_probabilities for a in affects], units),
        "au_active": np.asarray([a.au_active for a in affects], np.bool_).reshape(len(affects), units),
        "valence_arousal": floats([(a.valence, a.arousal) for a in affects], 2),
        "intensity": floats([a.au_intensities for a in affects], units),
        "visibility": floats([a.visibility for a in affects], 3),
        "pose": floats([a.pose for a in affects], 3),
        "quality": floats([a.quality for a in affects]),
    }

"""A stand-in for the Python backend of NVIDIA's Triton: what a model.py sees of it, with the models of a repository.

Names, arguments and defaults are those of `src/pb_stub.cc` (its pybind11 module) and `triton_python_backend_utils.py`
in triton-inference-server/python_backend. Requests are checked as the server checks them against config.pbtxt: names,
data types, dimensions, batch; networks are run by ONNX Runtime.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

TYPES = {"TYPE_UINT8": np.uint8, "TYPE_FP32": np.float32, "TYPE_BOOL": np.bool_}


class TritonModelException(Exception):
    """Raised in a model, it is the error of all its requests."""


class TritonError:
    """An error of one request."""

    def __init__(self, message: str, code: int = 1) -> None:
        if not isinstance(message, str):
            raise TypeError("incompatible constructor arguments")
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class Tensor:
    """A named array; as in the backend, its two arguments have no names, and it wants contiguous memory."""

    def __init__(self, name: str, array: np.ndarray, /) -> None:
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise TypeError("incompatible constructor arguments")
        self._name, self._array = name, np.ascontiguousarray(array)

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> np.ndarray:
        return self._array

    def shape(self) -> list[int]:
        return list(self._array.shape)

    def is_cpu(self) -> bool:
        return True


class PreferredMemory:
    def __init__(self, preferred_memory_type: object, preferred_device_id: int = 0) -> None:
        if preferred_memory_type not in ("gpu", "cpu"):
            raise TypeError("incompatible constructor arguments")


class InferenceResponse:
    def __init__(
        self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None, parameters: object = None
    ) -> None:
        if not all(isinstance(tensor, Tensor) for tensor in output_tensors):
            raise TypeError("incompatible constructor arguments")
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


def get_input_tensor_by_name(inference_request: Any, name: str) -> Tensor | None:
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    if inference_response.has_error():  # as the backend's own
        return None
    return next((tensor for tensor in inference_response.output_tensors() if tensor.name() == name), None)


class Server:
    """The models of a repository, as far as a test needs them."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.asked: list[tuple[str, int]] = []
        """Model and batch of every request that one model made of another."""
        self.broken = False
        """Whether networks answer with an error."""
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def config(self, name: str) -> Any:
        """A model's configuration, by the published schema."""
        from google.protobuf import text_format
        from tritonclient.grpc.model_config_pb2 import ModelConfig

        return text_format.Parse((self.repository / name / "config.pbtxt").read_text(), ModelConfig())

    def check(self, name: str, tensors: Sequence[Tensor], listed: Any, *, optional: bool = False) -> None:
        """Refuse tensors that the configuration does not have so."""
        config = self.config(name)
        by_name = {tensor.name(): tensor for tensor in tensors}
        assert by_name.keys() <= {one.name for one in listed}, by_name.keys()
        for one in listed:
            if one.name not in by_name:
                assert optional and one.optional, one.name
                continue
            array = by_name[one.name].as_numpy()
            kind = type(one).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[one.data_type].name
            assert array.dtype == TYPES[kind], (one.name, array.dtype)
            shape = array.shape
            if config.max_batch_size:
                assert 1 <= shape[0] <= config.max_batch_size, (one.name, shape)
                shape = shape[1:]
            assert len(shape) == len(one.dims), (one.name, shape)
            assert all(want in (-1, got) for want, got in zip(one.dims, shape, strict=True)), (one.name, shape)

    def run_network(self, name: str, inputs: Sequence[Tensor], wanted: Sequence[str]) -> InferenceResponse:
        """What a model of the ONNX Runtime backend answers."""
        config = self.config(name)
        assert config.backend == "onnxruntime"
        self.check(name, inputs, config.input)
        assert set(wanted) <= {one.name for one in config.output}
        self.asked.append((name, len(inputs[0].as_numpy())))
        if self.broken:
            return InferenceResponse([], TritonError("out of memory"))
        if name not in self._sessions:
            self._sessions[name] = onnxruntime.InferenceSession(self.repository / name / "1" / "model.onnx")
        answers = self._sessions[name].run(list(wanted), {one.name(): one.as_numpy() for one in inputs})
        return InferenceResponse([Tensor(*pair) for pair in zip(wanted, answers, strict=True)])

    @contextmanager
    def python_model(self, name: str) -> Iterator[Any]:
        """A model of the Python backend, initialised as the backend does it."""
        from google.protobuf import json_format

        config = self.config(name)
        assert config.backend == "python"
        # The backend gives the configuration as the server writes JSON: names as in the schema, all fields.
        text = json.dumps(
            json_format.MessageToDict(
                config, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        )
        before = sys.modules.get("triton_python_backend_utils")
        sys.modules["triton_python_backend_utils"] = self._module()
        try:
            path = self.repository / name / "1" / "model.py"
            found = importlib.util.spec_from_file_location("model", path)
            assert found is not None and found.loader is not None
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
            model = module.TritonPythonModel()
            arguments = {"model_config": text, "model_name": name, "model_version": "1"}
            arguments |= {"model_repository": str(path.parents[1])}
            arguments |= {
                "model_instance_kind": "CPU",
                "model_instance_name": f"{name}_0",
                "model_instance_device_id": "0",
            }
            model.initialize(arguments)
            yield model
            model.finalize()
        finally:
            del sys.modules["triton_python_backend_utils"]
            if before is not None:
                sys.modules["triton_python_backend_utils"] = before

    def ask(self, model: Any, name: str, *requests: dict[str, np.ndarray]) -> list[dict[str, np.ndarray] | str]:
        """What a model of the Python backend answers: arrays by output, or an error's message."""
        config = self.config(name)
        given = []
        for request in requests:
            tensors = [Tensor(key, array) for key, array in request.items()]
            self.check(name, tensors, config.input, optional=True)
            given.append(self._request_class()(inputs=tensors, requested_output_names=[], model_name=name))
        responses = model.execute(given)
        assert len(responses) == len(requests)
        found: list[dict[str, np.ndarray] | str] = []
        for response in responses:
            assert isinstance(response, InferenceResponse)
            if response.has_error():
                found.append(response.error().message())  # type: ignore[union-attr]
                continue
            self.check(name, response.output_tensors(), config.output)
            found.append({one.name(): one.as_numpy() for one in response.output_tensors()})
        return found

    def _request_class(self) -> type:
        server = self

        class InferenceRequest:
            def __init__(
                self,
                request_id: str = "",
                correlation_id: int = 0,
                inputs: Sequence[Tensor] | None = None,
                requested_output_names: Sequence[str] | None = None,
                model_name: str | None = None,
                model_version: int = -1,
                flags: int = 0,
                timeout: int = 0,
                preferred_memory: PreferredMemory | None = None,
                trace: object = None,
                parameters: object = None,
            ) -> None:
                if inputs is None or requested_output_names is None or model_name is None:
                    raise TypeError("incompatible constructor arguments")
                self._inputs, self._wanted, self._name = list(inputs), list(requested_output_names), model_name

            def inputs(self) -> list[Tensor]:
                return self._inputs

            def exec(self, decoupled: bool = False) -> InferenceResponse:
                return server.run_network(self._name, self._inputs, self._wanted)

        return InferenceRequest

    def _module(self) -> types.ModuleType:
        module = types.ModuleType("triton_python_backend_utils")
        for one in (Tensor, TritonError, TritonModelException, PreferredMemory, InferenceResponse):
            setattr(module, one.__name__, one)
        for one in (get_input_tensor_by_name, get_output_tensor_by_name):
            setattr(module, one.__name__, one)
        module.InferenceRequest = self._request_class()  # type: ignore[attr-defined]
        module.TRITONSERVER_MEMORY_CPU, module.TRITONSERVER_MEMORY_GPU = "cpu", "gpu"  # type: ignore[attr-defined]
        return module

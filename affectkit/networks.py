"""A model's networks, opened: what they say of faces that are cut out already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import numpy as np

from affectkit import models
from affectkit.align import fit_aligned
from affectkit.engines import Engine, Profile, open_engine
from affectkit.errors import ModelError
from affectkit.face_results import Affect
from affectkit.inference import FACTS, Reader, aligned_face
from affectkit.options import PredictorConfig, StreamOptions
from affectkit.readout import check_outputs
from affectkit.result_stream import Postprocessing, Waiting
from affectkit.smooth import Smoother
from affectkit.spec import FURTHER, ModelSpec
from affectkit.temporal import TemporalBuffer
from affectkit.thresholds import with_thresholds
from affectkit.types import REGIONS, Array, TrackedFrame, UInt8
from affectkit.windows import WindowConfig, run_sequence


class Networks:
    """The network that looks at single faces, and the one that looks at sequences, where the model has it."""

    def __init__(self, config: PredictorConfig, engine: Engine | None = None) -> None:
        """Load and verify the model, and open its networks.

        Args:
            engine: run this in place of the network that looks at single faces.

        Raises:
            ModelError: the model is missing or damaged.
            MissingDependency: ONNX Runtime is not installed.
            DeviceUnavailable: the device is not there.
        """
        device, threads = config.device, config.threads
        precision = config.precision if engine is None else None
        choice = models.resolve(config.model, temporal=config.temporal, precision=precision, device=device)
        self._model = with_thresholds(models.load_choice(choice), config.au_thresholds)
        self._reader = Reader(self.logits, self._model.spec, prior=config.prior, min_quality=config.min_quality)
        self._batch_size = config.batch_size
        with ExitStack() as opened:  # should the second fail, the first is let go
            self._engine = engine or self._open(self._model.frame_onnx, device, threads)
            opened.callback(self._engine.close)
            recurrent = self._model.temporal_onnx if config.temporal is not False else None
            self._temporal = None if recurrent is None else self._open(recurrent, device, threads)
            opened.pop_all()

    def _open(self, path: Path, device: str, threads: int | None) -> Engine:
        spec = self._model.spec
        frames = spec.temporal.sequence_length if spec.temporal else 1
        profile = Profile(1, min(32, self._batch_size), max(128, self._batch_size), frames)
        weights = spec.files[path.name]
        return open_engine(
            path, device=device, threads=threads, precision=spec.precision, weights=weights, profile=profile
        )

    @property
    def spec(self) -> ModelSpec:
        """What the model expects and what its outputs mean."""
        return self._model.spec

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._engine.device

    @property
    def temporal(self) -> bool:
        """Whether sequences of frames are looked at."""
        return self._temporal is not None

    def logits(self, crops: UInt8) -> dict[str, Array]:
        """What the network says of any number of faces.

        Args:
            crops: (N, S, S, C) uint8 as the spec wants them, N over 0.

        Returns:
            by output name, the members' logits and features, (M, N, ...).
        """
        return _joined([self._run(crops[i : i + self._batch_size]) for i in range(0, len(crops), self._batch_size)])

    def _check_window(self, asked: StreamOptions) -> None:
        """Refuse windows for what looks at single frames; live they mean something where values are smoothed."""
        window = asked.window
        if self._temporal is None and (window == "paper" or (window == "live" and not asked.smooth_s)):
            raise ValueError(
                f"model {self.spec.name!r} looks at single frames, for which there is no window {window!r}; "
                "take a temporal one (temporal=True)"
            )

    def _postprocessing(
        self, asked: StreamOptions, keep_images: bool, on_tracked: Callable[[TrackedFrame], None] | None = None
    ) -> Postprocessing:
        """What makes results of crops, for one more source.

        Raises:
            ValueError: there is nothing to look ahead for.
        """
        spec, buffer, live, smooth_s = self.spec, None, asked.window == "live", asked.smooth_s
        if self._temporal is not None and spec.temporal is not None:
            config = WindowConfig(spec.temporal.sequence_length, asked.window, asked.lookahead, asked.max_gap_s)
            buffer = TemporalBuffer[Waiting](self._temporal.run, config, spec.tasks)
        elif asked.lookahead:
            raise ValueError(f"model {spec.name!r} looks at single frames, so there is nothing to look ahead for")
        smoother = Smoother(smooth_s, spec.label_thresholds, live=live, labels=spec.labels) if smooth_s else None
        return Postprocessing(
            self._reader,
            spec,
            buffer,
            smoother,
            lookahead=asked.lookahead if live else None,
            keep_images=keep_images,
            on_tracked=on_tracked,
            aligned=asked.aligned,
        )

    @overload
    def predict_aligned(self, crops: UInt8) -> list[Affect]: ...

    @overload
    def predict_aligned(self, crops: UInt8, *, return_logits: bool) -> tuple[list[Affect], dict[str, Array]]: ...

    def predict_aligned(
        self, crops: UInt8, *, return_logits: bool = False
    ) -> list[Affect] | tuple[list[Affect], dict[str, Array]]:
        """Faces that are aligned already.

        Args:
            crops: (N, H, W, 3) RGB or (N, H, W, 1) grey uint8; resized to the model's input where they differ.
            return_logits: also return the members' logits: of the tasks that the model has, ``expression`` (M, N, E),
                ``au`` (M, N, A), ``va`` (M, N, 2 * bins), ``intensity`` (M, N, A), ``visibility`` (M, N, 3), labels in
                the order of the spec's lists; ``pose`` (M, N, 3) in degrees; and ``features`` (M, N, K, F) of K tasks.
        """
        affects: list[Affect] = []
        parts: list[dict[str, Array]] = []
        for outputs in self._asked(crops):
            affects += self._reader.read(outputs)
            if return_logits:
                parts.append(outputs)
        if not return_logits:
            return affects
        if not parts:
            raise ValueError("no crops, so there are no logits to return")
        return affects, {name: values for name, values in _joined(parts).items() if name != FACTS}

    def _asked(self, crops: UInt8) -> Iterator[dict[str, Array]]:
        """What the network says of aligned faces, batch by batch, and what is known of them."""
        if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8:
            raise TypeError(
                f"crops must be a numpy array of uint8, got {getattr(crops, 'dtype', type(crops).__name__)}"
            )
        if crops.ndim != 4 or crops.shape[3] not in (1, 3) or 0 in crops.shape[1:]:
            raise ValueError(f"crops must have shape (N, H, W, 3) or (N, H, W, 1), got {crops.shape}")
        fitted = [fit_aligned(crop, self.spec.input, as_it_is=True) for crop in crops]
        face = aligned_face(crops.shape[1], crops.shape[2], self.spec.input)
        for start in range(0, len(fitted), self._batch_size):
            batch = np.stack(fitted[start : start + self._batch_size])
            yield self._reader.ask(batch, [face] * len(batch), aligned=True)

    @overload
    def predict_sequence(self, crops: UInt8) -> list[Affect]: ...

    @overload
    def predict_sequence(self, crops: UInt8, *, return_logits: bool) -> tuple[list[Affect], dict[str, Array]]: ...

    def predict_sequence(
        self, crops: UInt8, *, return_logits: bool = False
    ) -> list[Affect] | tuple[list[Affect], dict[str, Array]]:
        """Consecutive aligned faces of one person, through the model's temporal part.

        The frames are cut into windows of the length that the model was trained with, the last one moved back so that
        it ends on the last frame; a shorter clip is one window.

        Args:
            crops: (N, H, W, 3) RGB or (N, H, W, 1) grey uint8, in the order of time; N >= 1.
            return_logits: also return the members' logits: of the tasks that the model has, ``expression`` (M, N, E),
                ``au`` (M, N, A) and ``va`` (M, N, 2 * bins), labels in the order of the spec's lists.

        Raises:
            ModelError: the model has no temporal part.
        """
        if self._temporal is None or self.spec.temporal is None:
            raise ModelError(
                f"model {self.spec.name!r} has no temporal part: it looks at single frames; use predict_aligned"
            )
        parts = list(self._asked(crops))
        if not parts:
            raise ValueError("no crops, so there is no sequence to look at")
        single = _joined(parts)
        logits = run_sequence(
            self._temporal.run, single["features"], self.spec.temporal.sequence_length, self.spec.tasks
        )
        check_outputs(logits, self.spec, len(crops), recurrent=True)
        affects = self._reader.read(logits | {name: single[name] for name in self._reader.carried})
        return (affects, logits) if return_logits else affects

    def _run(self, crops: UInt8) -> dict[str, Array]:
        outputs = self._engine.run({"faces": crops})
        check_outputs(outputs, self.spec, len(crops))
        return outputs

    def warm_up(self, faces: int | None = None) -> None:
        """Run the network once on black faces, so that the first real ones do not wait for what is prepared then.

        Args:
            faces: number of them; None: a full batch. TensorRT and CUDA prepare again for each number.
        """
        size, channels = self.spec.input.size, self.spec.input.channels
        for _ in range(2):  # the second run of a size is the one that becomes a CUDA graph
            self._run(np.zeros((faces or self._batch_size, size, size, channels), np.uint8))

    def describe(self) -> dict[str, Any]:
        """What answers, ready for JSON: model, checksums, labels, thresholds, device."""
        spec = self.spec
        shares = spec.visibility_thresholds
        visibility = {} if shares is None else {"visibility_thresholds": dict(zip(REGIONS, shares, strict=True))}
        return {
            "model": {
                "name": spec.name,
                "version": spec.version,
                "precision": spec.precision,
                "path": str(self._model.path),
                "sha256": spec.files,
            },
            "labels": {
                "expressions": list(spec.labels.expressions),
                "action_units": list(spec.labels.action_units),
                "valence_arousal": spec.labels.valence_arousal,
                **{name: name in spec.further_widths for name in FURTHER},
            },
            "au_thresholds": spec.thresholds,
            **visibility,
            "prior": self._reader.prior,
            "min_quality": self._reader.min_quality,
            "device": self.device,
            "temporal": self.temporal,
        }

    def close(self) -> None:
        """Free the networks."""
        for engine in (self._engine, self._temporal):
            if engine is not None:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Outputs (M, N, ...) of several batches as those of one; at least one is given."""
    return parts[0] if len(parts) == 1 else {k: np.concatenate([p[k] for p in parts], axis=1) for k in parts[0]}

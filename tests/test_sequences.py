"""The CNN-RNN in training: windows by hand, batches of sequences, learning what a single frame cannot tell."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from patterns import NAN, SMALL, config, faces_with_a_pattern, states_are_equal

from affectkit.errors import ModelError, SourceError
from affectkit.spec import InputSpec
from affectkit.train.augmentation import Augmentation
from affectkit.train.batches import Batching
from affectkit.train.checkpoints import load_network, load_temporal
from affectkit.train.config import TrainConfig
from affectkit.train.datasets.manifest import Row, write_manifest
from affectkit.train.faces import FaceSet, in_videos, join
from affectkit.train.loop import train
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN
from affectkit.train.sequences import plan_sequences, sequence_batches, sequence_logits, videos
from affectkit.windows import paper_windows

Cli = Callable[..., tuple[int, str, str]]
SPEC = InputSpec(16, 1, "tight")
STILL = Augmentation(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)


def clips(lengths: dict[str, int], *, label: Callable[[int], int] = lambda frame: 4) -> FaceSet:
    """Grey videos whose frame i has the brightness i (+ 100 for the second, ...), rows in a shuffled order."""
    rows = [(name, frame, k) for k, (name, count) in enumerate(lengths.items()) for frame in range(count)]
    order = np.random.default_rng(0).permutation(len(rows))
    rows = [rows[i] for i in order]
    index = np.array([label(frame) for _, frame, _ in rows], np.float32)
    count = len(rows)
    return FaceSet(
        names=tuple(f"{name}/{frame}" for name, frame, _ in rows),
        images=tuple(np.full((16, 16), frame + 100 * k, np.uint8) for _, frame, k in rows),
        landmarks=np.full((count, 5, 2), NAN, np.float32),
        expression=index,
        expression_target=np.eye(7, dtype=np.float32)[index.astype(int)],
        au=np.full((count, 8), NAN, np.float32),
        va=np.full((count, 2), NAN, np.float32),
        person=("",) * count,
        video=tuple(name for name, _, _ in rows),
        frame=np.array([2 * frame for _, frame, _ in rows], np.float32),  # every other frame has no face
    )


def test_windows_by_hand() -> None:
    assert paper_windows(5, 32) == [(0, 5)]
    assert paper_windows(32, 32) == [(0, 32)]
    assert paper_windows(33, 32) == [(0, 32), (1, 33)]
    assert paper_windows(64, 32) == [(0, 32), (32, 64)]
    assert paper_windows(70, 32) == [(0, 32), (32, 64), (38, 70)]


def test_videos_are_in_order_of_their_frames() -> None:
    faces = clips({"a": 5, "b": 3})
    found = {faces.video[rows[0]]: faces.frame[rows].tolist() for rows in videos(faces)}
    assert found == {"a": [0, 2, 4, 6, 8], "b": [0, 2, 4]}
    with pytest.raises(SourceError, match="video and frame"):
        videos(faces_with_a_pattern(4))


def test_sequences_are_consecutive_and_short_ones_filled_up() -> None:
    faces = clips({"a": 20, "b": 3})
    for epoch in range(4):
        plan = plan_sequences(faces, Batching(2, 0), epoch, length=8)
        assert len(plan) == 2  # three windows of a and one of b
        for rows in (rows for batch in plan for _, group in batch for rows in group):
            there = rows[rows >= 0]
            assert len({faces.video[i] for i in there}) == 1
            assert (np.diff(faces.frame[there]) == 2).all()
            assert len(there) == (8 if faces.video[there[0]] == "a" else 3)
    first, second = (plan_sequences(faces, Batching(1, 0), epoch, length=8) for epoch in (0, 1))
    assert [r[0][1][0].tolist() for r in first] != [r[0][1][0].tolist() for r in second]


def test_every_frame_of_a_video_is_shown() -> None:
    faces = clips({"a": 20})
    shown = set()
    for epoch in range(3):
        plan = plan_sequences(faces, Batching(1, 0), epoch, length=8)
        assert len(plan) == 4
        shown = {float(faces.frame[i]) for batch in plan for _, group in batch for rows in group for i in rows}
        assert shown == {2.0 * i for i in range(20)}  # from end to end, in each epoch


def test_two_people_are_two_sequences_and_one_frame_is_one_face() -> None:
    """Aff-Wild2: a video with VIDEO_left and VIDEO_right, and a row for each task that labels a frame."""
    one = clips({"v": 3})
    left = dataclasses.replace(one, person=("v_left",) * 3)
    right = dataclasses.replace(one, person=("v_right",) * 3)
    again = dataclasses.replace(
        left,
        expression=np.full(3, NAN, np.float32),
        expression_target=np.full((3, 7), NAN, np.float32),
        au=np.full((3, 8), 0.5, np.float32),
    )
    faces = join([left, right, again])
    merged = in_videos(faces)
    assert len(merged) == 6 and [len(rows) for rows in videos(merged)] == [3, 3]
    assert (merged.expression == 4).all() and (merged.au[:3] == 0.5).all() and np.isnan(merged.au[3:]).all()
    torch.manual_seed(0)
    network = MultitaskCNNRNN(MultitaskCNN(SMALL).eval()).eval()
    logits = sequence_logits(network, faces, SPEC, 8)["au"]
    assert not np.isnan(logits).any()
    assert logits[:3] == pytest.approx(logits[6:])  # the same frames, asked once
    assert logits[:3] == pytest.approx(sequence_logits(network, merged, SPEC, 8)["au"][:3], abs=1e-6)


def test_batches_of_sequences() -> None:
    faces = clips({"a": 20, "b": 3})
    for batch in sequence_batches(faces, SPEC, Batching(4, 0), 0, length=8, how=STILL):
        assert batch.faces.shape == (4, 8, 16, 16, 1) and batch.labels.expression.shape == (32, 7)
        labelled = ~torch.isnan(batch.labels.expression).any(1).reshape(4, 8)
        for sequence, known in zip(batch.faces[:, :, 0, 0, 0].tolist(), labelled, strict=True):
            if sequence[0] >= 100:  # b has 3 frames; the last is repeated, without labels
                assert sequence == [100, 101, 102] + [102] * 5 and known.tolist() == [True] * 3 + [False] * 5
            else:
                assert np.diff(sequence).tolist() == [1] * 7 and known.all()


def test_a_sequence_is_disturbed_as_one() -> None:
    faces = clips({"a": 8})
    same = dataclasses.replace(
        faces, images=(np.random.default_rng(1).integers(0, 256, (16, 16)).astype(np.uint8),) * 8
    )
    batch = next(sequence_batches(same, SPEC, Batching(1, 0), 0, length=8))
    assert all(torch.equal(batch.faces[0, 0], frame) for frame in batch.faces[0])


def test_the_cnn_stays_as_it_is() -> None:
    torch.manual_seed(0)
    cnn = MultitaskCNN(SMALL)
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    network = MultitaskCNNRNN(cnn).train()
    assert not cnn.training and network.heads.training
    outputs = network(torch.randint(0, 256, (2, 4, 16, 16, 1), dtype=torch.uint8))
    assert outputs.expression.shape == (8, 7) and outputs.va.shape == (8, 40) and outputs.features.shape == (8, 3, 128)
    (outputs.expression.sum() + outputs.au.sum() + outputs.va.sum()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in cnn.parameters())
    assert all(p.grad is not None for p in network.heads.parameters())
    assert all(torch.equal(before[name], value) for name, value in cnn.state_dict().items())


def test_sequence_logits_are_those_of_the_windows() -> None:
    """Each frame is answered once, in the order of the rows, by the windows of `paper_windows`."""
    torch.manual_seed(0)
    network = MultitaskCNNRNN(MultitaskCNN(SMALL).eval()).eval()
    faces = clips({"a": 11})
    got = sequence_logits(network, faces, SPEC, 8)
    (rows,) = videos(faces)
    crops = torch.from_numpy(np.stack([faces.image(i)[..., None] for i in rows]))
    with torch.no_grad():
        first, last = network(crops[None, :8]), network(crops[None, 3:])
    want = torch.cat([first.au, last.au[5:]]).numpy()
    assert got["au"][rows] == pytest.approx(want, abs=1e-5)


def reversing(count: int, seed: int) -> FaceSet:
    """Clips of 8 frames of noise; only the first frame shows which expression all of them have."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(count):
        up = bool(rng.random() < 0.5)
        images = []
        for frame in range(8):
            image = rng.integers(0, 60, (16, 16))
            if frame == 0:
                image[: 8 if up else 16] += 120 if up else 0
                image[8:] += 0 if up else 120
            images.append(image.astype(np.uint8))
        parts.append((f"clip{k}", images, 4.0 if up else 5.0))
    index = np.repeat([label for _, _, label in parts], 8).astype(np.float32)
    total = len(index)
    return FaceSet(
        names=tuple(f"{name}/{frame}" for name, images, _ in parts for frame in range(len(images))),
        images=tuple(image for _, images, _ in parts for image in images),
        landmarks=np.full((total, 5, 2), NAN, np.float32),
        expression=index,
        expression_target=np.eye(7, dtype=np.float32)[index.astype(int)],
        au=np.full((total, 8), NAN, np.float32),
        va=np.full((total, 2), NAN, np.float32),
        person=("",) * total,
        video=tuple(name for name, images, _ in parts for _ in images),
        frame=np.tile(np.arange(8, dtype=np.float32), len(parts)),
    )


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("cnn") / "run"
    train(config(epochs=4), faces_with_a_pattern(160), faces_with_a_pattern(60, 1), run)
    return run


def temporal_config(**changes: object) -> TrainConfig:
    return config(**{"sequence_length": 8, "batch_size": 4, "epochs": 6, "learning_rate": 1e-2, "cnn": "x", **changes})


@pytest.mark.slow
def test_memory_tells_what_a_frame_cannot(cnn: Path, tmp_path: Path) -> None:
    network, _ = load_network(cnn / "best.pt")
    report = train(temporal_config(), reversing(60, 0), reversing(20, 1), tmp_path / "run", cnn=network)
    assert report["expression"]["accuracy"] > 0.9  # single frames: one of eight shows anything
    loaded, state = load_temporal(tmp_path / "run" / "best.pt")
    assert state["config"]["sequence_length"] == 8 and state["config"]["cnn"] == "x"
    assert all(torch.equal(a, b) for a, b in zip(loaded.cnn.parameters(), network.parameters(), strict=True))
    with pytest.raises(ModelError, match="is a CNN-RNN, and a CNN is needed"):
        load_network(tmp_path / "run" / "best.pt")
    with pytest.raises(ModelError, match="is a CNN, and a CNN-RNN is needed"):
        load_temporal(cnn / "best.pt")


@pytest.mark.slow
def test_temporal_runs_resume_and_have_students(cnn: Path, tmp_path: Path) -> None:
    network, _ = load_network(cnn / "best.pt")
    data = reversing(16, 0), reversing(8, 1)
    settings = temporal_config(epochs=2)
    train(settings, *data, tmp_path / "whole", cnn=network)

    def interrupt(step: int, steps: int, values: dict[str, float]) -> None:
        if step == steps // 2 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, *data, tmp_path / "broken", cnn=network, on_step=interrupt)
    train(settings, *data, tmp_path / "broken", cnn=network, resume=True)
    assert states_are_equal(tmp_path / "whole" / "last.pt", tmp_path / "broken" / "last.pt")
    teacher, _ = load_temporal(tmp_path / "whole" / "best.pt")
    report = train(settings, *data, tmp_path / "student", cnn=network, teachers=[teacher])
    assert report["count"] == 64
    with pytest.raises(ValueError, match="both a CNN and a sequence length"):
        train(config(), *data, tmp_path / "other", cnn=network)


@pytest.mark.slow
def test_temporal_evaluate_and_predict_from_the_command_line(cnn: Path, tmp_path: Path, run_cli: Cli) -> None:
    rows = []
    for k, faces in enumerate((reversing(6, 0), reversing(3, 1))):
        for i in range(len(faces)):
            video = f"{'dev' if k else 'train'}_{faces.video[i]}"
            path = tmp_path / "crops" / video / f"{int(faces.frame[i]) + 1:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), faces.image(i))
            name = "happiness" if faces.expression[i] == 4 else "sadness"
            split = "dev" if k else "train"
            relative = path.relative_to(tmp_path).as_posix()
            rows.append(Row(relative, "toy", split, video, int(faces.frame[i]), expression=name))
    write_manifest(rows, tmp_path / "m.csv")
    run = tmp_path / "run"
    arguments = ("train", "temporal", "--cnn", cnn, "--manifest", tmp_path / "m.csv", "-o", run, "--epochs", 1)
    code, out, err = run_cli(*arguments, "--sequence-length", 8, "--batch-size", 2, "--optimizer", "adamw")
    assert code == 0 and json.loads(out)["count"] == 24 and "48 faces to train on" in err
    code, out, _ = run_cli("train", "evaluate", "--model", run, "--manifest", tmp_path / "m.csv", "--split", "dev")
    assert code == 0 and json.loads(out)["expression"]["count"] == 24

    code, _, err = run_cli("train", "predict", "--model", run, "--crops", tmp_path / "crops", "-o", tmp_path / "p")
    assert code == 0 and "wrote 9 videos" in err
    lines = (tmp_path / "p" / "EXPR_Set" / "dev_clip0.txt").read_text().splitlines()
    assert lines[0] == "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise" and len(lines) == 9
    assert all(0 <= int(line) <= 6 for line in lines[1:])

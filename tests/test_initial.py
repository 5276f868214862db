"""Runs that start from weights that exist: released checkpoints, the VGG group's ResNet-50, exported models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import SMALL, faces_with_a_pattern
from test_options import SMALL_RUN, manifest

from affectkit.errors import ModelError
from affectkit.export.checkpoints import import_checkpoints
from affectkit.export.runs import export_runs
from affectkit.train.checkpoints import load_checkpoint
from affectkit.train.config import TrainConfig
from affectkit.train.initial import adapted, origins
from affectkit.train.networks import MultitaskCNN, NetworkConfig, PlacedMeans
from affectkit.train.published import backbone_names, published_config, published_names
from affectkit.types import LabelSet

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str, str]]


def as_trained(network: MultitaskCNN) -> None:
    """Batch-norms of which no two are alike."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.uniform_(-0.1, 0.1)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[MultitaskCNN, Path]:
    """A network and its released checkpoint, under the published names and with the prefix of several GPUs."""
    torch.manual_seed(3)
    network = MultitaskCNN(published_config()).eval()
    as_trained(network)
    back = {ours: theirs for theirs, ours in published_names(recurrent=False).items()}
    state = {}
    for name, value in network.state_dict().items():
        module, _, parameter = name.rpartition(".")
        state[f"module.{back[module]}.{parameter}"] = value
    path = tmp_path_factory.mktemp("CNN") / "0.pth"
    torch.save(state, path)
    return network, path


def vgg_file(network: MultitaskCNN, path: Path) -> Path:
    """The backbone as the VGG group publishes it: plain names, no counters, a classifier of eight emotions."""
    back = {ours: theirs for theirs, ours in backbone_names().items()}
    state = {"classifier.weight": torch.zeros(8, 2048, 1, 1), "classifier.bias": torch.zeros(8)}
    for name, value in network.state_dict().items():
        module, _, parameter = name.rpartition(".")
        if module in back and parameter != "num_batches_tracked":
            state[f"{back[module]}.{parameter}"] = value
    torch.save(state, path)
    return path


def test_a_released_checkpoint(released: tuple[MultitaskCNN, Path]) -> None:
    network, path = released
    (found,), (digest,) = origins(str(path), faces_with_a_pattern(4))
    assert len(digest) == 64 and found.config == published_config()
    same = adapted(found, published_config(), path, seed=0).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in network.state_dict().items())


def test_the_vgg_groups_file_fills_the_backbone(released: tuple[MultitaskCNN, Path], tmp_path: Path) -> None:
    network, _ = released
    path = vgg_file(network, tmp_path / "resnet50_ferplus_dag.pth")
    (found,), _ = origins(str(path), faces_with_a_pattern(4))
    filled, given = found.backbone.state_dict(), network.backbone.state_dict()
    assert all(torch.equal(filled[name], value) for name, value in given.items())
    assert not torch.equal(found.heads["au"].classifier.weight, network.heads["au"].classifier.weight)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("conv1_7x7_s2.weight"), "lacks conv1_7x7_s2.weight"),
        (lambda state: state.update({"fc.weight": torch.zeros(2)}), "has the extra fc.weight"),
        (lambda state: state.update({"conv1_7x7_s2.weight": torch.zeros(64, 3, 3, 3)}), "should have shape"),
    ],
)
def test_published_files_are_read_strictly(
    released: tuple[MultitaskCNN, Path], tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], says: str
) -> None:
    path = vgg_file(released[0], tmp_path / "x.pth")
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(ModelError, match=says):
        origins(str(path), faces_with_a_pattern(4))


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ModelError, match="cannot be read as plain weights"):
        origins(str(tmp_path / "empty.pth"), faces_with_a_pattern(4))
    with pytest.raises(ModelError):
        origins(str(tmp_path / "missing.pth"), faces_with_a_pattern(4))


def test_an_imported_folder_trains_again(released: tuple[MultitaskCNN, Path], tmp_path: Path) -> None:
    """`import-checkpoints` folds batch-norm into the convolutions; restored, the network answers as it did."""
    network, path = released
    import_checkpoints([path], tmp_path / "published")
    rng = np.random.default_rng(0)
    pictures = tuple(rng.integers(0, 256, (134, 134, 3)).astype(np.uint8) for _ in range(16))
    faces = dataclasses.replace(faces_with_a_pattern(16), images=pictures)
    (found,), _ = origins(str(tmp_path / "published"), faces)
    assert found.config == dataclasses.replace(published_config(), dropout=found.config.dropout)
    shown = torch.from_numpy(rng.integers(0, 256, (3, 112, 112, 3)).astype(np.uint8))
    with torch.no_grad():
        want, got = network(shown), found.eval()(shown)
    for name in ("expression", "au", "va"):
        scale = float(getattr(want, name).abs().max())
        torch.testing.assert_close(getattr(got, name), getattr(want, name), atol=1e-3 * scale, rtol=1e-3)


@pytest.mark.parametrize("poolings", [1, 3])
def test_a_small_network_of_any_widths_trains_again(tmp_path: Path, poolings: int) -> None:
    torch.manual_seed(5)
    config = dataclasses.replace(SMALL, widths=(8, 16, 24), blocks=(1, 3, 2), dropout=0.1, au_poolings=poolings)
    network = MultitaskCNN(config).eval()
    as_trained(network)
    about = dataclasses.asdict(TrainConfig(network=config))
    fitted = {"au_thresholds": [0.5] * 8, "expression_temperature": 1.0}
    torch.save({"config": about, "network": network.state_dict(), **fitted}, tmp_path / "best.pt")
    export_runs([tmp_path / "best.pt"], tmp_path / "small", name="small", licence="MIT", trained_on=["noise"], card="x")
    faces = faces_with_a_pattern(16)
    (found,), _ = origins(str(tmp_path / "small"), faces)
    assert found.config == config
    shown = torch.from_numpy(np.stack(faces.images)[..., None])
    torch.testing.assert_close(found(shown).au, network(shown).au, atol=1e-4, rtol=1e-3)


def test_rows_of_the_last_layer_follow_the_names() -> None:
    torch.manual_seed(0)
    origin = MultitaskCNN(SMALL)
    labels = LabelSet.of(["neutral", "happiness", "other"], ["AU25", "AU26", "AU01"], valence_arousal=True)
    network = adapted(origin, dataclasses.replace(SMALL, labels=labels), "lite", seed=7)
    torch.manual_seed(7)
    fresh = MultitaskCNN(dataclasses.replace(SMALL, labels=labels))
    for task, ours, theirs in (
        ("au", labels.action_units, LabelSet().action_units),
        ("expression", labels.expressions, LabelSet().expressions),
    ):
        rows, before = network.heads[task].classifier.weight, origin.heads[task].classifier.weight
        for k, name in enumerate(ours):
            want = before[theirs.index(name)] if name in theirs else fresh.heads[task].classifier.weight[k]
            assert torch.equal(rows[k], want), name
    assert torch.equal(network.heads["va"].classifier.weight, origin.heads["va"].classifier.weight)
    assert torch.equal(network.backbone.stem[0].weight, origin.backbone.stem[0].weight)


def test_means_by_place_follow_the_size() -> None:
    """A left half that counts stays the left half in a map of more cells, with the same sum."""
    weight = torch.zeros(4, 4, 2)
    weight[:, :2, 0] = 1 / 16
    weight[..., 1] = 1 / 16
    wide = PlacedMeans.of_another_size(weight.reshape(16, 2), 64).reshape(8, 8, 2)
    torch.testing.assert_close(wide[..., 1], torch.full((8, 8), 1 / 64))
    assert float(wide[:, :3, 0].sum()) == pytest.approx(0.375) and float(wide[:, 5:, 0].abs().max()) == 0
    assert float(wide[..., 0].sum()) == pytest.approx(0.5)
    torch.testing.assert_close(PlacedMeans.of_another_size(weight.reshape(16, 2), 16), weight.reshape(16, 2))
    torch.testing.assert_close(PlacedMeans.of_another_size(weight.reshape(16, 2), 1), torch.tensor([[0.5, 1.0]]))


def test_other_networks_are_refused() -> None:
    origin = MultitaskCNN(SMALL)
    with pytest.raises(ModelError, match=r"is another network .*widths \(8, 8\).*widths \(16, 16\)"):
        adapted(origin, NetworkConfig(size=16, widths=(16, 16), blocks=(1, 1)), "run", seed=0)


def test_a_teacher_starts_from_the_embedded_model_with_labels_of_its_own(tmp_path: Path, run_cli: Cli) -> None:
    rng = np.random.default_rng(0)
    path = manifest(tmp_path, AU12=rng.integers(0, 2, 60), AU26=rng.integers(0, 2, 60))
    arguments = (
        "--manifest",
        path,
        "-o",
        tmp_path / "run",
        "--batch-size",
        8,
        "--epochs",
        1,
        "--learning-rate",
        "1e-6",
    )
    code, _, err = run_cli("train", "teacher", "--init", "lite", *arguments)
    assert code == 0, err
    state = load_checkpoint(tmp_path / "run" / "best.pt")
    network = state["config"]["network"]
    assert network["size"] == 96 and network["labels"]["action_units"] == ("AU12", "AU26")  # lite's faces, our labels
    code, _, err = run_cli("train", "teacher", "--init", "lite", "--manifest", path, "-o", tmp_path / "b", *SMALL_RUN)
    assert code == 0, err  # another size: the weights fit, and it is what was asked for
    code, _, err = run_cli("train", "teacher", "--init", "lite-ensemble", *arguments[:2], "-o", tmp_path / "c")
    assert code == 2 and "5 members" in err

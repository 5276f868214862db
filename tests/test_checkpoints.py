"""Importing the released checkpoints: names, strictness, and the authors' own numbers where they are at hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from affectkit.align import crop_face, face_matrix, fit_aligned
from affectkit.errors import ModelError
from affectkit.export.checkpoints import find_checkpoints
from affectkit.models import load
from affectkit.predictor import Predictor
from affectkit.spec import InputSpec
from affectkit.train.crops import crop_matrix
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN, resnet50_config
from affectkit.train.published import published_names, read_checkpoint

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str, str]]
SPEC = InputSpec(112, 3, "published", margin=112 / 134, aligned_size=134)


@pytest.fixture(scope="module")
def cnn() -> MultitaskCNN:
    torch.manual_seed(0)
    network = MultitaskCNN(resnet50_config())
    for name, buffer in network.named_buffers():  # statistics that matter, unlike the 0 and 1 of a fresh network
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def published(network: MultitaskCNN | MultitaskCNNRNN, *, parallel: bool = False) -> dict[str, Tensor]:
    """The network's weights as its authors' code would have saved them."""
    recurrent = isinstance(network, MultitaskCNNRNN)
    theirs = {here: there for there, here in published_names(recurrent=recurrent).items()}
    renamed = {}
    for name, value in network.state_dict().items():
        module, _, parameter = name.rpartition(".")
        renamed[("module." if parallel else "") + f"{theirs[module]}.{parameter}"] = value
    return renamed


def test_names_are_the_released_ones(cnn: MultitaskCNN) -> None:
    names = published(cnn)
    assert len(names) == 360
    for name, shape in {
        "backbone.model.conv1_7x7_s2.weight": (64, 3, 7, 7),
        "backbone.model.conv3_1_1x1_proj_bn.running_var": (512,),
        "backbone.model.conv5_3_1x1_increase.weight": (2048, 512, 1, 1),
        "classifier.2.fc_1.bias": (40,),
    }.items():
        assert tuple(names[name].shape) == shape
    assert len(published(MultitaskCNNRNN(cnn))) == 390


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("recurrent", [False, True], ids=["CNN", "CNN_RNN"])
def test_a_folder_of_checkpoints_becomes_a_model(
    cnn: MultitaskCNN, tmp_path: Path, run_cli: Cli, recurrent: bool
) -> None:
    torch.manual_seed(1)
    network: MultitaskCNN | MultitaskCNNRNN = MultitaskCNNRNN(cnn).eval() if recurrent else cnn
    (tmp_path / "in").mkdir()
    torch.save(published(network, parallel=True), tmp_path / "in" / "0.pth")
    code, out, err = run_cli("import-checkpoints", tmp_path / "in", "-o", tmp_path / "model")
    assert code == 0 and "1 member ->" in err and "expression" in out
    spec = load(tmp_path / "model").spec
    assert spec.ensemble == "logits" and spec.input == SPEC and "last student only" in spec.au_thresholds_from
    frames = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3)).astype(np.uint8)
    with torch.no_grad():
        want = network(torch.from_numpy(frames)[None] if recurrent else torch.from_numpy(frames))
    with Predictor(tmp_path / "model") as predictor:
        ask = predictor.predict_sequence if recurrent else predictor.predict_aligned
        _, logits = ask(frames, return_logits=True)
        if not recurrent:
            with pytest.raises(ModelError, match="no temporal part"):
                predictor.predict_sequence(frames)
    for name in ("expression", "au", "va"):
        expected = getattr(want, name).numpy()
        assert np.abs(logits[name][0] - expected).max() <= 1e-4 * np.abs(expected).max()
    code, _, err = run_cli("import-checkpoints", tmp_path / "in", "-o", tmp_path / "model")
    assert code == 1 and "exists already" in err


def test_members_are_taken_in_order(tmp_path: Path) -> None:
    for name in ("10", "2", "0"):
        (tmp_path / f"{name}.pth").touch()
    assert [path.stem for path in find_checkpoints(tmp_path)] == ["0", "2", "10"]
    assert find_checkpoints(tmp_path / "2.pth") == [tmp_path / "2.pth"]
    with pytest.raises(ModelError, match="no such file or folder"):
        find_checkpoints(tmp_path / "gone")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("boom",)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"lacks classifier\.0\.fc_1\.bias"),
        ("extra", r"has the extra classifier\.3\.weight and 1 more"),
        ("shape", r"classifier\.0\.fc_1\.bias should have shape \(7,\), got \(8,\)"),
        ("bomb", "nothing else is accepted"),
        ("text", "nothing else is accepted"),
        ("list", "not a state dict"),
        ("mixed", "lacks"),
    ],
)
def test_anything_else_is_refused_by_name(
    cnn: MultitaskCNN, tmp_path: Path, kind: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "0.pth"
    state: dict[str, object] = dict(published(cnn))
    if kind == "missing":
        del state["classifier.0.fc_1.bias"]
    elif kind == "extra":
        state |= {"classifier.3.weight": torch.zeros(1), "classifier.3.zbias": torch.zeros(1)}
    elif kind == "shape":
        state["classifier.0.fc_1.bias"] = torch.zeros(8)
    elif kind == "bomb":
        state = {"classifier.0.fc_1.bias": Bomb()}
    elif kind == "mixed":
        state["backbone.backbone.model.x"] = torch.zeros(1)
    if kind == "text":
        path.write_text("no checkpoint")
    else:
        torch.save([1, 2] if kind == "list" else state, path)
    with pytest.raises(ModelError, match=message):
        read_checkpoint(path)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["CNN", "CNN_RNN"])
def test_the_authors_own_numbers(shared: Path, tmp_path: Path, kind: str, run_cli: Cli) -> None:
    """paper_checkpoint.json: what the published network answers for stand-in weights, members and ensemble."""
    sys.path.insert(0, str(shared / "reference"))
    try:
        from stand_in_weights import fill, frames  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    facts = json.loads((shared / "reference" / "paper_checkpoint.json").read_text())
    seed, members = facts["seed"], facts[kind]["members"]
    (tmp_path / kind).mkdir()
    for k in range(len(members)):
        state = {
            key: torch.from_numpy(np.asarray(fill(key, tuple(shape), 10 * seed + k)))
            for key, shape in facts[kind]["keys"].items()
        }
        torch.save(state, tmp_path / kind / f"{k}.pth")
    assert run_cli("import-checkpoints", tmp_path / kind, "-o", tmp_path / "model")[0] == 0
    faces = frames(facts["frames"], facts["image_size"], seed)
    with Predictor(tmp_path / "model") as predictor:
        ask = predictor.predict_aligned if kind == "CNN" else predictor.predict_sequence
        affects, logits = ask(faces, return_logits=True)
    for k, member in enumerate(members):
        for theirs, ours in (("EXPR", "expression"), ("AU", "au"), ("VA", "va")):
            want = np.array(member["logits"][theirs])
            assert np.abs(logits[ours][k] - want).max() <= 1e-4 * np.abs(want).max()
    ensemble = facts[kind]["ensemble_mean_logits"]
    expression = np.stack([a.expression_probabilities for a in affects])
    assert expression == pytest.approx(np.array(ensemble["expression"]), abs=1e-4)
    assert np.stack([a.au_probabilities for a in affects]) == pytest.approx(np.array(ensemble["au"]), abs=1e-4)
    assert [a.valence for a in affects] == pytest.approx(ensemble["valence"], abs=1e-4)
    assert [a.arousal for a in affects] == pytest.approx(ensemble["arousal"], abs=1e-4)


# --- how their faces are cut ------------------------------------------------------------------------------------------


def test_the_published_cut_by_hand() -> None:
    # Eyes 20 px apart and level, the mouth 30 px under them: the side is 60 px around (50, 55), resized to 134 px, of
    # which the middle 112 are shown.
    points = np.array([[40, 40], [60, 40], [50, 55], [44, 70], [56, 70]], np.float64)
    matrix = face_matrix(points, SPEC)
    scale = 134 / 60
    assert matrix[:, :2] == pytest.approx(scale * np.eye(2))
    assert matrix @ [50, 55, 1] == pytest.approx([55.5, 55.5])
    turned = np.array([[0.0, -1.0], [1.0, 0.0]])  # by 90 degrees: the cut is the same
    spun = points @ turned.T
    assert face_matrix(spun, SPEC) @ np.array([*(turned @ [50, 55]), 1]) == pytest.approx([55.5, 55.5])
    assert face_matrix(spun, SPEC)[:, :2] @ turned == pytest.approx(scale * np.eye(2), abs=1e-5)
    turned_head = points + np.array(
        [[0, 0], [0, 0], [0, 0], [20, 0], [20, 0]]
    )  # the mouth to one side: as high as before
    assert face_matrix(turned_head, SPEC)[0, 0] == pytest.approx(scale)
    with pytest.raises(ValueError, match="eyes coincide"):
        face_matrix(np.ones((5, 2)), SPEC)
    assert crop_face(np.zeros((100, 100, 3), np.uint8), points, SPEC).shape == (112, 112, 3)


def test_aligned_faces_are_resized_to_134_and_cut() -> None:
    ramp = np.tile(np.linspace(0, 255, 268).astype(np.uint8)[None, :, None], (268, 1, 3))
    fitted = fit_aligned(ramp, SPEC)
    assert fitted.shape == (112, 112, 3)
    # 11 of 134 px are cut on each side
    assert fitted[50, 0, 0] == pytest.approx(255 * 11.5 / 134, abs=1.5)
    assert fitted[50, -1, 0] == pytest.approx(255 * 122.5 / 134, abs=1.5)
    whole = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    assert (fit_aligned(whole, SPEC, as_it_is=True) == whole).all()
    # Aff-Wild2's own crops have 112 px, and the published code enlarges and cuts them too.
    cut = fit_aligned(np.ascontiguousarray(ramp[::2, ::2][11:123, 11:123]), SPEC)
    assert cut.shape == (112, 112, 3) and cut[50, 0, 0] == pytest.approx(255 * 20.7 / 134, abs=2)
    matrix = crop_matrix(ramp, np.full((5, 2), np.nan), SPEC)
    assert matrix @ [133.5, 133.5, 1] == pytest.approx([55.5, 55.5])
    assert matrix[0, 0] == pytest.approx(0.5)

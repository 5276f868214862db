"""The losses that a GPU is trained with are those of train/, and disturbed faces keep labels that are true."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))
from disturb_on_gpu import Bank, Disturber, Faces, How, jpeg  # noqa: E402
from train_on_gpu import UNITS, InTurn, Job, losses, network_of, train, uncorrelated, with_poolings  # noqa: E402

from affectkit.train.distill import student_loss  # noqa: E402
from affectkit.train.losses import Labels, further  # noqa: E402
from affectkit.train.networks import MultitaskCNN, NetworkConfig, Outputs  # noqa: E402

pytestmark = pytest.mark.slow

N = 40


def some(rng: np.random.Generator, rows: int, columns: int, *, absent: float = 0.4) -> torch.Tensor:
    """Numbers of 0..1, whole rows of which are unknown."""
    values = rng.random((rows, columns)).astype(np.float32)
    values[rng.random(rows) < absent] = np.nan
    return torch.from_numpy(values)


def faces(rng: np.random.Generator) -> Faces:
    base = rng.integers(0, 256, (N, 128, 128), np.uint8)
    return Faces(
        base=torch.from_numpy(base),
        expression=some(rng, N, 7),
        au=some(rng, N, len(UNITS), absent=0.2),
        intensity=some(rng, N, len(UNITS)),
        va=some(rng, N, 2) * 2 - 1,
        visible=some(rng, N, 3),
        pose=some(rng, N, 3) * 20,
        turn=torch.zeros(N),
        said_expression=some(rng, N, 7),
        said_va=some(rng, N, 40),
        index=some(rng, N, 1)[:, 0],
        rendered=torch.arange(N) % 2 == 0,
    )


def bank() -> Bank:
    """One layer that hides the mouth."""
    alpha = np.zeros((1, 96, 96), np.uint8)
    alpha[:, 60:] = 255
    seen = torch.tensor([[1.0, 1.0, 0.0]])
    return Bank(torch.from_numpy(alpha), torch.zeros(1, 96, 96, dtype=torch.uint8), seen, torch.zeros(1, 96, 96))


STILL = How(**{part.name: 0 for part in dataclasses.fields(How)})


def test_losses_are_those_of_the_package() -> None:
    rng = np.random.default_rng(0)
    job = Job("x", 1.0)
    torch.manual_seed(0)
    out = Outputs(
        torch.randn(N, 7),
        torch.randn(N, 19),
        torch.randn(N, 40),
        torch.randn(N, 3, 128),
        torch.randn(N, 19),
        torch.randn(N, 3),
        torch.randn(N, 3) * 20,
    )
    drawn = faces(rng)
    names = ("expression", "au", "intensity", "va", "visible", "pose", "said_expression", "said_va")
    labels = {name: getattr(drawn, name) for name in names}
    labels["visible"] = torch.nan_to_num(labels["visible"])
    labels["expression"] = labels["expression"] / labels["expression"].sum(1, keepdim=True)
    found = losses(out, labels, job)
    theirs = Labels(*(labels[name] for name in ("expression", "au", "va", "intensity", "visible", "pose")))
    silent = torch.full((N, 19), torch.nan)
    said = Outputs(labels["said_expression"], silent, labels["said_va"], torch.zeros(N, 1, 1))
    wanted = student_loss(
        out,
        said,
        theirs,
        temperature=job.temperature,
        supervised_share=job.supervised_share,
        au_weight=job.au_weight,
        expression_weight=job.expression_weight,
    )
    beside = further(out, theirs)
    for name in ("expression", "au", "va"):
        assert float(found[name]) == pytest.approx(float(wanted[name]), rel=1e-4), name
    for name, weight in (("intensity", 4.0), ("visibility", 1.0), ("pose", 0.5)):
        assert float(found[name]) == pytest.approx(weight * float(beside[name]), rel=1e-4), name
    assert float(found["total"]) == pytest.approx(sum(float(v) for k, v in found.items() if k != "total"), rel=1e-5)


def test_undisturbed_crop_is_the_middle_of_the_square_or_its_mirror_image() -> None:
    rng = np.random.default_rng(1)
    shown = Disturber(faces(rng), bank(), 96, UNITS, 0, STILL)
    rows = torch.arange(N)
    middle = shown.faces.base[:, 16:112, 16:112].float()
    assert torch.equal(shown.clean(rows), middle)
    crops, labels = shown(rows)
    mirrored = (crops - middle.flip(2)).abs().amax((1, 2)) <= 1
    same = (crops - middle).abs().amax((1, 2)) <= 1
    assert bool((mirrored ^ same).all()) and 5 < int(mirrored.sum()) < N - 5
    sign = torch.where(mirrored, -1.0, 1.0)
    pose = shown.faces.pose
    torch.testing.assert_close(
        labels["pose"], torch.stack([pose[:, 0], sign * pose[:, 1], sign * pose[:, 2]], 1), equal_nan=True
    )


def test_what_is_covered_is_not_taught() -> None:
    rng = np.random.default_rng(2)
    shown = Disturber(faces(rng), bank(), 96, UNITS, 0, How(**{**STILL.__dict__, "cover": 1.0}))
    crops, labels = shown(torch.arange(N))
    assert bool((crops[:, 60:] == 0).all()) and bool((labels["visible"][:, 2] == 0).all())
    mouth, brow = UNITS.index("AU12"), UNITS.index("AU01")
    assert bool(torch.isnan(labels["au"][:, mouth]).all())
    clear = labels["visible"][:, 0] >= 0.35
    torch.testing.assert_close(labels["au"][clear, brow], shown.faces.au[clear, brow], equal_nan=True)


def test_a_hand_is_as_bright_as_its_face() -> None:
    """The bank's layers have a brightness of their own, so that a face could be told from its own hand by that."""
    rng = np.random.default_rng(6)
    given, drawn = faces(rng), bank()
    drawn.colour.fill_(250)
    for share, near in ((0.0, 0), (1.0, N)):
        shown = Disturber(given, drawn, 96, UNITS, 0, How(**{**STILL.__dict__, "cover": 1.0, "same_tone": share}))
        crops, _ = shown(torch.arange(N))
        face = given.base[:, 54:73, 54:73].float().mean((1, 2))
        over = crops[:, 70:].mean((1, 2))
        assert int(((over / face - 1).abs() < 0.17).sum()) == near, over


def test_faces_on_their_head_and_no_faces_teach_invisibility_alone() -> None:
    rng = np.random.default_rng(3)
    for name in ("turn", "elsewhere"):
        shown = Disturber(faces(rng), bank(), 96, UNITS, 0, How(**{**STILL.__dict__, name: 1.0}))
        _, labels = shown(torch.arange(N))
        assert bool((labels["visible"] == 0).all())
        for unknown in ("expression", "au", "intensity", "va", "pose", "said_expression", "said_va"):
            assert bool(torch.isnan(labels[unknown]).all()), (name, unknown)


def test_jpeg_is_near_what_opencv_writes() -> None:
    cv2 = pytest.importorskip("cv2")
    y, x = np.mgrid[0:64, 0:64]
    picture = np.clip(128 + 80 * np.sin(x / 5) * np.cos(y / 7) + 20 * (x > 40), 0, 255).astype(np.uint8)
    for quality in (25, 60, 85):
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        wanted = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(float)
        found = jpeg(torch.from_numpy(picture)[None].float(), torch.tensor([float(quality)]))[0].numpy()
        assert np.abs(found - wanted).mean() < 0.6, quality
        assert np.abs(picture - wanted).mean() > 0.6 or quality > 80


def test_uncorrelated_by_hand() -> None:
    """Two units; of the first only three of four faces are known, and they are in order."""
    logits = torch.logit(torch.tensor([[0.1, 0.2], [0.2, 0.4], [0.3, 0.4], [0.9, 0.2]]))
    target = torch.tensor([[0.2, 1.0], [0.4, 0.0], [0.6, 0.0], [torch.nan, 1.0]])
    assert float(uncorrelated(logits, target)) == pytest.approx((0 + 2) / 2, abs=1e-3)


def test_every_row_comes_before_any_comes_again() -> None:
    torch.manual_seed(0)
    drawn = InTurn(torch.arange(5, 15))
    rows = torch.cat([drawn(4) for _ in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(5, 15))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_means_by_place_start_without_a_say_and_get_one() -> None:
    torch.manual_seed(1)
    origin = MultitaskCNN(NetworkConfig(size=32, widths=(8, 8), blocks=(1, 1))).eval()
    network = with_poolings(origin, 3).eval()
    shown = torch.randint(0, 256, (4, 32, 32, 1), dtype=torch.uint8)
    torch.testing.assert_close(network(shown).au, origin(shown).au)
    torch.testing.assert_close(network(shown).expression, origin(shown).expression)
    with torch.no_grad():
        network.heads["au"].feature[1].weight[:, 8:] = 1.0
        place, plain = (answer(shown).au - answer(shown.flip(2)).au for answer in (network, origin))
    assert float(place.abs().max()) > 1.5 * float(plain.abs().max()), "where something is makes a difference now"


def test_a_job_goes_on_from_a_model_and_leaves_its_first_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    drawn = faces(rng)
    drawn.index = torch.where(torch.arange(N) % 4 < 2, 0.0, 4.0)
    drawn.visible, drawn.au, drawn.va = torch.ones(N, 3), torch.rand(N, 19), torch.rand(N, 2)
    drawn.intensity = drawn.au.clone()
    options = {
        "init": "lite",
        "au_poolings": 2,
        "frozen": ("backbone.stem", "backbone.stages.0"),
        "correlation": 1.0,
        "batch": 16,
        "steps": 2,
    }
    job = Job("further", 1.0, learning_rate=1e-2, warmup_steps=1, largest_gradient=5.0, **options)
    before = network_of(job, drawn, bank(), tmp_path)
    train(job, drawn, drawn, torch.tensor([1]), bank(), tmp_path)
    start = torch.load(tmp_path / "further-start" / "best.pt", weights_only=True)["network"]
    assert all(torch.equal(value, start[name]) for name, value in before.state_dict().items())
    saved = torch.load(tmp_path / "further" / "best.pt", weights_only=True)
    kept = [name for name in saved["network"] if name.startswith(("backbone.stem.", "backbone.stages.0."))]
    assert kept and saved["config"]["network"]["au_poolings"] == before.config.au_poolings > 1
    state = before.state_dict()
    for name, value in saved["network"].items():
        same = bool(torch.equal(value, state[name]))
        assert same or name not in kept, f"{name} must stay"
        assert not same or name in kept or "num_batches" in name, f"{name} must move"

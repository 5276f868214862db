"""Train networks of `lite`'s kind on one GPU, as train_lite.py does on CPU cores, a hundred times as fast.

Without a GPU it trains on the CPU's cores, which is enough to train an existing network further (``init``).

    python scripts/train_on_gpu.py PACKED OUT jobs.json

PACKED is what scripts/pack_for_gpu.py wrote, jobs.json a list of objects with the fields of ``Job``; each trains for
its number of seconds and leaves OUT/NAME/best.pt, a checkpoint as those of `affectkit train`. The loss is that of
students (train/distill.py) with the answers beside (train/losses.py), written with masks instead of chosen rows, for a
GPU must not wait for the number of rows: tests/test_train_on_gpu.py holds the two against each other.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from disturb_on_gpu import Bank, Disturber, Faces, How
from torch import Tensor, nn
from torch.nn import functional as F

from affectkit import models
from affectkit.train.checkpoints import load_network
from affectkit.train.config import TrainConfig, network_from_dict
from affectkit.train.distill import kl
from affectkit.train.losses import decode_va, va_bin
from affectkit.train.networks import CONFIGS, MultitaskCNN, NetworkConfig, Outputs, multiply_adds
from affectkit.train.occlusion import HIDDEN
from affectkit.train.restore import MEASURED_ON, restore
from affectkit.types import EXPRESSION_NAMES, LabelSet

UNITS = tuple(f"AU{k:02d}" for k in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 43))
EIGHT = ("AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25")


@dataclass(frozen=True)
class Job:
    """One network."""

    name: str
    seconds: float
    size: int = 96
    widths: tuple[int, ...] = (16, 32, 64, 160)
    blocks: tuple[int, ...] = (1, 2, 4, 2)
    rendered_only: bool = False
    """No photograph is shown, and valence and arousal are not answered: nothing says them of a rendering."""
    init: str = ""
    """Another job, or a model's name or folder, whose network it starts from, whatever ``widths`` says."""
    au_poolings: int = 1
    """See ``NetworkConfig``; where ``init`` has the plain mean alone, the others start without a say."""
    frozen: tuple[str, ...] = ()
    """Parts that stay as they are, by their names in the network: ``backbone.stem``, ``heads.au`` ..."""
    correlation: float = 0.0
    """Weight of a further loss: 1 - Pearson of the intensities of a batch, the mean over the units."""
    photographs: float = 0.45
    """Share of a batch."""
    how: dict[str, float] = field(default_factory=dict)
    """What of ``How`` is other than there: {"cover": 0.5} lays something over every second face."""
    coded_times: int = 6
    batch: int = 1024
    learning_rate: float = 3e-3
    warmup_steps: int = 400
    weight_decay: float = 0.05
    ema: float = 0.9995
    largest_gradient: float = math.inf
    au_weight: float = 14.0
    expression_weight: float = 2.0
    supervised_share: float = 0.4
    temperature: float = 1.5
    dropout: float = 0.1
    compile: bool = False
    report_seconds: float = 60.0
    steps: int = 0
    """Instead of ``seconds``, where it is not 0."""
    seed: int = 1


def read(folder: Path, device: torch.device) -> tuple[Faces, Faces, Tensor, Bank]:
    """Faces to train on, those of the dev part, the rows of those coded by eye, and what is laid over faces."""
    photographs = np.load(folder / "photos.npz")
    parts = []
    for part in ("train", "dev"):
        found = [_photographs(photographs, part)]
        found += [_renderings(np.load(file)) for file in sorted(folder.glob(f"rendered-{part}-*.npz"))]
        joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        parts.append(Faces(**{name: torch.from_numpy(values).to(device) for name, values in joined.items()}))
    bank = np.load(folder / "bank.npz")
    drawn = Bank(**{name: torch.from_numpy(bank[name]).to(device) for name in bank.files})
    return parts[0], parts[1], torch.from_numpy(photographs["coded"]).to(device), drawn


def _unknown(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), np.nan, np.float32)


def _photographs(stored: Any, part: str) -> dict[str, np.ndarray]:
    lengths = stored[f"{part}_len"]
    n, a = len(lengths), len(UNITS)
    return {
        "base": _decoded(stored[f"{part}_blob"], lengths),
        "expression": stored[f"{part}_expression"],
        "au": stored[f"{part}_au"].astype(np.float32),
        "intensity": _unknown(n, a),
        "va": stored[f"{part}_va"],
        "visible": _unknown(n, 3),
        "pose": _unknown(n, 3),
        "turn": np.zeros(n, np.float32),
        "said_expression": _unknown(n, 7),
        "said_va": _unknown(n, 40),
        "index": stored[f"{part}_index"],
        "rendered": np.zeros(n, bool),
    }


def _renderings(stored: Any) -> dict[str, np.ndarray]:
    n, units = len(stored["len"]), stored["au"].astype(np.float32)
    return {
        "base": _decoded(stored["blob"], stored["len"]),
        "expression": stored["expression"],
        "au": units,
        "intensity": units,
        "va": _unknown(n, 2),
        "visible": stored["visible"].astype(np.float32),
        "pose": stored["pose"],
        "turn": stored["turn"],
        "said_expression": _unknown(n, 7),
        "said_va": _unknown(n, 40),
        "index": stored["index"],
        "rendered": np.ones(n, bool),
    }


def _decoded(blob: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N, S, S) of files one behind another."""
    ends = np.cumsum(lengths)

    def decoded(k: int) -> np.ndarray:
        return np.asarray(cv2.imdecode(blob[ends[k] - lengths[k] : ends[k]], cv2.IMREAD_GRAYSCALE), np.uint8)

    out = np.empty((len(lengths), *decoded(0).shape), np.uint8)

    def one(k: int) -> None:
        out[k] = decoded(k)

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(len(lengths)), chunksize=256))
    return out


def networks(path: Path, device: torch.device) -> list[MultitaskCNN]:
    """Of a file with ``config`` and ``members``, a list of weights."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    found = []
    for weights in state["members"]:
        network = MultitaskCNN(network_from_dict(state["config"]))
        network.load_state_dict({k: v.float() if v.dtype.is_floating_point else v for k, v in weights.items()})
        found.append(network.to(device).eval())
    return found


@torch.no_grad()
def ask(teachers: list[list[MultitaskCNN]], faces: Faces, bank: Bank) -> None:
    """Write down what teachers say of the photographs and their mirror images: the mean of the probabilities.

    Each teacher has one voice, however many networks it is of.
    """
    views = [Disturber(faces, bank, members[0].config.size, UNITS, 0) for members in teachers]
    for rows in torch.nonzero(~faces.rendered)[:, 0].split(1024):
        named, felt = [], []
        for members, shown in zip(teachers, views, strict=True):
            crops = shown.clean(rows)[..., None]
            answers = [network(face) for network in members for face in (crops, crops.flip(2))]
            named.append(torch.stack([torch.softmax(one.expression.float(), 1) for one in answers]).mean(0))
            bins = [torch.softmax(one.va.float().unflatten(1, (2, 20)), 2).flatten(1) for one in answers]
            felt.append(torch.stack(bins).mean(0))
        faces.said_expression[rows] = torch.stack(named).mean(0).clamp_min(1e-8).log()
        faces.said_va[rows] = torch.stack(felt).mean(0).clamp_min(1e-8).log()


def mean_where(loss: Tensor, mask: Tensor) -> Tensor:
    """Mean over the entries of a mask, 0 where it has none."""
    return torch.where(mask, loss, torch.zeros_like(loss)).sum() / mask.sum().clamp(min=1)


def concordance(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """CCC (Lin, Biometrics 1989) of the entries of a mask."""
    w, n = mask.float(), mask.sum().clamp(min=1)
    mean_x, mean_y = (x * w).sum() / n, (y * w).sum() / n
    covariance = ((x - mean_x) * (y - mean_y) * w).sum() / n
    spread = (((x - mean_x) ** 2 + (y - mean_y) ** 2) * w).sum() / n + (mean_x - mean_y) ** 2
    return 2 * covariance / (spread + 1e-8)


def uncorrelated(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Pearson of (N, A) intensities with those that are known, the mean over the units."""
    w = (~torch.isnan(target)).float()
    count = w.sum(0).clamp(min=1)
    p, t = ((x - (x * w).sum(0) / count) * w for x in (torch.sigmoid(logits), torch.nan_to_num(target)))
    return (1 - (p * t).sum(0) / torch.sqrt((p * p).sum(0) * (t * t).sum(0) + 1e-6)).mean()


def losses(out: Outputs, labels: dict[str, Tensor], job: Job) -> dict[str, Tensor]:
    """Those of ``distill.student_loss`` and ``losses.further``, weighted as train/loop.py does, and their ``total``."""

    def shared(known: Tensor, taught: Tensor) -> Tensor:
        """Of each face the share that its label takes."""
        return known.float() * torch.where(taught, job.supervised_share, 1.0)

    def binary(logits: Tensor, target: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(target), reduction="none")
        return mean_where(loss, ~torch.isnan(target))

    known = ~torch.isnan(labels["expression"]).any(1)
    taught = ~torch.isnan(labels["said_expression"]).any(1)
    cross = -(torch.nan_to_num(labels["expression"]) * F.log_softmax(out.expression.float(), 1)).sum(1)
    distilled = kl(out.expression.float(), torch.nan_to_num(labels["said_expression"]), job.temperature)
    share = shared(known, taught)
    named = (torch.where(taught, distilled, 0.0) * (1 - share)).mean()
    named = named + share.mean() * job.expression_weight * mean_where(cross, known)
    units = (~torch.isnan(labels["au"])).float().mean() * job.au_weight * binary(out.au, labels["au"])
    turned = F.smooth_l1_loss(out.pose.float() / 10, torch.nan_to_num(labels["pose"]) / 10, reduction="none")
    parts = {
        "expression": named / 3,
        "au": units / 3,
        "va": _va_loss(out.va.float(), labels, job, shared) / 3 if out.va.shape[1] else named * 0,
        "intensity": 4 * binary(out.intensity, labels["intensity"]),
        "visibility": binary(out.visibility, labels["visible"]),
        "pose": 0.5 * mean_where(turned, ~torch.isnan(labels["pose"])),
    }
    if job.correlation:
        parts["correlation"] = job.correlation * uncorrelated(out.intensity.float(), labels["intensity"])
    parts["total"] = torch.stack(list(parts.values())).sum()
    return parts


def _va_loss(logits: Tensor, labels: dict[str, Tensor], job: Job, shared: Any) -> Tensor:
    known = ~torch.isnan(labels["va"]).any(1)
    taught = ~torch.isnan(labels["said_va"]).any(1)
    target, value = torch.nan_to_num(labels["va"]), decode_va(logits)
    supervised = logits.new_zeros(())
    for k in range(2):
        bins = F.cross_entropy(logits[:, 20 * k : 20 * k + 20], va_bin(target[:, k], 20), reduction="none")
        supervised = supervised + 1 - concordance(value[:, k], target[:, k], known) + mean_where(bins, known)
    ours, theirs = (one.unflatten(1, (2, 20)) for one in (logits, torch.nan_to_num(labels["said_va"])))
    distilled = kl(ours, theirs, job.temperature).sum(1)
    share = shared(known, taught)
    return (torch.where(taught, distilled, 0.0) * (1 - share)).mean() + share.mean() * supervised


@torch.no_grad()
def measure(network: nn.Module, dev: Faces, shown: Disturber) -> dict[str, Any]:
    """How right a network is on the dev part, undisturbed: people for expression, renderings for the rest."""
    network.eval()
    got = []
    names = ("expression", "va", "intensity", "visibility", "pose")
    for rows in torch.arange(len(dev.base), device=dev.base.device).split(1024):
        with torch.autocast(dev.base.device.type, torch.bfloat16):
            out = network(shown.clean(rows)[..., None])
        got.append([getattr(out, name).float() for name in names])
    expression, va, intensity, visibility, pose = (torch.cat(one) for one in zip(*got, strict=True))
    network.train()
    people, said = ~dev.rendered & ~torch.isnan(dev.index), expression.argmax(1)
    prototypes = dev.rendered & ~torch.isnan(dev.index)
    found: dict[str, Any] = {
        "accuracy": _rounded((said[people] == dev.index[people]).float().mean()),
        "macro_f1": _rounded(torch.stack([_f1(said[people] == k, dev.index[people] == k) for k in range(7)]).mean()),
        "prototypes": _rounded((said[prototypes] == dev.index[prototypes]).float().mean()),
    }
    if va.shape[1]:
        felt, value = ~dev.rendered & ~torch.isnan(dev.va).any(1), decode_va(va)
        found["ccc"] = [_rounded(concordance(value[:, k], torch.nan_to_num(dev.va[:, k]), felt)) for k in range(2)]
    hidden = dev.rendered[:, None] & (dev.visible < HIDDEN)
    found["hidden"] = [_rounded((visibility[hidden[:, k], k] < 0).float().mean()) for k in range(3)]
    found["pose"] = [_rounded((pose[dev.rendered, k] - dev.pose[dev.rendered, k]).abs().mean()) for k in range(2)]
    clear = dev.rendered & (dev.visible > 0.5).all(1)
    pairs = torch.sigmoid(intensity[clear]), dev.intensity[clear]
    pearson = {u: _rounded(torch.corrcoef(torch.stack([p[:, k] for p in pairs]))[0, 1]) for k, u in enumerate(UNITS)}
    means = {"eight": np.mean([pearson[u] for u in EIGHT]), "all": np.mean([*pearson.values()])}
    return found | {"pearson": pearson} | {name: round(float(value), 4) for name, value in means.items()}


def _f1(answer: Tensor, truth: Tensor) -> Tensor:
    return 2 * (answer & truth).sum() / (answer.sum() + truth.sum()).clamp(min=1)


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)


def train(job: Job, faces: Faces, dev: Faces, coded: Tensor, bank: Bank, out: Path) -> None:
    """Train one network; a cosine over its time decides the learning rate."""
    device = faces.base.device
    torch.manual_seed(job.seed)
    network = network_of(job, faces, bank, out)
    config = network.config
    size = sum(p.numel() for p in network.parameters())
    print(f"{job.name}: {multiply_adds(network) / 1e6:.1f} M multiply-adds, {size / 1e6:.3f} M parameters", flush=True)
    network = network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name in job.frozen:
        network.get_submodule(name).requires_grad_(False).eval()
    average = copy.deepcopy(network).eval()
    if job.init:  # an average of where it began and where it ended is often better than both
        save(average, config, dataclasses.replace(job, name=f"{job.name}-start"), out, 0, {})
    kept, new = ([t for t in n.state_dict().values() if t.dtype.is_floating_point] for n in (average, network))
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed, rest = ([p for p in trained if (p.ndim > 1) == many] for many in (True, False))
    groups = [{"params": decayed, "weight_decay": job.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=job.learning_rate, betas=(0.9, 0.999), fused=device.type == "cuda")
    how = How(**job.how)
    shown, shown_dev = (Disturber(part, bank, job.size, UNITS, job.seed, how) for part in (faces, dev))
    photographs = torch.cat([torch.nonzero(~faces.rendered)[:, 0], coded.repeat(job.coded_times - 1)])
    rendered, photographs = InTurn(torch.nonzero(faces.rendered)[:, 0]), InTurn(photographs)
    real = 0 if job.rendered_only else int(job.batch * job.photographs)
    stepped = torch.compile(network) if job.compile else network
    start, step, reported, before = time.monotonic(), 0, 0.0, 0.0
    while (progress := step / job.steps if job.steps else (time.monotonic() - start) / job.seconds) < 1:
        rate = job.learning_rate * 0.5 * (1 + math.cos(math.pi * progress)) * min(1, (step + 1) / job.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = torch.cat([rendered(job.batch - real), photographs(real)])
        with torch.no_grad():
            crops, target = shown(rows)
        with torch.autocast(device.type, torch.bfloat16):
            answer = stepped(crops[..., None])
        parts = losses(answer, target, job)
        optimizer.zero_grad(set_to_none=True)
        parts["total"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, job.largest_gradient)
        optimizer.step()
        step += 1
        torch._foreach_lerp_(kept, new, 1 - min(job.ema, (1 + step) / (10 + step)))
        if step % 200 == 0:
            told = " ".join(f"{name} {float(value):.3f}" for name, value in parts.items())  # waits for the device
            now = time.monotonic() - start
            print(
                f"{job.name} step {step}, {now:.1f} s, {200 * job.batch / (now - before):.0f} a second: {told}",
                flush=True,
            )
            before = now
            if now - reported > job.report_seconds:
                reported = now
                print(json.dumps(measure(average, dev, shown_dev)), flush=True)
                save(average, config, job, out, step, {})
                before = time.monotonic() - start
    found = measure(average, dev, shown_dev)
    print(f"{job.name} END after {step} steps, {time.monotonic() - start:.0f} s: {json.dumps(found)}", flush=True)
    save(average, config, job, out, step, found)


class InTurn:
    """Rows in an order by lot, all of them before any comes again."""

    def __init__(self, rows: Tensor) -> None:
        self._rows, self._order = rows, rows[:0]

    def __call__(self, count: int) -> Tensor:
        while len(self._order) < count:
            again = self._rows[torch.randperm(len(self._rows), device=self._rows.device)]
            self._order = torch.cat([self._order, again])
        found, self._order = self._order[:count], self._order[count:]
        return found


def network_of(job: Job, faces: Faces, bank: Bank, out: Path) -> MultitaskCNN:
    """The network of a job, fresh or as ``init`` has it."""
    beside = {"intensity": True, "visibility": True, "pose": True}
    labels = LabelSet(EXPRESSION_NAMES, UNITS, not job.rendered_only, **beside)
    shape = {"size": job.size, "widths": job.widths, "blocks": job.blocks, "au_poolings": job.au_poolings}
    config = dataclasses.replace(CONFIGS["lite"], **shape, labels=labels, dropout=job.dropout, **beside)
    if not job.init:
        return MultitaskCNN(config)
    earlier = out / job.init
    if earlier.is_dir():
        origin = load_network(earlier / "best.pt")[0]
    else:
        model = models.load(job.init)
        shown = Disturber(faces, bank, model.spec.input.size, UNITS, 0)
        rows = torch.randperm(len(faces.base), device=faces.base.device)[:MEASURED_ON]
        origin = restore(model, shown.clean(rows).to(torch.uint8)[..., None].cpu().numpy())[0]
    return with_poolings(origin, job.au_poolings)


def with_poolings(origin: MultitaskCNN, count: int) -> MultitaskCNN:
    """A network that answers as ``origin`` and can learn to look by place; itself where it can already."""
    if count == 1 or origin.config.au_poolings > 1:
        return origin
    network = MultitaskCNN(dataclasses.replace(origin.config, au_poolings=count))
    theirs, ours = origin.state_dict(), network.state_dict()
    width = origin.backbone.width
    for name, fresh in ours.items():
        given = theirs.get(name)
        if given is not None and given.shape == fresh.shape:
            ours[name] = given
        elif given is not None and name.startswith("heads.au.feature.0."):  # of each channel, the plain mean's
            ours[name] = torch.cat([given, given.repeat_interleave(count - 1)])
        elif given is not None:
            fresh.zero_()[:, :width] = given
    network.load_state_dict(ours)
    return network


def save(network: nn.Module, config: NetworkConfig, job: Job, out: Path, step: int, found: dict[str, Any]) -> None:
    """Write a checkpoint that `affectkit train`'s commands read."""
    about = TrainConfig(
        network=config,
        epochs=1,
        batch_size=job.batch,
        optimizer="adamw",
        betas=(0.9, 0.999),
        weight_decay=job.weight_decay,
        learning_rate=job.learning_rate,
        schedule="cosine",
        warmup_steps=job.warmup_steps,
        ema=job.ema,
        au_weight=job.au_weight,
        expression_weight=job.expression_weight,
        supervised_share=job.supervised_share,
        temperature=job.temperature,
        bf16=True,
        seed=job.seed,
    )
    weights = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    (out / job.name).mkdir(parents=True, exist_ok=True)
    state = {"config": dataclasses.asdict(about), "network": weights, "step": step, "dev": found}
    torch.save(state, out / job.name / "best.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("jobs", type=Path)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    start = time.monotonic()
    faces, dev, coded, bank = read(given.packed, device)
    print(
        f"{len(faces.base)} faces, {int(faces.rendered.sum())} of them rendered, {len(dev.base)} in the dev part",
        flush=True,
    )
    if teachers := [networks(file, device) for file in sorted((given.packed / "teachers").glob("*.pt"))]:
        ask(teachers, faces, bank)
    print(f"read in {time.monotonic() - start:.0f} s, {device}", flush=True)
    for values in json.loads(given.jobs.read_text()):
        train(
            Job(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}),
            faces,
            dev,
            coded,
            bank,
            given.out,
        )


if __name__ == "__main__":
    main()

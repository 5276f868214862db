"""``affectkit train status``: what a run is, how far it is, what it has reached, and what to do next."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from affectkit.train.journal import headlines
from affectkit.train.run_folder import (
    CHECKPOINT_NAME,
    RunFolder,
    in_words,
    now,
    process_began,
    read_run,
    runs_in,
    seconds,
)

TASK_TITLES = {"expression": "expression", "au": "action units", "va": "valence/arousal"}

_TASK_OF = {"expression": "expression", "AU": "au", "valence": "va", "arousal": "va"}
"""The task of a headline, by its first word."""


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"runs": [...]}.')
def status(runs: tuple[Path, ...], as_json: bool) -> None:
    """Say what a run is, how far it is, its best scores, the command that began it, and what to do next.

    RUN is the output folder of `teacher`, `students` (all of them), `temporal`, `synthetic` or `average`; it may still
    be running.
    """
    found = [describe(read_run(folder)) for run in runs for folder in runs_in(run)]
    if as_json:
        click.echo(json.dumps({"runs": _finite(found)}, indent=2, allow_nan=False))
    else:
        click.echo("\n\n".join(text(one) for one in found))


def describe(run: RunFolder) -> dict[str, Any]:
    """Everything that ``status`` says of a run, for a program; what is not known is null."""
    state, sentence = run.life()
    labels = run.labels
    return {
        "run": str(run.path),
        "state": state,
        "life": sentence,
        "kind": run.kind,
        "network": {name: run.network.get(name) for name in ("backbone", "size", "channels")},
        "labels": None
        if labels is None
        else {
            "expressions": list(labels.expressions),
            "action_units": list(labels.action_units),
            "valence_arousal": labels.valence_arousal,
        },
        "data": run.run.get("data"),
        "faces": {part: run.faces(part) for part in ("train", "dev")},
        "label_counts": {part: run.label_counts(part) for part in ("train", "dev")},
        "started": run.run.get("started"),
        "updated": run.progress.get("updated"),
        **_progress(run, state),
        "best": best_scores(run),
        "best_epoch": None if run.best is None else run.best.get("epoch"),
        "command": command_of(run),
        "next": advice(run, state),
    }


def _progress(run: RunFolder, state: str) -> dict[str, Any]:
    """Epoch and step of all, and, where it can be told, the pace and the time left."""
    last = run.lines[-1] if run.lines else {}
    step = _first(run.progress.get("step"), last.get("step"))
    steps = _number(run.progress.get("steps"))
    rate = pace(run, step)
    left_s = (steps - step) / rate if rate and steps is not None and step is not None else None
    epochs = _first(run.progress.get("epochs"), run.config.get("epochs"))
    return {
        "epoch": _first(run.progress.get("epoch"), last.get("epoch")),
        "epochs": epochs,
        "step": step,
        "steps": steps,
        "done": step / steps if steps and step is not None else None,
        "steps_per_s": rate,
        "left_s": left_s if state in ("running", "elsewhere") else None,
    }


def pace(run: RunFolder, step: float | None) -> float | None:
    """Steps a second of the process that trains; None where it cannot be told.

    Where ``progress.json`` says when and at which step this process began, by that. Else the run counts from its
    start, but only while the process that started it still trains: pauses before a resumption are in no file.
    """
    updated, started = seconds(run.progress.get("updated")), seconds(run.run.get("started"))
    began, first = seconds(run.progress.get("began")), _number(run.progress.get("began_step")) or 0.0
    if began is None and run.life()[0] == "running" and started is not None:
        process = process_began(int(run.progress["pid"]))
        began = None if process is None or process > started + 60 else started
    if updated is None or began is None or step is None or updated <= began or step <= first:
        return None
    return (step - first) / (updated - began)


def best_scores(run: RunFolder) -> dict[str, dict[str, dict[str, float]]]:
    """The best value of each headline and its epoch, by task; not all of them belong to the checkpoint that is kept."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for line in run.lines:
        dev = line.get("dev")
        if not isinstance(dev, dict):
            continue
        for name, value in headlines(dev).items():
            if not math.isfinite(value):
                continue
            kept = found.setdefault(_TASK_OF[name.split()[0]], {})
            if name not in kept or value > kept[name]["value"]:
                kept[name] = {"value": value, "epoch": line.get("epoch", 0)}
    return found


def command_of(run: RunFolder) -> str | None:
    """The command that began the run, as it can be pasted into a shell."""
    argv = _argv(run)
    return shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else None


def command_lines(run: RunFolder, *, width: int = 100) -> str | None:
    """The same over several lines, which a shell takes as one: options are not torn from their values."""
    whole = command_of(run)
    if whole is None:
        return None
    lines, line = [], ""
    for part in _options(_argv(run)):
        if line and len(line) + len(part) > width:
            lines.append(line)
            line = "   "
        line = f"{line} {part}" if line else part
    return " \\\n".join([*lines, line])


def _options(argv: Sequence[str]) -> list[str]:
    """A command's words, each option with its values."""
    parts: list[str] = []
    for k, word in enumerate(argv):
        written = shlex.quote(Path(word).name if k == 0 else word)
        if k == 0 or word.startswith("-"):
            parts.append(written)
        else:
            parts[-1] += f" {written}"
    return parts


def _argv(run: RunFolder) -> list[str]:
    argv = run.run.get("command")
    return [str(part) for part in argv] if isinstance(argv, list) else []


def advice(run: RunFolder, state: str) -> list[str]:
    """What to do next: commands, or a sentence."""
    path = shlex.quote(str(run.path))
    look = f"affectkit train report {path} -o {shlex.quote(run.path.resolve().name + '.html')}"
    going_on = command_of(run)
    if going_on is not None and "--resume" not in _argv(run):
        going_on += " --resume"
    on = [going_on or "repeat the command that began it, with --resume"]
    if run.kind in ("synthetic", "average"):
        on = ["this kind of run cannot be resumed: start it again in another folder"]
    if state in ("running", "elsewhere"):
        return [look]
    if state in ("interrupted", "lost", "failed"):
        return [*on, look]
    if not (run.path / CHECKPOINT_NAME).exists():
        return on
    return [
        look,
        f"affectkit export {path} -o MODEL",
        f"affectkit train evaluate --model {path} ... (on faces that it was not chosen by)",
    ]


def text(one: Mapping[str, Any]) -> str:
    """What :func:`describe` found, for people."""
    lines = [f"{one['run']}: {headline_of(one)}"]
    rows: list[tuple[str, str]] = [
        ("state", one["life"] + _ago(one)),
        ("progress", progress_text(one)),
        ("labels", _labels_text(one["labels"])),
        ("faces", faces_text(one)),
        ("sets", ", ".join(Path(name).name for name in sets_of(one["data"]))),
        ("started", str(one["started"] or "")),
        ("best", _best_text(one)),
        ("command", one["command"] or ""),
    ]
    rows += [("next" if k == 0 else "", line) for k, line in enumerate(one["next"])]
    return "\n".join(lines + [f"  {name:9} {value}" for name, value in rows if value])


def headline_of(one: Mapping[str, Any]) -> str:
    """Kind and network in a few words: ``teacher, lite, 64 px grey``."""
    network = one["network"]
    words = [one["kind"], network["backbone"]]
    if network["size"] is not None:
        words.append(f"{network['size']} px" + {1: " grey", 3: " RGB"}.get(network["channels"], ""))
    return ", ".join(str(word) for word in words if word)


def sets_of(data: object) -> list[str]:
    """The label files and manifests of a run."""
    if not isinstance(data, Mapping):
        return []
    return [str(name) for key in ("labels", "manifests") for name in data.get(key) or ()]


def faces_text(one: Mapping[str, Any]) -> str:
    """How many faces there are to train on and to choose by, and how many carry labels of each task."""
    parts = []
    for part, what in (("train", "to train on"), ("dev", "to choose by")):
        if one["faces"][part] is None:
            continue
        counts = one["label_counts"][part].items()
        inside = ", ".join(f"{TASK_TITLES.get(task, task)} {count}" for task, count in counts)
        parts.append(f"{one['faces'][part]} {what}" + (f" ({inside})" if inside else ""))
    return "; ".join(parts)


def _ago(one: Mapping[str, Any]) -> str:
    updated = seconds(one["updated"])
    return "" if updated is None else f"; last update {in_words(now().timestamp() - updated)} ago"


def progress_text(one: Mapping[str, Any]) -> str:
    """``2 of 8 epochs, step 130 of 400, 33%, 7.5 steps a second, about 2 min left``, as far as it is known."""
    parts = []
    if one["epoch"] is not None:
        done = f"{one['epoch']:.0f}"
        parts.append(f"{done} of {one['epochs']:.0f} epochs" if one["epochs"] else f"{done} epochs")
    if one["step"] is not None:
        parts.append(f"step {one['step']:.0f}" + (f" of {one['steps']:.0f}" if one["steps"] else ""))
    if one["done"] is not None:
        parts.append(f"{one['done']:.0%}")
    if one["steps_per_s"] is not None:
        rate = one["steps_per_s"]
        parts.append(f"{rate:.1f} steps a second" if rate >= 1 else f"{1 / rate:.1f} s a step")
    if one["left_s"] is not None:
        parts.append(f"about {in_words(one['left_s'])} left")
    return ", ".join(parts)


def _labels_text(labels: Mapping[str, Any] | None) -> str:
    if labels is None:
        return ""
    parts = [f"{len(labels['expressions'])} expressions ({', '.join(labels['expressions'])})"]
    parts.append(f"{len(labels['action_units'])} action units ({', '.join(labels['action_units'])})")
    parts = [part for part in parts if not part.startswith("0 ")]
    return "; ".join([*parts, "valence and arousal"] if labels["valence_arousal"] else parts)


def _best_text(one: Mapping[str, Any]) -> str:
    """A line a task, aligned under one another."""
    lines = [
        ", ".join(f"{name} {score['value']:.3f} (epoch {score['epoch']})" for name, score in scores.items())
        for scores in one["best"].values()
    ]
    if one["best_epoch"] is not None and lines:
        lines.append(f"{CHECKPOINT_NAME} is that of epoch {one['best_epoch']}")
    return ("\n" + " " * 12).join(lines)


def _first(*values: object) -> float | None:
    """The first of them that is a number."""
    return next((number for number in map(_number, values) if number is not None), None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _finite(value: Any) -> Any:
    """The same with null for NaN and infinities, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return value

"""The numbers as Markdown, beside what is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

Numbers = dict[str, Any]

TARGETS: tuple[tuple[str, str, Callable[[Numbers], float], Callable[[float], bool]], ...] = (
    (
        "Pearson within a head, the eight",
        ">= .90",
        lambda n: _get(n, "random", "eight", "pearson_within"),
        lambda v: v >= 0.9,
    ),
    ("the same, lowest of the eight", ">= .80", lambda n: _lowest(n, True), lambda v: v >= 0.8),
    (
        "Pearson within a head, further units",
        ">= .85",
        lambda n: _get(n, "random", "further", "pearson_within"),
        lambda v: v >= 0.85,
    ),
    ("the same, lowest further unit", ">= .70", lambda n: _lowest(n, False), lambda v: v >= 0.7),
    ("Pearson pooled, the eight", "", lambda n: _get(n, "random", "eight", "pearson_pooled"), lambda v: True),
    ("F1 of decisions, the eight", ">= .75", lambda n: _get(n, "random", "eight", "f1"), lambda v: v >= 0.75),
    (
        "F1 at the best threshold, the eight",
        "",
        lambda n: _get(n, "random", "eight", "f1_best_threshold"),
        lambda v: True,
    ),
    ("F1 of decisions, further units", "", lambda n: _get(n, "random", "further", "f1"), lambda v: True),
    ("one unit driven: others on", "<= 5 %", lambda n: _get(n, "cross_talk", "mean"), lambda v: v <= 0.05),
    ("distractors: on", "<= 5 %", lambda n: _get(n, "distractors", "mean"), lambda v: v <= 0.05),
    ("neutral: on", "", lambda n: _get(n, "neutral", "mean"), lambda v: True),
    ("neutral: on, worst identity", "<= 2 %", lambda n: _get(n, "neutral", "worst_identity"), lambda v: v <= 0.02),
    ("neutral: on, worst skin", "<= 2 %", lambda n: _get(n, "neutral", "worst_skin"), lambda v: v <= 0.02),
    (
        "neutral: on, worst yaw within 30 degrees",
        "<= 2 %",
        lambda n: _get(n, "neutral", "worst_yaw"),
        lambda v: v <= 0.02,
    ),
    ("response curves that rise", "100 %", lambda n: _get(n, "curves", "rising"), lambda v: v >= 1),
    (
        "mouth hidden: lower units empty",
        ">= 95 %",
        lambda n: _get(n, "hidden", "mouth hidden, all", "empty"),
        lambda v: v >= 0.95,
    ),
    (
        "clear: lower units empty",
        "<= 3 %",
        lambda n: _get(n, "hidden", "clear, lower units", "empty"),
        lambda v: v <= 0.03,
    ),
    ("pitch of the head, mean error in degrees", "", lambda n: _get(n, "pose_error", "pitch"), lambda v: True),
    ("yaw of the head, mean error in degrees", "", lambda n: _get(n, "pose_error", "yaw"), lambda v: True),
    ("random combinations: face not found", "", lambda n: _get(n, "not_found", "random"), lambda v: True),
)


def markdown(results: Numbers) -> str:
    """The whole report."""
    models: Numbers = results["models"]
    lines = ["# Action units against the truth of rendered heads", "", _what(results), ""]
    lines += ["## Against what is asked for", "", *_targets(models), ""]
    lines += ["## Each unit", "", *_units(models), ""]
    lines += ["## Moving faces", "", *_moving(models), ""]
    lines += ["## Where it is better and worse", "", *_breakdown(models), ""]
    lines += ["## Hidden mouths and eyes", "", *_hidden(models), ""]
    lines += ["## Distractors and neutral faces", "", *_distractors(models), ""]
    if any("real" in numbers for numbers in models.values()):
        lines += ["## On real pictures (FER+)", "", *_real(models), ""]
    return "\n".join(lines)


def number(value: Any, share: bool = False) -> str:
    """.93, 4.2 %, or a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    if share:
        return f"{100 * value:.1f} %"
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    head = list(head)
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *map(list, rows))]


def _get(numbers: Numbers, *path: str) -> float:
    value: Any = numbers
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float("nan") if value is None else float(value)


def _lowest(numbers: Numbers, eight: bool) -> float:
    from truth.measures import EIGHT

    found = [one["pearson_within"] for unit, one in numbers["random"]["by_unit"].items() if (unit in EIGHT) == eight]
    return min(found) if found else float("nan")


def _what(results: Numbers) -> str:
    notes = "; ".join(f"`{name}`: {numbers['note']}" for name, numbers in results["models"].items())
    return (
        f"{results['stills']} pictures and {results['frames']} frames of {results['heads']} heads of the renderer's "
        f"test part ({results['cells']}) and {results['neutral_heads']} further neutral ones; numbers from 100,000 "
        f"upwards, so that none is in a set for training. Faces are found by each way's own detector in pictures of "
        f"192 px. {notes}."
    )


def _targets(models: Numbers) -> list[str]:
    rows = []
    for name, wanted, read, met in TARGETS:
        row = [name, wanted]
        for numbers in models.values():
            value = read(numbers)
            mark = "" if not wanted or not math.isfinite(value) else " yes" if met(value) else " no"
            share = "%" in wanted or name.endswith((" on", "not found"))
            row.append(number(value, share) + mark)
        rows.append(row)
    rival = models.get("mediapipe")
    if rival and len(models) > 1:
        cells = ["" if one is rival else ", ".join(_ahead(rival, one)) or "none" for one in models.values()]
        rows.append(["units on which MediaPipe is ahead (Pearson within)", "none", *cells])
    return table(["", "asked", *models], rows)


def _ahead(rival: Numbers, numbers: Numbers) -> list[str]:
    """Units that both tell, on which the first is not behind the second."""
    theirs, ours = rival["random"]["by_unit"], numbers["random"]["by_unit"]
    return [
        unit for unit in ours if unit in theirs and not theirs[unit]["pearson_within"] < ours[unit]["pearson_within"]
    ]


def _units(models: Numbers) -> list[str]:
    units = list(dict.fromkeys(unit for numbers in models.values() for unit in numbers["units"]))
    units.sort(key=lambda unit: int(unit[2:]))
    head = ["", *(f"{name}: r within / pooled, F1 (best)" for name in models)]
    head += [f"{name}: on when driven, others on" for name in models]
    rows = []
    for unit in units:
        row = [unit]
        for numbers in models.values():
            one = numbers["random"]["by_unit"].get(unit)
            row.append(
                "-"
                if one is None
                else f"{number(one['pearson_within'])} / {number(one['pearson_pooled'])}, {number(one['f1'])} "
                f"({number(one['f1_best_threshold'])})"
            )
        for numbers in models.values():
            talk = numbers["cross_talk"]
            others = [v for v in talk["matrix"][talk["driven"].index(unit)] if math.isfinite(v)]
            own = number(talk["own_on"][unit], True) if unit in talk["own_on"] else "-"
            row.append(f"{own}, {number(sum(others) / max(len(others), 1), True)}")
        rows.append(row)
    return table(head, rows)


def _moving(models: Numbers) -> list[str]:
    head = [
        "",
        "changes a second",
        "neutral",
        "AU25 r",
        "AU12 on",
        "AU20 on",
        "all on",
        "jitter",
        "delay, frames",
        "seen",
    ]
    rows = []
    for name, numbers in models.items():
        for way, one in numbers["moving"].items():
            rows.append(
                [
                    f"{name}, {way}",
                    number(one["changes_a_second"]),
                    number(one["neutral"], True),
                    number(one["au25_r"]),
                    number(one["on"].get("AU12", math.nan), True),
                    number(one["on"].get("AU20", math.nan), True),
                    number(one["false_on"], True),
                    f"{one['jitter']:.3f}",
                    f"{one['onset_delay_median']:+.1f}",
                    number(one["onsets_seen"], True),
                ]
            )
    note = (
        "Neutral faces that talk; delay: from the middle of a unit's true rise to the middle of its answer's, median."
    )
    return [note, "", *table(head, rows)]


def _breakdown(models: Numbers) -> list[str]:
    first = next(iter(models.values()))["breakdown"]
    rows = []
    for group, values in first.items():
        for key, one in values.items():
            row = [f"{group}: {key}", str(one["pictures"])]
            for numbers in models.values():
                mine = numbers["breakdown"][group][key]
                row.append(f"{number(mine['pearson'])}, {number(mine['f1'])}, {number(1 - mine['found'], True)}")
            rows.append(row)
    note = (
        "Random combinations: correlation without each head's means, F1, faces not found; means over a model's units."
    )
    return [note, "", *table(["", "pictures", *models], rows)]


def _hidden(models: Numbers) -> list[str]:
    rows = []
    for kind, one in next(iter(models.values()))["hidden"].items():
        row = [kind, str(one["pictures"])]
        for numbers in models.values():
            mine = numbers["hidden"][kind]
            row.append(
                f"{number(mine['found'], True)}, {number(mine['empty'], True)}, {number(mine['false_on'], True)}"
            )
        rows.append(row)
    note = (
        "Faces found; of those, the region's units that are empty (sunglasses: those of the eyes); decisions that are "
        "on though absent."
    )
    return [note, "", *table(["", "pictures", *models], rows)]


def _distractors(models: Numbers) -> list[str]:
    first, rows = next(iter(models.values())), []
    for name in first["distractors"]["by_distractor"]:
        rows.append([name, *(number(n["distractors"]["by_distractor"][name], True) for n in models.values())])
    for key in first["neutral"]["by_yaw"]:
        rows.append([f"neutral, yaw {key}", *(number(n["neutral"]["by_yaw"][key], True) for n in models.values())])
    over = [number(n["neutral"]["identities_over_2_percent"], True) for n in models.values()]
    rows.append([f"neutral: of {first['neutral']['identities']} identities over 2 %", *over])
    return table(["decisions that are on though absent", *models], rows)


def _real(models: Numbers) -> list[str]:
    rows: list[list[str]] = []
    found = {name: numbers["real"] for name, numbers in models.items() if "real" in numbers}
    for key in (f"{name}, {part}" for name in ("sadness", "fear") for part in ("valid", "train")):
        cells = [f"{number(one[key]['both'], True)} ({one[key]['faces']} faces)" for one in found.values()]
        rows.append([f"{key}: AU1 and AU4 together", *cells])
    for key in next(iter(found.values())):
        if key.startswith("AU12"):
            rows.append([key, *(number(one[key]["share"], True) for one in found.values())])
    for kind in next(iter(found.values()))["hidden"]:
        cells = [
            f"{number(one['hidden'][kind]['empty'], True)} of {number(one['hidden'][kind]['found'], True)} found"
            for one in found.values()
        ]
        rows.append([f"{kind}: lower units empty", *cells])
    return table(["", *found], rows)

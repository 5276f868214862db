"""From a table of truth and predictions to the benchmark's numbers, for one model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from truth import scores, shots
from truth.scores import PRESENT, mean
from truth.talking import FPS, ONSET_AT

EIGHT = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")
"""The units of the method's paper."""
LOWER = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU18", "AU20", "AU23", "AU24", "AU25", "AU26")
EYES = ("AU5", "AU6", "AU7", "AU43")
REGIONS = {
    **dict.fromkeys(("AU1", "AU2", "AU4"), "visible_brows"),
    **dict.fromkeys(EYES, "visible_eyes"),
    **dict.fromkeys(LOWER, "visible_mouth"),
}
SCORED_FROM = 0.5
"""Visible share of a unit's region from which its answers are scored: hair over a brow is no fault of a model."""
HIDDEN_TO, CLEAR_FROM = 0.3, 0.9
"""Visible share of a region up to which it is hidden, and from which it is clear."""

Numbers = dict[str, Any]


def measure(table: pd.DataFrame, moving: pd.DataFrame, units: list[str]) -> Numbers:
    """Everything.

    Args:
        table: a row a still: truth (AU1 ...), what was shown, and answers (p.AU1, c.AU1, i.AU1 ...); ``spoilt`` is
            empty but for repeated rows of spoilt pictures.
        moving: a row a frame and way.
        units: what the model tells.
    """
    plain = table[table["spoilt"] == ""]
    part = {name: rows for name, rows in plain.groupby("part")}
    alone = pd.concat([part["driven"], part["curve"][part["curve"]["level"] >= 0.75]])
    return {
        "units": units,
        "pictures": len(plain),
        "not_found": {name: float(1 - rows["found"].mean()) for name, rows in part.items()},
        "random": accuracy(part["random"], units),
        "pose_error": pose_error(plain),
        "curves": curves(part["curve"], units),
        "cross_talk": cross_talk(alone, units),
        "distractors": distractors(part["distractor"], units),
        "neutral": neutral(part["neutral"], units),
        "breakdown": breakdown(part["random"], part["posed"], table[table["part"] == "random"], units),
        "hidden": hidden(part["hidden"], part["random"], units),
        "moving": {way: motion(rows, units) for way, rows in moving.groupby("way")} if len(moving) else {},
    }


def accuracy(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """Correlation and F1 of each unit where its region is seen, and their means."""
    every, found = rows, {}
    for unit in units:
        rows = every[every[REGIONS[unit]] >= SCORED_FROM] if unit in REGIONS else every
        heads = rows["head"].to_numpy()
        truth, told, decided = (rows[f"{prefix}{unit}"].to_numpy(float) for prefix in ("", "p.", "c."))
        found[unit] = {
            "pearson_within": scores.pearson_within(heads, truth, told),
            "pearson_pooled": scores.pearson(truth, told),
            "f1": scores.f1(truth >= PRESENT, decided),
            "f1_best_threshold": scores.best_f1(truth >= PRESENT, told),
            "present": float((truth >= PRESENT).mean()),
            "empty": float(np.isnan(told[rows["found"].to_numpy(bool)]).mean()),
        }
        if f"i.{unit}" in rows:
            intensity = rows[f"i.{unit}"].to_numpy(float)
            found[unit]["intensity_within"] = scores.pearson_within(heads, truth, intensity)
            found[unit]["intensity_pooled"] = scores.pearson(truth, intensity)
            found[unit]["intensity_mae"] = mean(np.abs(intensity - truth))
    return {"by_unit": found, "eight": _means(found, True), "further": _means(found, False)}


def _means(found: dict[str, Numbers], of_eight: bool) -> Numbers:
    chosen = [numbers for unit, numbers in found.items() if (unit in EIGHT) == of_eight]
    return {key: mean([numbers[key] for numbers in chosen]) for key in chosen[0]} if chosen else {}


def pose_error(rows: pd.DataFrame) -> Numbers:
    """Mean absolute error of the head's angles in degrees, of models that tell them."""
    axes = [axis for axis in ("pitch", "yaw", "roll") if f"told.{axis}" in rows]
    return {axis: mean((rows[f"told.{axis}"] - rows[axis]).abs()) for axis in axes}


def curves(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """How each unit's answer grows with the unit alone; means over heads, with the quarters around the middle."""
    rest, found = rows[rows["subject"] == ""], {}
    for unit in units:
        own = pd.concat([rest, rows[rows["subject"] == unit]])
        told = own[f"i.{unit}" if f"i.{unit}" in own else f"p.{unit}"].to_numpy(float)
        levels = own["level"].to_numpy(float)
        steps = (0.0, *shots.LEVELS)
        inside = [told[(levels == step) & np.isfinite(told)] for step in steps]
        found[unit] = {
            "levels": list(steps),
            "mean": [mean(values) for values in inside],
            "quarters": [[float(q) for q in np.quantile(v, (0.25, 0.75))] if len(v) else [0.0, 0.0] for v in inside],
            "on": [mean(own.loc[own["level"] == step, f"c.{unit}"]) for step in steps],
            "truth": [mean(own.loc[own["level"] == step, unit]) for step in steps],
            "rises": scores.rises(levels, told),
        }
    return {"by_unit": found, "rising": float(np.mean([one["rises"] for one in found.values()]))}


def _off(rows: pd.DataFrame, units: list[str]) -> float:
    """Share of the decisions that are on where the unit is absent."""
    return scores.on_share(_array(rows, "", units).ravel(), _array(rows, "c.", units).ravel())


def _array(rows: pd.DataFrame, prefix: str, units: list[str]) -> np.ndarray:
    return rows[[f"{prefix}{unit}" for unit in units]].to_numpy(float)


def cross_talk(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """What else fires while one unit is driven."""
    rows = rows.sort_values("subject", key=lambda names: names.str[2:].astype(int), kind="stable")
    driven = list(rows["subject"])
    matrix = scores.cross_talk(driven, units, _array(rows, "", units), _array(rows, "c.", units))
    own = np.asarray(units)[None] == np.asarray(driven)[:, None]
    truth, decided = np.where(own, np.nan, _array(rows, "", units)), _array(rows, "c.", units)
    hits = {unit: mean(rows.loc[rows["subject"] == unit, f"c.{unit}"]) for unit in units}
    return {
        "mean": scores.on_share(truth[~own], decided[~own]),
        "below_half": scores.on_share(truth[~own], decided[~own], below=PRESENT),
        "driven": list(dict.fromkeys(driven)),
        "matrix": matrix.tolist(),
        "own_on": hits,
    }


def distractors(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """What fires though it must not."""
    speech = rows["subject"].str.startswith("speech")
    return {
        "mean": _off(rows, units),
        "without_speech": _off(rows[~speech], units),
        "speech": _off(rows[speech], units),
        "by_distractor": {name: _off(some, units) for name, some in rows.groupby("subject")},
        "by_unit": {unit: _off(rows, [unit]) for unit in units},
    }


def neutral(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """What fires on neutral faces, yaw within 30 degrees."""
    turned = pd.cut(rows["yaw"].abs(), [0, 10, 20, 30.01], labels=["0-10", "10-20", "20-30"], include_lowest=True)
    groups = {"identity": rows["head"].astype(str), "skin": rows["skin"], "yaw": turned.astype(str)}
    found: Numbers = {"mean": _off(rows, units), "by_unit": {unit: _off(rows, [unit]) for unit in units}}
    for name, values in groups.items():
        found[f"by_{name}"] = {key: _off(some, units) for key, some in rows.groupby(values)}
        found[f"worst_{name}"] = max(found[f"by_{name}"].values())
    over = [share > 0.02 for share in found["by_identity"].values()]
    return {**found, "identities_over_2_percent": float(np.mean(over)), "identities": len(over)}


def breakdown(random: pd.DataFrame, posed: pd.DataFrame, spoilt: pd.DataFrame, units: list[str]) -> Numbers:
    """Correlation without each head's means, and F1, means over units, by group."""
    dark = random["glasses"].astype(bool) & (random["visible_eyes"] < 0.5)
    worn = np.where(dark, "dark", np.where(random["glasses"].astype(bool), "clear", "none"))
    pose = [
        f"yaw {abs(y):.0f}" if not p else f"pitch {p:+.0f}" for p, y in zip(posed["pitch"], posed["yaw"], strict=True)
    ]
    same = spoilt[spoilt["name"].isin(spoilt.loc[spoilt["spoilt"] != "", "name"])]
    groups: dict[str, tuple[pd.DataFrame, Any]] = {
        "pose": (posed, pose),
        "skin tone": (random, pd.cut(random["melanin"], [-1, 0.25, 0.4, 0.6, 2], labels=["-.25", "-.4", "-.6", ".6-"])),
        "age": (random, pd.cut(random["years"], [0, 18, 30, 45, 60, 99], labels=["-18", "-30", "-45", "-60", "60-"])),
        "sex": (random, np.where(random["male"] >= 0.5, "man", "woman")),
        "glasses": (random, worn),
        "flaws": (random, np.where(random["clean"], "clean", "as drawn")),
        "light": (random, random["light"]),
        "style": (random, random["style"]),
        "spoilt": (same, same["spoilt"].replace("", "not")),
    }
    found: Numbers = {}
    for name, (rows, values) in groups.items():
        keys = pd.Series(np.asarray(values, dtype=object), rows.index).astype(str)
        found[name] = {key: _summary(some, units) for key, some in rows.groupby(keys)}
    return found


def _summary(rows: pd.DataFrame, units: list[str]) -> Numbers:
    heads = rows["head"].to_numpy()
    r = [scores.pearson_centred(heads, rows[unit].to_numpy(float), rows[f"p.{unit}"].to_numpy(float)) for unit in units]
    hits = [scores.f1(rows[unit].to_numpy() >= PRESENT, rows[f"c.{unit}"].to_numpy(float)) for unit in units]
    found = float(rows["found"].mean())
    return {"pictures": len(rows), "found": found, "pearson": mean(r), "f1": mean(hits), "false_on": _off(rows, units)}


def hidden(rows: pd.DataFrame, clear: pd.DataFrame, units: list[str]) -> Numbers:
    """Whether what cannot be seen stays empty."""
    lower, eyes = [unit for unit in units if unit in LOWER], [unit for unit in units if unit in EYES]
    found: Numbers = {}
    for kind, some in rows.groupby("subject"):
        region, told = ("visible_eyes", eyes) if kind == "sunglasses" else ("visible_mouth", lower)
        found[kind] = _emptied(some[some[region] <= HIDDEN_TO], told)
    no_glasses = rows[rows["subject"] != "sunglasses"]
    found["mouth hidden, all"] = _emptied(no_glasses[no_glasses["visible_mouth"] <= HIDDEN_TO], lower)
    found["clear, lower units"] = _emptied(clear[clear["visible_mouth"] >= CLEAR_FROM], lower)
    seen = clear[(clear[["visible_mouth", "visible_eyes", "visible_brows"]] >= CLEAR_FROM).all(axis=1)]
    found["clear, all units"] = _emptied(seen, units)
    return found


def _emptied(rows: pd.DataFrame, units: list[str]) -> Numbers:
    there = rows[rows["found"].astype(bool)]
    empty = float(np.isnan(_array(there, "p.", units)).mean()) if len(there) and units else float("nan")
    numbers: Numbers = {"pictures": len(rows), "found": float(rows["found"].mean()) if len(rows) else float("nan")}
    numbers |= {"empty": empty, "false_on": _off(there, units) if units else float("nan")}
    for column in (name for name in there if name.startswith("told.")):
        numbers[column] = mean(there[column])
    return numbers


def motion(rows: pd.DataFrame, units: list[str]) -> Numbers:
    """Talking neutral faces, and how late units come on."""
    talk, onset = rows[rows["part"] == "talk"], rows[rows["part"] == "onset"]
    found: Numbers = {"sequences": int(talk["file"].nunique())}
    followed, changes, neutral_share, jumps = [], [], [], []
    for _, one in talk.groupby("file"):
        one = one.sort_values("index")
        if "AU25" in units:
            column = "i.AU25" if "i.AU25" in one else "p.AU25"
            followed.append(scores.pearson(one["AU25"].to_numpy(float), one[column].to_numpy(float)))
        jumps.append(mean(np.abs(np.diff(_array(one, "p.", units), axis=0))))
        if "expression" in one:
            names = list(one["expression"].fillna(""))
            changes.append(scores.changes_a_second(names, FPS))
            neutral_share.append(float(np.mean([name == "neutral" for name in names])))
    found |= {"not_found": float(1 - rows["found"].mean()), "au25_r": mean(followed), "jitter": mean(jumps)}
    found |= {"changes_a_second": mean(changes), "neutral": mean(neutral_share), "false_on": _off(talk, units)}
    found["on"] = {unit: _off(talk, [unit]) for unit in units}
    delays: dict[str, list[float]] = {}
    for _, one in onset.groupby("file"):
        one = one.sort_values("index")
        for unit in set(str(one["subject"].iloc[0]).split("+")) & set(units):
            delays.setdefault(unit, []).append(_delay(one[unit].to_numpy(float), one[f"p.{unit}"].to_numpy(float)))
    every = [delay for some in delays.values() for delay in some]
    found["onset_delay_frames"] = {unit: mean(some) for unit, some in sorted(delays.items())}
    found["onset_delay_mean"] = mean(every)
    found["onset_delay_median"] = float(np.nanmedian(every)) if np.isfinite(every).any() else float("nan")
    found["onsets_seen"] = float(np.isfinite(every).mean()) if every else float("nan")
    return found


LEAST_RISE = 0.15
"""Of a probability over an onset; smaller ones are not seen at all."""


def _delay(truth: np.ndarray, told: np.ndarray) -> float:
    """Frames from the middle of the true rise to the middle of the answer's; NaN where it does not rise."""
    if np.isfinite(told).sum() < len(told) // 2 or mean(told[-10:]) - mean(told[: ONSET_AT - 2]) < LEAST_RISE:
        return float("nan")
    return scores.half_rise(told, ONSET_AT - 2, 10) - scores.half_rise(truth, ONSET_AT - 2, 10)

"""How tables, summaries and results show themselves: a line in a terminal, HTML in a notebook, values for JSON."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.face_results import Affect, Face, FrameResult
from affectkit.tables.colours import of_identity
from affectkit.tables.columns import action_units, expressions
from affectkit.tables.plots import line_of, name_of
from affectkit.tables.portraits import jpeg, located, portraits
from affectkit.tables.tracks import Film, Float, Track, films_of, seconds_of, tracks_of

if TYPE_CHECKING:
    from affectkit.tables.summary import Group, Summary
    from affectkit.tables.table import Table

INPUTS_SHOWN = 3
FACES_SHOWN = 6
CURVE_POINTS = 240


def plain(value: Any) -> Any:
    """A value as JSON knows it: NaN and infinity are None, arrays lists, six digits after the point."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(one) for one in value]
    number = float(value)
    return round(number, 6) if math.isfinite(number) else None


def affect_dict(affect: Affect) -> dict[str, Any]:
    """See :meth:`affectkit.Affect.to_dict`."""
    units = affect.labels.action_units
    active = zip(units, affect.au_active.tolist(), affect.au_hidden.tolist(), strict=True)
    told: dict[str, Any] = {
        "action_units": {name: plain(value) for name, value in affect.action_units.items()},
        "active": {name: None if hidden else bool(on) for name, on, hidden in active},
        "intensities": {name: plain(value) for name, value in affect.intensities.items()} or None,
        "expressions": {name: plain(value) for name, value in affect.expressions.items()},
        "expression": affect.expression or None,
        "valence": plain(affect.valence),
        "arousal": plain(affect.arousal),
        "pose": None if affect.pose is None else dict(zip(("pitch", "yaw", "roll"), plain(affect.pose), strict=True)),
        "visible_upper": plain(affect.visible_upper),
        "visible_lower": plain(affect.visible_lower),
        "quality": plain(affect.quality),
    }
    if affect.au_std is not None:
        told["spread"] = {
            **dict(zip(units, plain(affect.au_std), strict=True)),
            "valence": plain(affect.valence_std),
            "arousal": plain(affect.arousal_std),
        }
    if affect.au_raw is not None:
        told["action_units_raw"] = dict(zip(units, plain(affect.au_raw), strict=True))
    return told


def face_dict(face: Face) -> dict[str, Any]:
    """See :meth:`affectkit.Face.to_dict`."""
    return {
        "face_id": face.track_id,
        "confidence": plain(face.score),
        "box": [plain(side) for side in face.box],
        "landmarks": plain(face.landmarks),
        **affect_dict(face.affect),
    }


def result_dict(result: FrameResult) -> dict[str, Any]:
    """See :meth:`affectkit.FrameResult.to_dict`."""
    return {
        "input": result.name,
        "frame": result.index,
        "timestamp": plain(result.time_s),
        "faces": [face_dict(face) for face in result.faces],
    }


def affect_text(affect: Affect) -> str:
    """What is most worth knowing, in a line."""
    active = [name for name, on in zip(affect.labels.action_units, affect.au_active, strict=True) if on]
    parts = [affect.expression, f"valence {affect.valence:.2f}" if math.isfinite(affect.valence) else ""]
    parts.append(f"arousal {affect.arousal:.2f}" if math.isfinite(affect.arousal) else "")
    parts.append(" ".join(active))
    return f"<Affect {', '.join(part for part in parts if part) or 'nothing can be told'}>"


def face_text(face: Face) -> str:
    """A face in a line."""
    x, y, width, height = face.box
    told = affect_text(face.affect).removeprefix("<Affect ").removesuffix(">")
    where = f"{width:.0f} x {height:.0f} px at {x:.0f}, {y:.0f}"
    return f"<Face {face.track_id}: {told}; {where}, confidence {face.score:.2f}>"


def result_text(result: FrameResult) -> str:
    """A frame in a line."""
    at = f" at {result.time_s:.2f} s" if math.isfinite(result.time_s) else ""
    told = (f"face {face.track_id} {face.affect.expression}".strip() for face in result.faces[:4])
    more = ", ..." if len(result.faces) > 4 else ""
    return f"<FrameResult {result.index}{at}: {', '.join(told) or 'no face'}{more}>"


def table_text(table: Table) -> str:
    """A table in a line."""
    films = list(films_of(table.columns))
    faces = sum(len(tracks_of(table.columns, film)) for film in films)
    frames = sum(len(film.frames) for film in films)
    what = [f"{len(action_units(table.columns))} action units", f"{len(expressions(table.columns))} expressions"]
    what += ["valence and arousal"] if "valence" in table.columns else []
    name = films[0].input if len(films) == 1 else f"{len(films)} inputs"
    return (
        f"<Table {name}: {_many(frames, 'frame')}, {_many(faces, 'face')}; {', '.join(w for w in what if w[0] != '0')}>"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def table_html(table: Table) -> str:
    """For notebooks: of each identity a thumbnail, where the input is still there, and small curves."""
    films = list(films_of(table.columns))
    parts = [f"<p style='margin:4px 0'><b>{escape(table_text(table).strip('<>'))}</b></p>"]
    for film in films[:INPUTS_SHOWN]:
        path = located(film.input)
        tracks = sorted(tracks_of(table.columns, film), key=lambda track: -len(track.rows))
        faces = portraits(table, film, path, size_px=72) if path is not None and tracks else {}
        if len(films) > 1:
            parts.append(f"<p style='margin:8px 0 2px'>{escape(film.input)}</p>")
        parts += [_strip(table, film, track, faces.get(track.face)) for track in tracks[:FACES_SHOWN]]
        if len(tracks) > FACES_SHOWN:
            parts.append(f"<p>and {len(tracks) - FACES_SHOWN} more faces</p>")
    if len(films) > INPUTS_SHOWN:
        parts.append(f"<p>and {len(films) - INPUTS_SHOWN} more inputs</p>")
    return f"<div style='font:13px sans-serif'>{''.join(parts)}</div>"


def _strip(table: Table, film: Film, track: Track, image: Any) -> str:
    picture = ""
    if image is not None:
        data = base64.b64encode(jpeg(image)).decode()
        picture = f"<img alt='' width='72' height='72' src='data:image/jpeg;base64,{data}'>"
    seconds = seconds_of(table.columns, film, track)
    seen = f"{_many(len(track.rows), 'frame')}" + (f", {seconds:.1f} s" if math.isfinite(seconds) else "")
    curves = "".join(
        f"<div style='margin-right:12px'>{_curve(line_of(table, film, track, name)[1], low, of_identity(track.face))}"
        f"<div style='color:#667'>{name}</div></div>"
        for name, low in _worth_showing(table, track)
    )
    return (
        f"<div style='display:flex;align-items:center;gap:12px;margin:4px 0'>{picture}"
        f"<div style='width:140px'><b>{escape(name_of(table, track))}</b><br>"
        f"<span style='color:#667'>{seen}</span></div>"
        f"{curves}</div>"
    )


def _worth_showing(table: Table, track: Track) -> list[tuple[str, float]]:
    """Columns and their lowest value: the three most active units, valence and arousal."""
    means = {
        name: float(np.nanmean(values)) if not np.isnan(values := table.columns[name][track.rows]).all() else -1.0
        for name in action_units(table.columns)
    }
    units = sorted(means, key=lambda name: -means[name])[:3]
    return [
        *((name, 0.0) for name in sorted(units)),
        *((n, -1.0) for n in ("valence", "arousal") if n in table.columns),
    ]


def _curve(values: Float, low: float, colour: str) -> str:
    """A small curve, of at most ``CURVE_POINTS`` values, as SVG."""
    width, height = 150, 44
    step = max(1, math.ceil(len(values) / CURVE_POINTS))
    thinned = values[::step]
    xs = np.linspace(1, width - 1, len(thinned)) if len(thinned) > 1 else np.array([width / 2])
    ys = height - 2 - (thinned - low) / (1 - low) * (height - 4)
    pieces: list[list[str]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isnan(y):
            pieces.append([])
        else:
            pieces[-1].append(f"{x:.1f},{y:.1f}")
    lines = "".join(
        f"<polyline points='{' '.join(piece if len(piece) > 1 else piece * 2)}' fill='none' stroke='{colour}' "
        "stroke-width='1.4' stroke-linecap='round'/>"
        for piece in pieces
        if piece
    )
    middle = height - 2 - (0 - low) / (1 - low) * (height - 4)
    axis = f"<line x1='0' x2='{width}' y1='{middle:.1f}' y2='{middle:.1f}' stroke='#ccc'/>"
    return f"<svg width='{width}' height='{height}' style='background:#fafafa'>{axis}{lines}</svg>"


def summary_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a short table: of each group what is most worth knowing."""
    heads = [{"face_id": "face"}.get(name, name) for name in summary.by]
    several_tables = any("table" in group.key for group in summary.groups)
    named = any(group.key.get("face_name") for group in summary.groups) and "face_name" not in summary.by
    heads = [*(["table"] if several_tables else []), *heads, *(["name"] if named else [])]
    heads += ["frames", "of", "seconds", "left out", "quality", "valence", "arousal", "expressions", "active units"]
    short = _short_names({str(group.key["input"]) for group in summary.groups if group.key.get("input")})
    rows = []
    for group in summary.groups:
        key = [group.key.get("table")] if several_tables else []
        key += [short.get(str(value), value) if name == "input" else value for name, value in _keys(summary, group)]
        key += [group.key.get("face_name")] if named else []
        rows.append([*map(_cell, key), *_facts(group)])
    return heads, rows


def _keys(summary: Summary, group: Group) -> list[tuple[str, Any]]:
    return [(name, group.key.get(name)) for name in summary.by]


def _short_names(names: set[str]) -> dict[str, str]:
    """File names without their folders, unless two are the same then."""
    short = {name: name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] for name in names}
    return short if len(set(short.values())) == len(names) else {}


def _facts(group: Group) -> list[str]:
    quality = group.quality if group.quality is not None else group.confidence
    va = [group.measures[name].mean if name in group.measures else None for name in ("valence", "arousal")]
    return [
        str(group.frames),
        str(group.file_frames),
        _number(group.seconds, 1),
        str(group.left_out),
        _number(quality),
        *map(_number, va),
        _shares(group, "expression", 2, 0.05),
        _shares(group, "action unit", 5, 0.05),
    ]


def _shares(group: Group, kind: str, most: int, least: float) -> str:
    """The largest shares, such as ``AU12 84 %``."""
    found = [(name, one.share) for name, one in group.measures.items() if one.kind == kind and one.share is not None]
    found.sort(key=lambda one: -one[1])
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in found[:most] if share >= least)


def _cell(value: Any) -> str:
    if value == -1:
        return "none"
    return "" if value is None else str(value)


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def summary_text(summary: Summary) -> str:
    """A table of text."""
    heads, rows = summary_rows(summary)
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    numbers = {"frames", "of", "seconds", "left out", "quality", "valence", "arousal", "face"}
    lines = []
    for row in (heads, *rows):
        cells = (
            cell.rjust(width) if head in numbers else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def summary_html(summary: Summary) -> str:
    """The same for notebooks."""
    heads, rows = summary_rows(summary)
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

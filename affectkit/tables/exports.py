"""Tables as annotations of other programs: ELAN (``.eaf``), subtitles (``.vtt``), BORIS (``.boris``).

What is exported are bouts: stretches in which a unit is active, or an expression the most probable one.
"""

from __future__ import annotations

import json
import math
import mimetypes
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.errors import UnknownSuffix, needs
from affectkit.outputs.files import PartialFile, check_target, explain_os_error, prepare_bytes
from affectkit.tables.bouts import bouts_of
from affectkit.tables.columns import action_units, expressions
from affectkit.tables.plots import name_of
from affectkit.tables.portraits import located
from affectkit.tables.summary import active_rows
from affectkit.tables.tracks import Film, films_of, tracks_of
from affectkit.types import AU_TITLES

if TYPE_CHECKING:
    from affectkit.tables.table import Table

SUFFIXES = {"elan": ".eaf", "vtt": ".vtt", "boris": ".boris"}
"""By program."""

SHORTEST_S = 0.2
"""Bout in subtitles."""

MOST_KEYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Bout:
    """One stretch of one identity."""

    who: str
    what: str
    """``AU12``, or the name of an expression."""
    kind: str
    """``action unit`` or ``expression``."""
    begin_s: float
    end_s: float


def export(table: Table, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """See :meth:`affectkit.Table.export`."""
    path = Path(path)
    kind = next((name for name, suffix in SUFFIXES.items() if suffix == path.suffix.lower()), None)
    if kind is None:
        raise UnknownSuffix(f"{path}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES.values())}")
    check_target(path, overwrite=overwrite)
    film, bouts = bouts_in(table)
    if kind == "elan":
        _elan(film, bouts, path, overwrite)
        return
    text = _vtt(bouts) if kind == "vtt" else _boris(film, bouts, path.stem)
    prepare_bytes(path, text.encode("utf-8", "replace"), overwrite=overwrite).commit()


def bouts_in(table: Table) -> tuple[Film, list[Bout]]:
    """The input, and all bouts in the order of identities and labels.

    Raises:
        ValueError: the table has several inputs, or no times.
    """
    films = list(films_of(table.columns))
    if len(films) > 1:
        raise ValueError(f"the table has {len(films)} inputs, and annotations are those of one; export them one by one")
    film = films[0]
    if not np.isfinite(film.times).all():
        raise ValueError(f"{film.input}: has no times, which annotations need")
    labels = [(name, "action unit") for name in action_units(table.columns) if f"{name}_c" in table.columns]
    labels += [(name, "expression") for name in expressions(table.columns)]
    found = []
    for track in tracks_of(table.columns, film):
        who = name_of(table, track)
        for name, kind in labels:
            active = active_rows(table.columns, name)
            assert active is not None  # of labels that are decided
            stretches = bouts_of(film, table.columns["frame"][track.rows], active[track.rows])
            found += [Bout(who, name, kind, begin, end) for begin, end in stretches if end > begin]
    return film, found


def elan_library() -> Any:
    """What knows ELAN's files.

    Raises:
        MissingDependency: it is not installed.
    """
    with needs("pympi-ling", "elan", "writing ELAN's files", module="pympi"):
        from pympi import Elan
    return Elan


def _elan(film: Film, bouts: list[Bout], path: Path, overwrite: bool) -> None:
    """Of each identity a tier of expressions, and one for each unit."""
    document = elan_library().Eaf(author="affectkit")
    document.remove_tier("default")
    video = located(film.input, path.parent)
    if video is not None:
        relative = os.path.relpath(video, path.resolve().parent)
        document.add_linked_file(video.resolve().as_uri(), relpath=Path(relative).as_posix(), mimetype=_kind(video))
    last: dict[str, int] = {}
    for tier in dict.fromkeys(
        _tier(bout) for bout in sorted(bouts, key=lambda one: (one.who, one.kind != "expression"))
    ):
        document.add_tier(tier)
    for bout in sorted(bouts, key=lambda one: (_tier(one), one.begin_s)):
        tier = _tier(bout)
        begin = max(round(bout.begin_s * 1000), last.get(tier, 0))  # ELAN has whole milliseconds, and no overlaps
        last[tier] = max(begin + 1, round(bout.end_s * 1000))
        document.add_annotation(tier, begin, last[tier], bout.what)
    partial = PartialFile(path, overwrite=overwrite)
    try:
        document.to_file(str(partial.path))
    except OSError as error:
        partial.discard()
        raise explain_os_error(path, error) from error
    partial.commit()


def _tier(bout: Bout) -> str:
    return f"{bout.who} expression" if bout.kind == "expression" else f"{bout.who} {bout.what}"


def _kind(video: Path) -> str:
    return mimetypes.guess_type(video.name)[0] or "video/mp4"


def _vtt(bouts: list[Bout]) -> str:
    """Subtitles: a line for each identity, new where anything changes; of bouts that last long enough to be read."""
    bouts = [bout for bout in bouts if bout.end_s - bout.begin_s > SHORTEST_S - 1e-6]
    ordered = sorted(bouts, key=lambda one: (one.who, one.kind != "expression"))
    changes: dict[float, list[int]] = {}
    for k, bout in enumerate(ordered):
        for side in (bout.begin_s, bout.end_s):
            changes.setdefault(round(side, 3), []).append(k)
    going: set[int] = set()
    cues: list[tuple[float, float, str]] = []
    for begin, end in pairwise([*sorted(changes), math.inf]):
        for k in changes[begin]:
            going ^= {k}  # it begins, or ends
        told: dict[str, list[str]] = {}
        for k in sorted(going):
            told.setdefault(ordered[k].who, []).append(ordered[k].what)
        text = "\n".join(f"{_plain(who)}: {' '.join(labels)}" for who, labels in told.items())
        if text and cues and cues[-1][1] == begin and cues[-1][2] == text:
            cues[-1] = (cues[-1][0], end, text)
        elif text:
            cues.append((begin, end, text))
    return "WEBVTT\n" + "".join(f"\n{_clock(begin)} --> {_clock(end)}\n{text}\n" for begin, end, text in cues)


def _plain(name: str) -> str:
    """Text that is no markup of subtitles."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("-->", "->")


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds * 1000))
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"


def _boris(film: Film, bouts: list[Bout], name: str) -> str:
    """A project (format 7.0, which BORIS 7 and later read) with one observation: state events of each identity."""
    codes = list(dict.fromkeys(bout.what for bout in sorted(bouts, key=lambda one: (one.kind, one.what))))
    people = list(dict.fromkeys(bout.who for bout in bouts))
    kinds = {bout.what: bout.kind for bout in bouts}
    video = located(film.input)
    file = str(video.resolve()) if video is not None else film.input
    events = [[round(side, 3), b.who, b.what, "", ""] for b in bouts for side in (b.begin_s, b.end_s)]
    usual = float(np.nanmedian(film.lasts)) if len(film.frames) > 1 else 0.0
    observation: dict[str, Any] = {
        "file": {"1": [file]},
        "type": "MEDIA",
        "date": "1970-01-01T00:00:00",  # of the recording, which is not known
        "description": f"Predicted by affectkit from {film.input}",
        "time offset": 0.0,
        "events": sorted(events, key=lambda one: (one[0], one[1], one[2])),
        "independent_variables": {},
        "visualize_spectrogram": False,
        "close_behaviors_between_videos": False,
        "media_info": {
            "length": {file: round(float(film.times[-1] + usual), 3)},
            "fps": {file: round(1 / usual, 3) if usual > 0 else 25.0},
            "hasVideo": {file: True},
            "hasAudio": {file: False},
            "offset": {"1": 0.0},
        },
    }
    project = {
        "time_format": "hh:mm:ss",
        "project_date": "1970-01-01T00:00:00",
        "project_name": name,
        "project_description": "Bouts of action units and expressions",
        "project_format_version": "7.0",
        "subjects_conf": {
            str(k): {"key": str(k) if k < 10 else "", "name": who, "description": ""} for k, who in enumerate(people)
        },
        "behavioral_categories": sorted(set(kinds.values())),
        "behaviors_conf": {
            str(k): {
                "type": "State event",
                "key": MOST_KEYS[k] if k < len(MOST_KEYS) else "",
                "code": code,
                "description": AU_TITLES.get(code, ""),
                "category": kinds[code],
                "modifiers": {},
                "excluded": "",
                "coding map": "",
            }
            for k, code in enumerate(codes)
        },
        "observations": {name: observation},
        "independent_variables": {},
        "coding_map": {},
        "converters": {},
    }
    return json.dumps(project, indent=1, ensure_ascii=False) + "\n"

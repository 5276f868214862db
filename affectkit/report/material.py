"""What a report shows of a table, computed: who is in it, how good the material is, what was left out and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.errors import SourceError
from affectkit.tables.portraits import located, portraits
from affectkit.tables.reading import read_table
from affectkit.tables.summary import Group
from affectkit.tables.table import Table
from affectkit.tables.tracks import Film, Float, Rows, films_of, tracks_of
from affectkit.types import UInt8

MOST_FACES = 12
"""Identities of a clip that have curves: those seen most."""

SMALL_FACE_PX = 40
LOW_QUALITY = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One identity of a clip."""

    face: int
    name: str
    rows: Rows
    group: Group
    portrait: UInt8 | None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One input of a table."""

    name: str
    """File name of the input."""
    path: Path
    """Of the table."""
    table: Table
    film: Film
    video: Path | None
    """The input's file, where it is still there."""
    people: tuple[Person, ...]
    """By time seen, the longest first."""

    @property
    def timed(self) -> bool:
        """Whether it has times."""
        return bool(np.isfinite(self.film.times).all())

    @property
    def seconds(self) -> float:
        """From the first frame's time to the last one's end; NaN without times."""
        return float(self.film.times[-1] + np.nan_to_num(self.film.lasts[-1]) - self.film.times[0])


def clips_of(path: Path) -> list[Clip]:
    """Every input of a table that is read from a file.

    Raises:
        SourceError: it is no table, or has more inputs than a report can show.
    """
    table = read_table(path)
    films = list(films_of(table.columns))
    if len(films) > 60:
        raise SourceError(
            f"{path}: has {len(films)} inputs, too many for a report (at most 60); a folder of pictures is "
            "summed up by affectkit summary"
        )
    groups = {(group.key["input"], group.key["face_id"]): group for group in table.summary()}
    return [_clip(path, table, film, groups) for film in films]


def _clip(path: Path, table: Table, film: Film, groups: Mapping[tuple[Any, Any], Group]) -> Clip:
    video = located(film.input, path.parent)
    tracks = sorted(tracks_of(table.columns, film), key=lambda track: (-len(track.rows), track.face))
    faces = portraits(table, film, video) if video is not None and tracks else {}
    people = []
    for track in tracks:
        group = groups[film.input, track.face]
        name = group.key.get("face_name")
        called = f"face {track.face}" if name is None else f"{name} (face {track.face})"
        people.append(Person(track.face, called, track.rows, group, faces.get(track.face)))
    return Clip(Path(film.input.replace("\\", "/")).name or film.input, path, table, film, video, tuple(people))


def quality_facts(clip: Clip) -> list[tuple[str, str]]:
    """The quality of the material, as pairs of what and how much."""
    columns, rows = clip.table.columns, clip.film.rows
    faces = rows[columns["face_id"][rows] >= 0]
    frames = len(clip.film.frames)
    facts = [("frames in the table", f"{frames}")]
    if clip.timed and frames > 1:
        facts.append(
            ("length", f"{clip.seconds:.1f} s, a frame every {1000 * float(np.nanmedian(clip.film.lasts)):.0f} ms")
        )
    without = frames - len(np.unique(columns["frame"][faces]))
    facts.append(("frames without a face", f"{without} ({without / frames:.0%})".replace("%", " %")))
    if not len(faces):
        return facts
    if "FaceRectWidth" in columns:
        facts.append(("width of the faces", _spread(columns["FaceRectWidth"][faces], "px", 0)))
    facts.append(
        ("detector's confidence", _spread(columns["confidence"][faces])) if "confidence" in columns else ("", "")
    )
    if "quality" in columns:
        quality = columns["quality"][faces]
        low = float((quality < LOW_QUALITY).mean())
        facts.append(
            ("quality of the faces", f"{_spread(quality)}; below {LOW_QUALITY:g} in {low:.0%}".replace("%", " %"))
        )
        for part, where in (("visible_upper", "brows or eyes"), ("visible_lower", "the mouth")):
            hidden = float((columns[part][faces] < 0.7).mean()) if part in columns else 0.0
            if hidden:
                facts.append((f"{where} partly hidden", f"in {hidden:.0%} of the faces".replace("%", " %")))
    if "yaw" in columns and not np.isnan(columns["yaw"][faces]).all():
        turned = float((np.abs(columns["yaw"][faces]) > 30).mean())
        facts.append(("heads turned by more than 30°", f"{turned:.0%}".replace("%", " %")))
    return [fact for fact in facts if fact[0]]


def _spread(values: Float, unit: str = "", digits: int = 2) -> str:
    there = values[~np.isnan(values)]
    if not len(there):
        return "not told"
    low, middle, high = (f"{value:.{digits}f}" for value in np.percentile(there, (5, 50, 95)))
    return f"median {middle}{' ' + unit if unit else ''} (5 % below {low}, 5 % above {high})"


def doubts(clip: Clip) -> list[str]:
    """What of the material should make a reader careful."""
    columns, rows = clip.table.columns, clip.film.rows
    faces = rows[columns["face_id"][rows] >= 0]
    found = []
    if not len(faces):
        return ["No face was found in any frame."]
    if "FaceRectWidth" in columns and float(np.nanmedian(columns["FaceRectWidth"][faces])) < SMALL_FACE_PX:
        found.append(f"Half of the faces are smaller than {SMALL_FACE_PX} px: fine movements cannot be seen.")
    if "quality" in columns and float(np.nanmean(columns["quality"][faces] < LOW_QUALITY)) > 0.2:
        found.append(
            f"More than a fifth of the faces are of a quality below {LOW_QUALITY:g}: small, blurred or turned away."
        )
    brief = [person.name for person in clip.people if (person.group.seconds or math.inf) < 1]
    if brief:
        few = ", ".join(brief[:5]) + (" ..." if len(brief) > 5 else "")
        found.append(f"Seen for less than a second, and perhaps no face or a part of another identity: {few}.")
    if clip.table.meta.get("complete") is False:
        found.append(f"The input could not be read to its end: {clip.table.meta.get('problem')}.")
    if not clip.table.meta:
        found.append("The file TABLE.meta.json is missing: thresholds, model and what was left out are not known.")
    return found


def left_out(clip: Clip) -> list[str]:
    """What is not in the table, or empty, and why."""
    meta, columns, rows = clip.table.meta, clip.table.columns, clip.film.rows
    lines = []
    frames = meta.get("frames")
    for name, words in (("corrupt", "could not be decoded"), ("concealed", "were damaged and repaired by the decoder")):
        if isinstance(frames, Mapping) and frames.get(name):
            lines.append(f"{frames[name]} frames {words}.")
    gone = meta.get("left_out")
    for one in gone.get("first", []) if isinstance(gone, Mapping) else []:
        if isinstance(one, Mapping):
            lines.append(f"{one.get('name')}: {one.get('reason')}.")
    options = meta.get("options")
    for name, words in _OPTIONS.items():
        value = options.get(name) if isinstance(options, Mapping) else None
        if value not in (None, 0, 0.0, 1 if name == "every" else None):
            lines.append(words.format(value))
    if meta.get("min_quality"):
        lines.append(f"Faces of a quality below {meta['min_quality']:g} have no values (--min-quality).")
    changed = meta.get("changed")
    lines += [
        step for one in (changed if isinstance(changed, list) else []) if (step := step_in_words(one, clip.film.input))
    ]
    nothing = sum(person.group.left_out for person in clip.people)
    if nothing:
        lines.append(
            f"In {nothing} of {int((columns['face_id'][rows] >= 0).sum())} rows of faces nothing is told: they "
            "cannot be seen well enough."
        )
    if "yaw" in columns:
        hidden = [f"{name} in {one.left_out}" for name, one in _hidden(clip)]
        if hidden:
            lines.append(
                f"Action units of which a part of the face is hidden are empty: {', '.join(hidden[:8])} frames."
            )
    return lines


_OPTIONS = {
    "start_s": "Frames before {:g} s (--start).",
    "end_s": "Frames from {:g} s on (--end).",
    "every": "All frames but every {}th (--every).",
    "max_faces": "All but the {} largest faces of each frame (--max-faces).",
    "min_confidence": "Faces of which the detector is less sure than {:g} (--min-confidence).",
}


def _hidden(clip: Clip) -> list[tuple[str, Any]]:
    found = []
    for person in clip.people[:1]:
        for name, one in person.group.measures.items():
            if one.kind == "action unit" and one.left_out > person.group.left_out:
                found.append((name, one))
    return found


def step_in_words(step: Any, input: str) -> str:
    """What was done to a table after it was written; empty where that is not known."""
    if not isinstance(step, Mapping):
        return ""
    faces = [one[1] for one in step.get("faces", []) if isinstance(one, list) and len(one) == 2 and one[0] == input]
    gone = f" That took {step.get('rows', 0)} rows" + (f" and face {', '.join(map(str, faces))}." if faces else ".")
    if "min_confidence" in step:
        return f"Faces of which the detector is less sure than {step['min_confidence']}.{gone}"
    if "min_track_s" in step:
        return f"Identities that are seen for less than {step['min_track_s']} s.{gone}"
    if "min_quality" in step:
        return f"Values of faces of a quality below {step['min_quality']}, {step.get('rows', 0)} rows."
    if "drop" in step:
        return f"Face {', '.join(map(str, step['drop']))}, by hand.{gone}"
    if "merge" in step and isinstance(step["merge"], Mapping):
        return (
            "Taken to be the same person, by hand: " + ", ".join(f"{a} and {b}" for a, b in step["merge"].items()) + "."
        )
    return ""

"""Plots of tables and of single frames by matplotlib; the only file that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.errors import needs
from affectkit.face_results import FrameResult
from affectkit.tables.colours import of_identity
from affectkit.tables.columns import action_units
from affectkit.tables.tracks import Film, Float, Track, films_of, tracks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from affectkit.tables.table import Table

_STROKES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
"""Of the columns, where there are several: colours are the identities'."""


_OF_MACHINES = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "Arial Unicode MS", "Apple SD Gothic Neo", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "Noto Sans Devanagari", "Noto Sans Thai"),
)
"""Families that have what DejaVu Sans, matplotlib's own, lacks; those that are not there are left out."""


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Axes to draw into: those given, or of a new figure, which notebooks show and ``pyplot.show`` opens."""
    if ax is not None:
        return ax
    new_figure(size)  # says what is missing
    from matplotlib import pyplot

    drawn: Axes = pyplot.subplots(figsize=size, layout="constrained")[1]
    return drawn


def new_figure(size: tuple[float, float]) -> Figure:
    """A figure that pyplot does not know of.

    Raises:
        MissingDependency: there is no matplotlib.
    """
    with needs("matplotlib", "plot", "plot"):
        from matplotlib.figure import Figure
    return Figure(figsize=size, layout="constrained")


def plot_table(
    table: Table,
    names: Sequence[str],
    *,
    faces: int | Iterable[int] | None = None,
    thresholds: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """See :meth:`affectkit.Table.plot`."""
    names = list(names) or _usual(table)
    for name in names:
        if name not in table.columns or table.columns[name].dtype == object:
            raise ValueError(f"plot: there is no column of numbers {name!r}; the table has {', '.join(table.columns)}")
    films = list(films_of(table.columns))
    if len(films) > 1:
        raise ValueError(f"plot: the table has {len(films)} inputs, whose times have nothing to do with each other")
    tracks = _chosen(tracks_of(table.columns, films[0]), faces)
    ax = _axes(ax, (9, 3))
    timed = bool(np.isfinite(films[0].times).all())
    for track in tracks:
        for k, name in enumerate(names):
            x, y = line_of(table, films[0], track, name)
            label = " ".join((*((name_of(table, track),) if len(tracks) > 1 else ()), name))
            colour = of_identity(track.face if len(tracks) > 1 else k)
            stroke = _STROKES[k % len(_STROKES)] if len(tracks) > 1 else "-"
            ax.plot(x, y, color=colour, linestyle=stroke, linewidth=1.3, label=label)
    known = table.meta.get("au_thresholds") if thresholds else None
    for name in names:
        limit = known.get(name) if isinstance(known, dict) else None
        if isinstance(limit, int | float):
            ax.axhline(limit, color="#555555", linewidth=0.8, linestyle=(0, (2, 3)), label=f"threshold of {name}")
    ax.set_xlabel("time (s)" if timed else "frame")
    if all(name in ("valence", "arousal") for name in names):
        ax.set_ylim(-1.05, 1.05)
    if all(name in action_units(table.columns) or name.endswith("_i") for name in names):
        ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel(names[0] if len(names) == 1 else "")
    title = films[0].input.replace("\\", "/").rsplit("/", 1)[-1]
    ax.set_title(title, loc="left", fontsize="medium", family=_families(title))
    if len(names) * len(tracks) > 1 or ax.get_legend_handles_labels()[0][1:]:
        families = _families(*map(str, ax.get_legend_handles_labels()[1]))
        letters = {"size": "small", **({"family": families} if families else {})}
        ax.legend(prop=letters, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _families(*texts: str) -> list[str] | None:
    """Families to set these texts in; None: matplotlib's usual ones have all their letters."""
    from matplotlib import font_manager

    usual = font_manager.FontProperties().get_family()
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    if all(font.get_char_index(ord(letter)) for text in texts for letter in text if letter.isprintable()):
        return None
    there = {entry.name for entry in font_manager.fontManager.ttflist}
    return [*usual, *(family for family in _OF_MACHINES if family in there)]


def _usual(table: Table) -> list[str]:
    """What is worth a first look."""
    if "valence" in table.columns:
        return ["valence", "arousal"]
    units = action_units(table.columns)
    if not units:
        raise ValueError("plot: name a column; the table has neither valence nor action units")
    columns = {unit: table.columns[unit] for unit in units}
    means = {unit: -1.0 if np.isnan(one).all() else float(np.nanmean(one)) for unit, one in columns.items()}
    return [max(units, key=lambda unit: means[unit])]


def _chosen(tracks: list[Track], faces: int | Iterable[int] | None) -> list[Track]:
    if faces is None:
        return tracks
    wanted = [faces] if isinstance(faces, int) else list(faces)
    known = [track.face for track in tracks]
    for face in wanted:
        if face not in known:
            raise ValueError(f"plot: there is no face {face}; the table has {', '.join(map(str, known)) or 'none'}")
    return [track for track in tracks if track.face in wanted]


def line_of(table: Table, film: Film, track: Track, name: str) -> tuple[Float, Float]:
    """Times (s, or frames without times) and values of a curve, with NaN over every gap."""
    x, y = [np.asarray(one, np.float64) for one in (film.times, np.full(len(film.frames), np.nan))]
    if not np.isfinite(x).all():
        x = film.frames.astype(np.float64)
    y[film.places(table.columns["frame"][track.rows])] = table.columns[name][track.rows]
    return x, y


def name_of(table: Table, track: Track) -> str:
    """What an identity is called."""
    names = table.columns.get("face_name")
    name = None if names is None else names[track.rows[0]]
    return f"face {track.face}" if name is None else str(name)


def plot_result(result: FrameResult, ax: Axes | None = None) -> Axes:
    """See :meth:`affectkit.FrameResult.plot`."""
    ax = _axes(ax, (8, 5))
    from matplotlib.patches import Rectangle

    if result.image is not None:
        height, width = result.image.shape[:2]
        ax.imshow(result.image, extent=(-0.5, width * result.reduced - 0.5, height * result.reduced - 0.5, -0.5))
    else:
        ax.set_aspect("equal")
        ax.invert_yaxis()
    for face in result.faces:
        x, y, width, height = face.box
        colour = of_identity(face.track_id)
        ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=2))
        ax.plot(face.landmarks[:, 0], face.landmarks[:, 1], "o", color=colour, markersize=2.5)
        ax.text(
            x,
            y - 4,
            _caption(face),
            color="white",
            fontsize=9,
            va="bottom",
            bbox={"facecolor": colour, "pad": 2, "lw": 0},
        )
    if result.image is None:
        ax.autoscale_view()
    ax.set_title(repr(result).strip("<>").removeprefix("FrameResult "), loc="left", fontsize="medium")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def _caption(face: Any) -> str:
    active = [name for name, on in zip(face.affect.labels.action_units, face.affect.au_active, strict=True) if on]
    units = " ".join(name.removeprefix("AU").lstrip("0") for name in active[:8])
    return " ".join(
        part for part in (str(face.track_id), face.affect.expression, f"AU {units}" if units else "") if part
    )

"""Pictures of the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from truth import library

Numbers = dict[str, Any]


def draw_all(folder: Path, target: Path, results: Numbers, told: dict[str, pd.DataFrame], stills: pd.DataFrame) -> None:
    """Write curves.png, cross_talk.png, together.png (with real pictures) and contact_sheet.jpg."""
    import matplotlib

    matplotlib.use("Agg")
    curves(results["models"], target / "curves.png")
    matrices(
        {
            name: (one["cross_talk"]["matrix"], one["cross_talk"]["driven"], one["units"])
            for name, one in results["models"].items()
        },
        "share of decisions on; one unit (row) driven at .75 to 1",
        target / "cross_talk.png",
    )
    real = {name: one for name, one in results["models"].items() if "real" in one}
    if real:
        matrices(
            {name: (one["real"]["together"], one["units"], one["units"]) for name, one in real.items()},
            "FER+ valid: share of faces with both on",
            target / "together.png",
        )
    contact_sheet(folder, stills, told, target / "contact_sheet.jpg")


def curves(models: Numbers, target: Path) -> None:
    """Each unit alone at 0 to 1: mean answer, the middle half of the heads, and the truth."""
    from matplotlib import pyplot

    units = sorted({unit for one in models.values() for unit in one["units"]}, key=lambda unit: int(unit[2:]))
    rows = -(-len(units) // 5)
    figure, axes = pyplot.subplots(rows, 5, figsize=(13, 2.5 * rows), sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(units) :]:
        axis.set_visible(False)
    for axis, unit in zip(axes.flat, units, strict=False):
        truth = None
        for k, (name, one) in enumerate(models.items()):
            curve = one["curves"]["by_unit"].get(unit)
            if curve is None:
                continue
            axis.plot(curve["levels"], curve["mean"], f"C{k}o-", label=name, markersize=3)
            axis.fill_between(curve["levels"], *np.asarray(curve["quarters"]).T, color=f"C{k}", alpha=0.15)
            truth = curve
        if truth:
            axis.plot(truth["levels"], truth["truth"], "k:", linewidth=1, label="truth")
        axis.set_title(unit, fontsize=9)
        axis.set_ylim(-0.03, 1.03)
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("driven alone at")
    figure.tight_layout()
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def matrices(found: dict[str, tuple[Any, list[str], list[str]]], title: str, target: Path) -> None:
    """One matrix of shares a model, side by side."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(5.4 * len(found), 5.2), squeeze=False)
    for axis, (name, (matrix, rows, columns)) in zip(axes.flat, found.items(), strict=True):
        values = np.asarray(matrix, float)
        axis.imshow(values, cmap="magma_r", vmin=0, vmax=1)
        axis.set_xticks(range(len(columns)), [unit[2:] for unit in columns], fontsize=7)
        axis.set_yticks(range(len(rows)), [unit[2:] for unit in rows], fontsize=7)
        for y, x in np.argwhere(np.nan_to_num(values) >= 0.1):
            shade = "white" if values[y, x] > 0.5 else "black"
            axis.text(x, y, f"{100 * values[y, x]:.0f}", ha="center", va="center", fontsize=5, color=shade)
        axis.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(target, dpi=120)
    pyplot.close(figure)


def contact_sheet(
    folder: Path, stills: pd.DataFrame, told: dict[str, pd.DataFrame], target: Path, columns: int = 10, rows: int = 8
) -> None:
    """Random combinations and hidden faces of all heads, with the units that are there and those told to be on."""
    chosen = pd.concat([stills[stills["part"] == part] for part in ("random", "driven", "hidden", "distractor")])
    chosen = chosen.iloc[np.linspace(0, len(chosen) - 1, columns * rows).astype(int)]
    units = [name for name in stills if name.startswith("AU")]
    answers = {name: table[table["spoilt"] == ""].set_index("name") for name, table in told.items()}
    images = dict(library.pictures(folder, chosen))
    tiles = []
    for _, row in chosen.iterrows():
        image = images[row["name"]]
        tile = np.full((192 + 14 * (1 + len(answers)), 192, 3), 20, np.uint8)
        tile[: image.shape[0]] = image[:192]
        lines = [("truth", [unit for unit in units if row[unit] >= 0.5])]
        for name, table in answers.items():
            one = table.loc[row["name"]]
            on = [column[2:] for column in table if column.startswith("c.") and one[column] == 1]
            lines.append((name, on if one["found"] else ["not found"]))
        for k, (name, names) in enumerate(lines):
            text = f"{name[:9]}: {' '.join(unit.removeprefix('AU') for unit in names)}"
            place = (2, 192 + 14 * k + 11)
            cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, _SHADES[k % 4], 1, cv2.LINE_AA)
        tiles.append(tile)
    sheet = np.concatenate([np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)])
    cv2.imwrite(str(target), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


_SHADES = ((255, 255, 255), (255, 220, 60), (120, 220, 255), (255, 150, 150))

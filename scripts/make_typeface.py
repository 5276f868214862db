"""Make affectkit/outputs/typeface/, what texts with other letters than ASCII's are drawn in: part of DejaVu Sans.

``python scripts/make_typeface.py`` takes the typeface that comes with matplotlib, by fonttools, which matplotlib needs.
The whole is 740 kB; its letters for writing, without instructions for coarse screens, are 150.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib
from fontTools import subset

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
TARGET = Path(__file__).resolve().parent.parent / "affectkit" / "outputs" / "typeface"

LETTERS = (
    (0x20, 0x7E),
    (0xA0, 0x24F),  # Latin
    (0x300, 0x345),  # accents that follow their letter
    (0x370, 0x52F),  # Greek, Cyrillic
    (0x531, 0x58A),  # Armenian
    (0x5D0, 0x6FF),  # Hebrew, Arabic
    (0x10D0, 0x10FF),  # Georgian
    (0x1E00, 0x1EFF),  # Latin of Vietnam and others
    (0x2010, 0x205E),  # dashes and quotation marks
    (0x20A0, 0x20BF),  # currencies
    (0x2116, 0x2122),  # number sign, trade mark
)


def main() -> None:
    options = subset.Options(hinting=False, layout_features=["*"], notdef_outline=True, drop_tables=["FFTM"])
    font = subset.load_font(str(FONTS / "DejaVuSans.ttf"), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for first, last in LETTERS for code in range(first, last + 1)])
    subsetter.subset(font)
    TARGET.mkdir(exist_ok=True)
    font["head"].modified = font["head"].created  # the same bytes whenever it is made
    font.recalcTimestamp = False
    subset.save_font(font, str(TARGET / "DejaVuSans.ttf"), options)
    shutil.copy(FONTS / "LICENSE_DEJAVU", TARGET / "LICENSE.dejavu")
    print(f"{(TARGET / 'DejaVuSans.ttf').stat().st_size} bytes")


if __name__ == "__main__":
    main()

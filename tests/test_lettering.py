"""Texts of videos and contact sheets: names of people and files are written in many ways."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from affectkit.outputs import lettering
from affectkit.outputs.contact_sheet import ContactSheet
from affectkit.outputs.lettering import DEJAVU, line_height, set_in, shortened, sprite, text_width
from affectkit.picture import RgbPicture
from affectkit.types import Detection, Frame, TrackedFace, TrackedFrame

INK, GROUND = (255, 255, 255), (0, 0, 0)

NAMES = [
    *("Zoë", "Łukasz", "Søren", "François", "Győző", "Ángel Ñandú", "Şükrü", "Nguyễn Thị Ấm", "Ķekava"),
    *("Анна", "Ґанна", "Ελένη", "Ἀθήνη", "Թամար", "თამარ", "שרה", "فاطمة", "“quoted” – ‘so’ …", "№ 5 €"),
]


@pytest.fixture
def afresh() -> Iterator[None]:
    """Nothing is remembered of the typefaces that are there."""
    for remembered in (set_in, text_width, shortened, sprite, lettering._installed, lettering._has):
        remembered.cache_clear()
    yield
    for remembered in (set_in, text_width, shortened, sprite, lettering._installed, lettering._has):
        remembered.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_in_its_own_letters(name: str, afresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "OF_MACHINES", ())  # with what the package has
    assert set_in(name) == (DEJAVU, name)
    drawn = sprite(name, 16, INK, GROUND)
    assert drawn.shape == (line_height(16), text_width(name, 16), 3) and drawn.max() > 200
    for letter in {c for c in name if unicodedata.category(c)[0] == "L"}:
        one = sprite(letter, 24, INK, GROUND)
        for other in ("?", chr(0xF0000)):  # the second is drawn as what no typeface has
            unlike = lettering._font(DEJAVU, 24).getmask(other)
            assert one.shape[:2] != unlike.size[::-1] or bytes(one[..., 0]) != bytes(unlike)


@pytest.mark.parametrize("size", [12, 13, 15, 22, 40])
def test_no_letter_is_cut_off(size: int) -> None:
    """Accents lie above capitals, and some letters reach far below the line."""
    for name in ("ẤẪỠŮÅĚ", "Ģçg Ķņ", "Ǘa", "ΐΰᾨ", "ЁЙЇҐЦЩ"):
        whole = Image.new("L", (text_width(name, size), 3 * size))
        font = lettering._font(DEJAVU, size)
        ImageDraw.Draw(whole).text((0, 2 * size), name, 255, font=font, anchor="ls")
        assert sprite(name, size, INK, GROUND)[..., 0].sum() == np.asarray(whole).sum(dtype=int), name


def test_ascii_is_set_as_before() -> None:
    assert set_in("face 0: AU12 .5") == ("", "face 0: AU12 .5")


def test_one_name_has_one_look(afresh: None) -> None:
    """A Mac writes e and its accent as two characters; marks of direction and breaks of lines are not seen."""
    assert set_in("Zoe\u0308") == set_in("Zoë")
    assert set_in("\u202bשרה\u202c.mp4")[1] == "שרה.mp4" and set_in("one\ntwo")[1] == "one two"
    np.testing.assert_array_equal(sprite("Zoe\u0308", 16, INK, GROUND), sprite("Zoë", 16, INK, GROUND))


def test_other_letters_are_in_a_typeface_of_the_machine(afresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The typeface of matplotlib stands for one of a system: it has signs that the package's part of it lacks."""
    matplotlib = pytest.importorskip("matplotlib")
    whole = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    monkeypatch.setattr(lettering, "OF_MACHINES", ("no such typeface.ttf",))
    assert set_in("Zoë ♫") == (DEJAVU, "Zoë ?")
    set_in.cache_clear()
    monkeypatch.setattr(lettering, "OF_MACHINES", ("no such typeface.ttf", whole))
    assert set_in("Zoë ♫") == (whole, "Zoë ♫") and set_in("Zoë") == (DEJAVU, "Zoë")


def test_the_sheet_names_its_film(tmp_path: Path) -> None:
    """A contact sheet had "?eskomoravsk?" for the name of a file."""
    points = np.full((5, 2), np.nan, np.float32)
    face = TrackedFace(0, Detection((20, 20, 40, 40), 0.99, points))
    sheets = []
    for name in ("Žluťoučký kůň.mp4", "Žluťoučký kůr.mp4"):
        sheet = ContactSheet(name)
        sheet.add(TrackedFrame(Frame(0, 0.0, RgbPicture(np.zeros((100, 100, 3), np.uint8)), "clip"), (face,)))
        sheets.append(sheet.draw())
    assert not np.array_equal(*sheets)  # the last letter counts: nothing was cut
    assert shortened("Žluťoučký kůň.mp4", 15, 308) == "Žluťoučký kůň.mp4"


@pytest.mark.parametrize("size", [12, 13, 19, 31])
def test_a_text_made_of_words_is_what_pillow_sets(size: int) -> None:
    """Pixel for pixel, letters that reach out of their place among them."""
    texts = [
        "frame 123   4.1 s of 10.3 s",
        "1 happiness 0.47",
        "AU12  Lip Corner Puller",
        "fjord  j jj  ffV (/) Y",
        " ",
        "j",
    ]
    for text in texts:
        letters = Image.new("L", (text_width(text, size), line_height(size)))
        font = lettering._font("", size)
        ImageDraw.Draw(letters).text((0, size), text, 255, font=font, anchor="ls")
        assert text_width(text, size) == np.ceil(font.getlength(text))
        drawn = sprite(text, size, INK, GROUND)
        assert np.array_equal(drawn, np.repeat(np.array(letters)[:, :, None], 3, axis=2)), text


def test_words_that_were_set_are_not_set_again(afresh: None) -> None:
    lettering._word.cache_clear()
    for index in range(20):
        sprite(f"frame {index}   of 20", 13, INK, GROUND)
    assert lettering._word.cache_info().misses == 1 + 2 + 21  # the space, "frame" and "of", 0 to 20

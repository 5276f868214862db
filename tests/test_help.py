"""``help()`` on results tells what their fields are."""

from __future__ import annotations

import dataclasses
import pickle
import pydoc

import pytest

import affectkit
from affectkit import Detection

RESULTS = (
    *("Affect", "Detection", "Face", "Frame", "FrameResult", "Group", "LeftOut", "Measure", "SourceInfo"),
    *("SourceReport", "Summary", "Table", "TrackedFace", "TrackedFrame"),
)


@pytest.mark.parametrize("name", RESULTS)
def test_each_field_has_its_type_in_the_help(name: str) -> None:
    kind = getattr(affectkit, name)
    text = pydoc.plain(pydoc.render_doc(kind))
    for field in dataclasses.fields(kind):
        assert f"|  {field.name}\n |      {field.type}." in text, field.name


def test_meanings_are_those_of_the_source() -> None:
    text = pydoc.plain(pydoc.render_doc(affectkit.Face))
    assert "|  score\n |      float. The detector's confidence, 0..1.\n" in text
    assert "x, y, width, height in px of the file's picture." in text
    assert "Presentation time in seconds; NaN where the source has none." in pydoc.render_doc(affectkit.FrameResult)


def test_slots_with_texts_work_as_others_do() -> None:
    found = Detection((1, 2, 3, 4), 0.5)
    again = pickle.loads(pickle.dumps(found))
    assert again.box == (1, 2, 3, 4) and not hasattr(found, "__dict__")
    with pytest.raises((AttributeError, TypeError)):
        found.other = 1  # type: ignore[attr-defined]

"""The calmest seconds of a face: which they are, and when there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_baseline import Faces, brightness_engine, pictures

from affectkit import Predictor
from affectkit.baseline.calmest import _REASONS, CalmestSeconds
from affectkit.baseline.finders import all_of
from affectkit.baseline.neutral import Baselines, Seen

UNITS = ("AU01", "AU04", "AU12", "AU25")
FPS = 25
REST = (0.9, 0.1, 0.02, 0.1)
"""High brows."""


def scene(*parts: tuple[float, tuple[float, ...] | str, float], track: int = 0, start: int = 0) -> list[Seen]:
    """Frames of parts: seconds, values (or ``talk``: they go up and down), probability of ``neutral``."""
    found: list[Seen] = []
    for seconds, what, neutral in parts:
        for k in range(round(seconds * FPS)):
            index = start + len(found)
            values = np.array(REST if isinstance(what, str) else what, np.float64)
            if what == "talk":
                values[2:] = 0.5 + 0.4 * math.sin(k)
            found.append(Seen(index, index / FPS, track, values, neutral=neutral))
    return found


def found_in(rows: list[Seen], units: tuple[str, ...] = UNITS) -> Baselines:
    return all_of(CalmestSeconds(units), sorted(rows, key=lambda seen: (seen.index, seen.track)))


SMILE = (0.95, 0.05, 0.95, 0.8)


def test_the_calmest_second_is_found() -> None:
    rows = scene((4, "talk", 0.8), (3, SMILE, 0.3), (1.4, REST, 0.8), (4, "talk", 0.8))
    found = found_in(rows)
    np.testing.assert_allclose(found.found[0].values, REST)
    (stretch,) = found.found[0].seconds
    assert stretch[0] >= 7 and stretch[1] <= 8.4 and stretch[1] - stretch[0] >= 0.99
    assert not found.without and not found.remarks()


def test_a_held_smile_is_as_still_but_not_calm() -> None:
    """It is taken neither where it is all there is, nor where it is longer than the rest."""
    assert found_in(scene((20, SMILE, 0.01))).without == {0: _REASONS[2]}
    np.testing.assert_allclose(found_in(scene((20, SMILE, 0.4), (1.4, REST, 0.6))).found[0].values, REST)


def test_who_talks_from_beginning_to_end_has_no_neutral() -> None:
    found = found_in(scene((30, "talk", 0.9)))
    assert found.without == {0: _REASONS[1]} and "face 0: has no second in which it is still" in found.remarks()[0]


def test_who_is_seen_too_shortly_has_none() -> None:
    rows = scene((0.9, REST, 0.9)) + scene((10, REST, 0.9), track=1)[::20] + scene((5, REST, 0.9), track=2)
    found = found_in(rows)
    assert list(found.found) == [2] and found.without == {0: _REASONS[0], 1: _REASONS[0]}


def test_slow_cameras_take_longer_windows() -> None:
    """Ten frames are needed; at two frames a second these are five seconds."""
    rows = [Seen(k, k / 2, 0, np.array(REST), neutral=0.9) for k in range(12)]
    assert found_in(rows).found[0].frames == 10


def test_nothing_reaches_over_a_cut_or_a_gap() -> None:
    rows = scene((0.8, REST, 0.9)) + [
        Seen(s.index, s.time_s, 0, s.values, s.index == 20, 0.9) for s in scene((0.8, REST, 0.9), start=20)
    ]
    assert found_in(rows).without == {0: _REASONS[0]}
    frames = scene((2.5, REST, 0.9), track=1)  # another person is there all the time
    gone = [s for s in scene((2.5, REST, 0.9)) if not 20 <= s.index < 35]
    assert 0 in found_in(frames + gone).found and 0 not in found_in(frames + gone[:40]).found
    hidden = [
        Seen(s.index, s.time_s, 0, np.full(4, np.nan) if 20 <= s.index < 35 else s.values, neutral=0.9)
        for s in scene((1.6, REST, 0.9))
    ]
    assert found_in(hidden).without == {0: _REASONS[0]}


def test_several_calm_seconds_outvote_one() -> None:
    other = (0.9, 0.14, 0.02, 0.1)
    found = found_in(scene((4, REST, 0.9), (2, "talk", 0.9), (1.4, other, 0.9))).found[0]
    np.testing.assert_allclose(found.values, REST)
    assert len(found.seconds) == 4 and found.seconds == tuple(sorted(found.seconds))
    assert all(before[1] <= after[0] for before, after in zip(found.seconds, found.seconds[1:], strict=False))


def test_poor_pictures_do_not_count() -> None:
    def seen(quality: float, start: int, count: int, level: float) -> list[Seen]:
        return [
            Seen(k, k / FPS, 0, np.full(4, level), neutral=0.9, quality=quality) for k in range(start, start + count)
        ]

    assert found_in(seen(0.1, 0, 60, 0.05)).without == {0: _REASONS[3]}
    np.testing.assert_allclose(found_in(seen(0.1, 0, 60, 0.05) + seen(0.8, 60, 60, 0.1)).found[0].values, 0.1)


def test_what_is_hidden_has_no_baseline() -> None:
    masked = [
        Seen(s.index, s.time_s, 0, np.array([0.9, 0.1, np.nan, np.nan]), neutral=0.9) for s in scene((3, REST, 0.9))
    ]
    np.testing.assert_allclose(found_in(masked).found[0].values, [0.9, 0.1, np.nan, np.nan])
    # Seconds in which more can be seen come first.
    shown = scene((1.4, REST, 0.9), start=75)
    np.testing.assert_allclose(found_in(masked + shown).found[0].values, REST)


def test_an_open_mouth_is_no_trait() -> None:
    """AU25 is scored as it is seen; its intensity goes with it."""
    open_mouth = (0.9, 0.1, 0.02, 0.97, 0.4, 0.0, 0.0, 0.6)
    np.testing.assert_allclose(
        found_in(scene((2, open_mouth, 0.9))).found[0].values, [0.9, 0.1, 0.02, np.nan, 0.4, 0.0, 0.0, np.nan]
    )


def test_models_without_expressions_and_quality() -> None:
    rows = [Seen(s.index, s.time_s, 0, s.values) for s in scene((2, SMILE, 0), (2, REST, 0))]
    np.testing.assert_allclose(found_in(rows).found[0].values, REST)


def test_little_is_held_however_long_it_is() -> None:
    finder = CalmestSeconds(UNITS)
    for k in range(5_000):
        finder.add(Seen(k, k / FPS, k // 100, np.array(REST), neutral=0.9))  # another person every four seconds
    assert len(finder._open) <= 66 and len(finder._best) == 50
    assert max(len(best) for best in finder._best.values()) <= 35
    for k in range(5_000, 7_500):
        finder.add(Seen(k, k / FPS, 999, np.array(REST), neutral=0.9))
    assert len(finder._best[999]) <= 35 and len(finder._open[999].seen) <= FPS + 1


@pytest.fixture
def predictor(tiny: Any) -> Iterator[Predictor]:
    told = {
        20: {"AU01": 0.95, "AU12": 0.02, "neutral": 0.8},
        80: {"AU01": 0.97, "AU12": 0.9, "neutral": 0.05},
        140: {"AU01": 0.99, "AU12": 0.1, "neutral": 0.3},
        200: {"AU01": 0.1, "AU12": 0.7, "neutral": 0.6},
    }
    with Predictor(tiny, detector=Faces(2), engine=brightness_engine(told)) as made:
        yield made


def test_high_brows_are_told_relative_to_themselves(predictor: Predictor) -> None:
    """Two people: one with high brows who smiles and raises them; one who smiles from beginning to end."""
    frames = pictures(*[(80, 80)] * 20, *[(20, 80)] * 15, *[(140, 80)] * 10, *[(200, 80)] * 5)
    table = predictor.predict(frames, fps=10, baseline="auto")
    mine = table["face_id"] == 0
    assert table["AU01_raw"][mine].round(2).tolist() == [0.97] * 20 + [0.95] * 15 + [0.99] * 10 + [0.1] * 5
    assert table["AU01_c"][mine].tolist() == [0] * 35 + [1] * 10 + [0] * 5
    assert table["AU01"][mine] == pytest.approx([0.4] * 20 + [0] * 15 + [0.8] * 10 + [0] * 5, abs=0.01)
    assert table["AU12_c"][mine].tolist() == [1] * 20 + [0] * 25 + [1] * 5
    other = table["face_id"] == 1
    assert set(table["baseline"][other]) == {0} and (table["AU12"] == table["AU12_raw"])[other].all()
    assert set(table["baseline"][mine]) == {1}

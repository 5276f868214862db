"""The scores of benchmarks/au_truth.py, against numbers worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="affectkit.train needs it")

from affectkit.train.datasets.blendshapes import LIPS

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from truth import ask, cast, files, measures, report, scores, shots, talking

pytestmark = pytest.mark.slow

NAN = float("nan")


def test_pearson_by_hand() -> None:
    # deviations (-1, 0, 1) and (-1, -1, 2): 3 / sqrt(2 * 6)
    assert scores.pearson(np.array([0, 1, 2]), np.array([1, 1, 4])) == pytest.approx(3 / np.sqrt(12))
    assert scores.pearson(np.array([0, 1, 2, 9]), np.array([1, 1, 4, NAN])) == pytest.approx(3 / np.sqrt(12))
    assert scores.pearson(np.array([0, 1, 2]), np.array([0.3, 0.3, 0.3])) == 0  # it says nothing
    assert np.isnan(scores.pearson(np.array([1, 1, 1]), np.array([1, 2, 3])))  # there is nothing to say
    assert np.isnan(scores.pearson(np.array([0, 1, 2]), np.array([1, NAN, 2])))  # two values fit any line


def test_within_heads_does_not_see_what_differs_between_heads() -> None:
    heads = np.array([1, 1, 1, 2, 2, 2])
    truth = np.array([0.0, 0.5, 1.0, 0.0, 0.5, 1.0])
    told = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    assert scores.pearson_within(heads, truth, told) == pytest.approx(1)
    assert scores.pearson_centred(heads, truth, told) == pytest.approx(1)
    # deviations (-.5, 0, .5) twice and (-.5, -.4, -.3, .3, .4, .5): .2 / sqrt(1 * 1)
    assert scores.pearson(truth, told) == pytest.approx(0.2)
    turned = np.array([0.0, 0.1, 0.2, 1.0, 0.9, 0.8])
    assert scores.pearson_within(heads, truth, turned) == pytest.approx(0)  # the mean of 1 and -1


def test_a_head_on_which_a_unit_never_moves_does_not_count() -> None:
    heads = np.array([1, 1, 1, 2, 2, 2])
    truth = np.array([0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
    assert scores.pearson_within(heads, truth, np.array([0.0, 0.5, 1.0, 0.4, 0.1, 0.3])) == pytest.approx(1)


def test_f1_by_hand() -> None:
    present = np.array([1, 1, 1, 0, 0], bool)
    # two hits, one miss (the empty one), one false alarm: 4 / (4 + 2)
    assert scores.f1(present, np.array([1, 1, NAN, 1, 0])) == pytest.approx(4 / 6)
    assert scores.f1(present, np.full(5, NAN)) == 0  # faces not found are missed
    assert np.isnan(scores.f1(np.zeros(3, bool), np.zeros(3)))


def test_best_f1_by_hand() -> None:
    present = np.array([1, 0, 1, 0], bool)
    # thresholds .9: 2/3, .8: 2/4, .7: 4/5, .1: 4/6
    assert scores.best_f1(present, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(4 / 5)
    # equal values cannot be told apart: only all three or none
    assert scores.best_f1(present, np.array([0.9, 0.9, 0.9, 0.1])) == pytest.approx(4 / 5)
    assert scores.best_f1(present, np.array([NAN, 0.9, 0.8, NAN])) == pytest.approx(2 / 4)
    assert scores.best_f1(present, np.full(4, NAN)) == 0


def test_only_what_is_absent_can_be_a_false_alarm() -> None:
    truth = np.array([0.0, 0.1, 0.3, 0.9, 0.0])
    decided = np.array([1, 0, 1, 1, NAN])
    assert scores.on_share(truth, decided) == pytest.approx(1 / 3)
    assert scores.on_share(truth, decided, below=0.5) == pytest.approx(2 / 4)
    assert np.isnan(scores.on_share(np.array([0.9]), np.array([1.0])))


def test_cross_talk_by_hand() -> None:
    driven, units = ["AU26", "AU26", "AU12", "AU12"], ["AU12", "AU25"]
    truth = np.array([[0, 0.8], [0, 0.1], [1, 0], [1, 0]])  # a dropped jaw parted the lips once
    decided = np.array([[1.0, 1.0], [0, 1], [1, 0], [1, NAN]])
    found = scores.cross_talk(driven, units, truth, decided)
    np.testing.assert_allclose(found, [[0.5, 1.0], [NAN, 0.0]])


def test_a_curve_rises_only_if_every_step_does() -> None:
    levels = np.repeat([0, 0.5, 1.0], 2)
    assert scores.rises(levels, np.array([0, 0.2, 0.1, 0.3, 0.3, 0.3]))
    assert not scores.rises(levels, np.array([0, 0.2, 0.1, 0.3, 0.2, 0.2]))
    assert not scores.rises(levels, np.array([0, 0.2, 0.1, 0.3, NAN, NAN]))


def test_changes_a_second_by_hand() -> None:
    # five shown frames are four steps, two of which change: 2 / (4 / 25 s)
    assert scores.changes_a_second(["a", "a", "b", "", "b", "a"], 25) == pytest.approx(12.5)
    assert np.isnan(scores.changes_a_second(["a", "", ""], 25))


def test_half_rise_by_hand() -> None:
    values = np.array([0, 0, 0, 0, 0.25, 0.75, 1, 1, 1, 1])
    assert scores.half_rise(values, 3, 3) == pytest.approx(4.5)
    spike = values.copy()
    spike[1] = 0.9  # one frame is no onset; it lifts the level before to .3 and the middle to .65
    assert scores.half_rise(spike, 3, 3) == pytest.approx(4.8)
    assert np.isnan(scores.half_rise(1 - values, 3, 3))


def test_the_delay_of_an_answer_is_told_in_frames() -> None:
    truth = talking.course_of_onset(talking.ONSET_FRAMES)
    late = np.concatenate([np.zeros(4), truth[:-4]])
    assert measures._delay(truth, 0.1 + 0.6 * late) == pytest.approx(4)
    assert measures._delay(truth, truth) == 0
    assert np.isnan(measures._delay(truth, 0.1 * truth))  # it hardly moves: not seen
    assert np.isnan(measures._delay(truth, np.full(len(truth), NAN)))


def test_the_heads_are_of_the_test_part_and_of_every_kind() -> None:
    from affectkit.train.render.people import person, split_of

    heads, others = cast.numbers(())
    assert (len(set(heads)), len(set(others)), len(set(heads) & set(others))) == (24, 40, 0)
    assert all(number >= cast.FIRST and split_of(cast.SEED, number) == "test" for number in [*heads, *others])
    for k in range(0, 24, 8):  # also of those of --quick
        assert len({cast.cell(person(cast.SEED, number, ())) for number in heads[k : k + 8]}) == 8


def test_the_shots_of_a_head_are_the_same_every_time() -> None:
    some = shots.shots_of(100_033)
    assert [shot.name for shot in some] == [shot.name for shot in shots.shots_of(100_033)]
    assert len({shot.name for shot in some}) == len(some)
    assert some[7].strengths == shots.shots_of(100_033)[7].strengths
    curve = [shot for shot in some if shot.part == "curve"]
    assert len(curve) == 1 + 4 * 19 and {shot.level for shot in curve} == {0, 0.25, 0.5, 0.75, 1}
    assert all(abs(shot.pose[1]) <= 30 for shot in some if shot.part == "neutral" and shot.pose)


def test_a_smaller_set_is_part_of_a_larger_one() -> None:
    heads, others = list(range(24)), list(range(100, 140))
    small, middle, large = (files.files_of(heads, others, count) for count in (8, 16, 24))
    assert small.items() <= middle.items() <= large.items()
    kinds = [kind for kind, _, _ in large.values()]
    assert (kinds.count("head"), kinds.count("neutral")) == (24, 40)
    assert (kinds.count("talk"), kinds.count("onset")) == (talking.TALKS, talking.ONSETS)
    assert len(small) <= len(large) / 2.5


def test_blendshapes_are_read_as_units() -> None:
    names = ("browOuterUp", "browDown", "eyeSquint", "mouthSmile", "mouthFrown", "mouthStretch", "eyeWide", "eyeBlink")
    others = ("noseSneer", "mouthUpperUp", "mouthDimple", "mouthPress")
    raw = {f"{name}{side}": 0.0 for name in (*names, *others) for side in ("Left", "Right")}
    raw |= dict.fromkeys(("browInnerUp", "jawOpen", "mouthPucker", "mouthShrugLower"), 0.0)
    raw |= {"eyeWideLeft": 0.6, "eyeWideRight": 0.8, "jawOpen": 0.3, "browInnerUp": 0.4}
    mesh = np.arange(2 * 478, dtype=float).reshape(478, 2)
    mesh[list(LIPS)] = 0.0
    told = ask.blendshape_units(raw, mesh)
    assert told["AU5"] == pytest.approx(0.7) and told["AU26"] == pytest.approx(0.3)
    assert told["AU1"] == 0.5 and told["AU25"] == 0  # at the threshold of the shared sets' labels; lips closed
    assert set(told) == set(ask.MediaPipe.units) and "AU23" not in told


def test_pictures_are_spoilt_as_named() -> None:
    image = np.full((60, 90, 3), 200, np.uint8)
    assert ask.spoil(image, "size .5", 0).shape == (30, 45, 3)
    assert ask.spoil(image, "dark .3", 0).max() == 60
    noisy = ask.spoil(image, "noise 20", 3)
    assert 15 < noisy.astype(float).std() < 25 and np.array_equal(noisy, ask.spoil(image, "noise 20", 3))
    assert all(ask.spoil(image, way, 0).dtype == np.uint8 for way in ask.SPOILS)


def _table() -> pd.DataFrame:
    """Rows as au_truth.py makes them, with answers that are the truth."""
    rows = []
    for head in (1, 2):
        for shot in shots.shots_of(head):
            truth = {unit: max(shot.strengths.get(unit, (0.0, 0.0))) for unit in ("AU4", "AU12")}
            rows.append(
                {
                    "name": shot.name,
                    "head": head,
                    "part": shot.part,
                    "index": shot.index,
                    "spoilt": "",
                    "subject": shot.subject,
                    "level": shot.level,
                    "clean": shot.clean,
                    "found": True,
                    **truth,
                    "pitch": 0.0,
                    "yaw": 5.0,
                    "melanin": 0.3,
                    "years": 30.0,
                    "male": 1.0,
                    "glasses": "",
                    "visible_mouth": 0.0 if shot.part == "hidden" else 1.0,
                    "visible_eyes": 1.0,
                    "visible_brows": 1.0,
                    "light": "front",
                    "style": "photo",
                    "skin": "one",
                    **{f"p.{unit}": value for unit, value in truth.items()},
                    **{f"c.{unit}": float(value >= 0.5) for unit, value in truth.items()},
                }
            )
    return pd.DataFrame(rows)


def test_a_model_that_tells_the_truth_meets_what_is_asked() -> None:
    table = _table()
    spoilt = table[table["part"] == "random"].assign(spoilt="blur 3")
    numbers = measures.measure(pd.concat([table, spoilt]), pd.DataFrame(), ["AU4", "AU12"])
    assert numbers["random"]["eight"]["pearson_within"] == pytest.approx(1)
    assert numbers["random"]["eight"]["f1"] == 1
    assert numbers["curves"]["rising"] == 1
    assert (numbers["cross_talk"]["mean"], numbers["distractors"]["mean"], numbers["neutral"]["mean"]) == (0, 0, 0)
    assert numbers["hidden"]["mouth hidden, all"]["empty"] == 0  # it told what could not be seen
    assert set(numbers["breakdown"]["spoilt"]) == {"not", "blur 3"}
    results = {"models": {"exact": {"note": "", **numbers}}, "stills": 1, "frames": 0, "heads": 2, "cells": ""}
    text = report.markdown({**results, "neutral_heads": 0})
    assert "| Pearson within a head, the eight | >= .90 | 1.00 yes |" in text
    assert "| mouth hidden: lower units empty | >= 95 % | 0.0 % no |" in text


def test_a_model_that_leaves_everything_empty_is_measured_too() -> None:
    table, units = _table(), ["AU4", "AU12"]
    moving = []
    for shot in [*talking.talk(1, 0), *talking.onset(1, 0)]:
        truth = {unit: max(shot.strengths.get(unit, (0.0, 0.0))) for unit in units}
        place = {"file": shot.part, "part": shot.part, "index": shot.index, "subject": shot.subject, "way": "any"}
        moving.append({**place, "found": True, "expression": "", **truth})
    frames = pd.DataFrame(moving)
    for rows in (table, frames):
        rows[[f"{prefix}.{unit}" for prefix in "pci" for unit in units]] = NAN
    numbers = measures.measure(table, frames, units)
    assert numbers["hidden"]["mouth hidden, all"]["empty"] == numbers["hidden"]["clear, lower units"]["empty"] == 1
    assert numbers["random"]["eight"]["f1"] == 0 and np.isnan(numbers["random"]["eight"]["pearson_within"])
    assert numbers["random"]["eight"]["empty"] == 1 and numbers["curves"]["rising"] == 0
    assert numbers["moving"]["any"]["onsets_seen"] == 0
    results = {"models": {"silent": {"note": "", **numbers}}, "stills": 1, "frames": 0, "heads": 2, "cells": ""}
    assert "| Pearson within a head, the eight | >= .90 | - |" in report.markdown({**results, "neutral_heads": 0})


def test_the_angles_of_the_head_are_compared_where_they_are_told() -> None:
    rows = pd.DataFrame({"pitch": [0.0, 10.0, 5.0], "yaw": [0.0, -20.0, 5.0], "told.yaw": [4.0, -22.0, NAN]})
    assert measures.pose_error(rows) == {"yaw": 3.0}


def test_one_unit_that_fires_with_another_is_counted() -> None:
    table = _table()
    table.loc[table["subject"] == "AU4", "c.AU12"] = 1.0
    talk = measures.cross_talk(table[(table["part"] == "driven")], ["AU4", "AU12"])
    row = talk["matrix"][talk["driven"].index("AU4")]
    assert row[1] == 1 and np.isnan(row[0])
    # 19 units driven twice on two heads: 18 * 4 decisions on each of the two, of which 4 were on
    assert talk["mean"] == pytest.approx(4 / (2 * 18 * 4))
    assert talk["own_on"] == {"AU4": 1, "AU12": 1}

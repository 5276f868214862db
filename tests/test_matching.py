"""The same person in two tables: what is proposed, and what is left to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectkit import Predictor, SourceError, Table, read_table
from affectkit.tables.matching import DOUBTFUL, SURE, Pair, described, matched, names_of, score_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tables of the beginning and the end of the sample."""
    clip = Path(__file__).parent.parent / "samples" / "astronaut.mp4"
    folder = tmp_path_factory.mktemp("match")
    with Predictor(Path(__file__).parent / "data" / "tiny") as predictor:
        for name, times in (("first", {"end_s": 0.4}), ("second", {"start_s": 3.5})):
            options: Any = times
            predictor.predict(clip, every=2, **options).name({0: "Eileen"}).save(folder / f"{name}.csv")
    table = read_table(folder / "second.csv")
    columns = {name: values for name, values in table.columns.items() if name != "face_name"}
    Table(columns, table.meta).save(folder / "second.csv", overwrite=True)
    return folder / "first.csv", folder / "second.csv"


def test_the_same_person_is_found_and_named(halves: tuple[Path, Path], run_cli: Any, tmp_path: Path) -> None:
    first, second = halves
    (pair,) = matched(read_table(second), read_table(first))
    assert (pair.face, pair.other) == (0, 0) and pair.score >= SURE and pair.sure
    output = tmp_path / "named.csv"
    code, out, err = run_cli("identities", second, "--match", first, "-o", output)
    assert code == 0 and "-> Eileen" in out and "face 0 is Eileen" in err
    named = read_table(output)
    assert set(named["face_name"]) == {"Eileen"} and {"name": {"0": "Eileen"}} in named.meta["changed"]


def test_a_name_that_is_given_holds(halves: tuple[Path, Path], run_cli: Any, tmp_path: Path) -> None:
    first, second = halves
    output = tmp_path / "named.csv"
    assert run_cli("identities", second, "--match", first, "--name", "0=Collins", "-o", output)[0] == 0
    assert set(read_table(output)["face_name"]) == {"Collins"}


def test_doubtful_pairs_are_not_written() -> None:
    columns = {"face_id": np.array([0, 1]), "face_name": np.array(["Anna", None], object)}
    pairs = [Pair(3, 0, SURE), Pair(4, 1, 0.95), Pair(5, 2, SURE - 0.01)]
    assert names_of(pairs, Table(columns), "day1") == {3: "Anna", 4: "day1 1"}
    assert DOUBTFUL < SURE


def test_faces_that_differ_score_low() -> None:
    rng = np.random.default_rng(0)
    points = np.array([[35, 40], [65, 40], [50, 58], [38, 74], [62, 74]], np.float32)
    smooth = [np.repeat(np.repeat(rng.integers(0, 255, (10, 10, 3)), 10, 0), 10, 1).astype(np.uint8) for _ in range(2)]
    one, other = (described(image, points) for image in smooth)
    brighter = described((smooth[0] * 0.8 + 30).astype(np.uint8), points)
    assert score_of(one, one) == pytest.approx(1, abs=1e-3)
    assert score_of(one, brighter) > SURE > DOUBTFUL > score_of(one, other)


def test_what_cannot_be_compared_says_why(halves: tuple[Path, Path]) -> None:
    table = read_table(halves[0])
    gone = Table({**table.columns, "input": np.array(["gone.mp4"] * len(table), object)}, table.meta)
    with pytest.raises(SourceError, match=r"gone\.mp4: is not there any more"):
        matched(gone, table)
    with pytest.raises(ValueError, match="no input 'x'"):
        matched(table, table, input="x")
    several = table.columns["input"].copy()
    several[0] = "another.mp4"
    with pytest.raises(ValueError, match="2 inputs, in each of which ids mean others"):
        matched(Table({**table.columns, "input": several}, table.meta), table)
    with pytest.raises(ValueError, match="no boxes"):
        matched(Table({n: v for n, v in table.columns.items() if n != "FaceRectX"}, table.meta), table)

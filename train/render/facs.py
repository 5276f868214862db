"""What each action unit is made of; docs/facs.md says why, and from where.

Three families describe the same movement: the package's 52 actions ("fu:", ARKit's names), MakeHuman's older expression
units ("mh:", drawn for three ancestries) and simple muscles of our own ("own:", see muscles.py). A person moves by a
mixture of them, which is scaled to the unit's reach.

Shape names: ``{Side}`` and ``{side}`` stand for Left/left and Right/right; a bar at the end cuts a shape that moves
both sides in half. ``mh:`` names are completed by the person's ancestry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILIES = ("arkit", "makehuman", "own")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A movement of one side of the face, or of its middle."""

    arkit: Mapping[str, float] = field(default_factory=dict)
    """Shape -> weight at full strength, relative to the others."""
    makehuman: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    reach_mm: float = 0.0
    """How far the skin moves at full strength, at the fastest fiftieth of what moves; 0: the shapes as they are."""
    sided: bool = True
    """Whether left and right can differ."""


ACTION_UNITS: dict[str, Recipe] = {
    "AU1": Recipe(
        {"fu:browInnerUp|": 1.0},
        {"mh:eyebrows-{side}-inner-up": 1.0},
        {"own:inner_brow_up_{side}": 1.0},
        reach_mm=6.5,
    ),
    "AU2": Recipe(
        {"fu:browOuterUp{Side}": 1.0},
        {"mh:eyebrows-{side}-extern-up": 1.0},
        {"own:outer_brow_up_{side}": 1.0},
        reach_mm=7.0,
    ),
    "AU4": Recipe(
        {"fu:browDown{Side}": 0.8, "own:brow_together_{side}": 0.6},
        {"mh:eyebrows-{side}-down": 0.8, "own:brow_together_{side}": 0.6},
        {"own:brow_down_{side}": 0.8, "own:brow_together_{side}": 0.8},
        reach_mm=6.0,
    ),
    "AU5": Recipe({"fu:eyeWide{Side}": 1.0}, {"mh:eye-{side}-opened-up": 1.0}, reach_mm=4.4),
    "AU6": Recipe(
        {"fu:cheekSquint{Side}": 1.0, "own:cheek_up_{side}": 0.6, "fu:eyeSquint{Side}": 0.25},
        {"own:cheek_up_{side}": 1.0, "mh:eye-{side}-slit": 0.12},
        {"own:cheek_up_{side}": 1.0, "own:lower_lid_up_{side}": 0.4},
        reach_mm=5.5,
    ),
    "AU7": Recipe(
        {"fu:eyeSquint{Side}": 1.0}, {"mh:eye-{side}-slit": 1.0}, {"own:lower_lid_up_{side}": 1.0}, reach_mm=3.4
    ),
    "AU9": Recipe(
        {"fu:noseSneer{Side}": 1.0, "own:nose_wrinkle_{side}": 0.8},
        {"mh:nose-{side}-elevation": 1.0, "own:nose_wrinkle_{side}": 0.6, "fu:noseSneer{Side}": 0.3},
        {"own:nose_wrinkle_{side}": 1.0, "own:brow_middle_down_{side}": 0.5},
        reach_mm=6.0,
    ),
    "AU10": Recipe(
        {"fu:mouthUpperUp{Side}": 1.0, "own:upper_lip_up_{side}": 0.4},
        {"mh:mouth-elevation|": 0.6, "own:upper_lip_up_{side}": 0.6},
        {"own:upper_lip_up_{side}": 1.0},
        reach_mm=5.5,
    ),
    "AU12": Recipe(
        {"fu:mouthSmile{Side}": 1.0},
        {"mh:mouth-corner-puller|": 1.0},
        {"own:corner_pull_{side}": 1.0},
        reach_mm=11.0,
    ),
    "AU14": Recipe(
        {"fu:mouthDimple{Side}": 1.0, "own:corner_tight_{side}": 0.5},
        {"own:corner_tight_{side}": 1.0, "fu:mouthDimple{Side}": 0.5},
        {"own:corner_tight_{side}": 1.0},
        reach_mm=5.0,
    ),
    "AU15": Recipe(
        {"fu:mouthFrown{Side}": 1.0},
        {"mh:mouth-depression|": 1.0},
        {"own:corner_down_{side}": 1.0},
        reach_mm=6.5,
    ),
    "AU17": Recipe(
        {"fu:mouthShrugLower": 0.8, "fu:mouthShrugUpper": 0.45, "own:chin_up": 0.6},
        {"own:chin_up": 1.0, "fu:mouthShrugUpper": 0.3},
        {"own:chin_up": 1.0, "own:lips_up": 0.4},
        reach_mm=5.5,
        sided=False,
    ),
    "AU18": Recipe({"fu:mouthPucker": 1.0}, {"mh:mouth-pursing": 1.0}, reach_mm=8.0, sided=False),
    "AU20": Recipe(
        {"fu:mouthStretch{Side}": 1.0},
        {"mh:mouth-retraction|": 1.0},
        {"own:corner_back_{side}": 1.0},
        reach_mm=7.5,
    ),
    "AU23": Recipe(
        {"own:lips_tight": 1.0, "fu:mouthRollLower": 0.25, "fu:mouthRollUpper": 0.2},
        {"own:lips_tight": 1.0, "mh:mouth-pursing": 0.15},
        {"own:lips_tight": 1.0},
        reach_mm=4.2,
        sided=False,
    ),
    "AU24": Recipe(
        {"own:lips_pressed": 1.0, "fu:mouthPressLeft": 0.25, "fu:mouthPressRight": 0.25},
        {"own:lips_pressed": 1.0, "fu:mouthRollLower": 0.3, "fu:mouthRollUpper": 0.3},
        {"own:lips_pressed": 1.0},
        reach_mm=4.6,
        sided=False,
    ),
    "AU25": Recipe(
        {
            "fu:mouthLowerDownLeft": 1.0,
            "fu:mouthLowerDownRight": 1.0,
            "fu:mouthUpperUpLeft": 0.45,
            "fu:mouthUpperUpRight": 0.45,
        },
        {"mh:mouth-parling": 1.0},
        {"own:lips_apart": 1.0},
        reach_mm=7.0,
        sided=False,
    ),
    "AU26": Recipe({"fu:jawOpen": 0.5}, {"fu:jawOpen": 0.5}, {"fu:jawOpen": 0.5}, sided=False),
    "AU43": Recipe({"fu:eyeBlink{Side}": 1.0}, {"mh:eye-{side}-closure": 0.5, "fu:eyeBlink{Side}": 0.5}),
}
"""The units whose intensity is told. AU25, 26 and 43 are told from the geometry, whatever it came from."""

DISTRACTORS: dict[str, Recipe] = {
    "cheek_puff": Recipe({"fu:cheekPuff": 1.0}, sided=False),
    "funnel": Recipe({"fu:mouthFunnel": 1.0}, {"mh:mouth-protusion": 0.5}, sided=False),
    "mouth_left": Recipe({"fu:mouthLeft": 1.0}, sided=False),
    "mouth_right": Recipe({"fu:mouthRight": 1.0}, sided=False),
    "jaw_left": Recipe({"fu:jawLeft": 1.0}, sided=False),
    "jaw_right": Recipe({"fu:jawRight": 1.0}, sided=False),
    "jaw_forward": Recipe({"fu:jawForward": 1.0}, sided=False),
    "lip_suck_lower": Recipe({"fu:mouthRollLower": 1.0}, sided=False),
    "lip_suck_upper": Recipe({"fu:mouthRollUpper": 1.0}, sided=False),
    "close_lips": Recipe({"fu:mouthClose": 0.5}, sided=False),
    "nostrils": Recipe({"mh:nose-left-dilatation": 1.0, "mh:nose-right-dilatation": 1.0}, sided=False),
    "nostrils_in": Recipe({"mh:nose-compression": 1.0}, sided=False),
    "neck": Recipe({"mh:neck-platysma": 0.7}, sided=False),
    "tongue": Recipe({"fu:tongueOut": 1.0}, sided=False),
    "look_down": Recipe({"fu:eyeLookDown{Side}": 1.0}),
    "look_up": Recipe({"fu:eyeLookUp{Side}": 1.0}),
}
"""Movements that must not switch on any unit but 25, 26 or 43, and those only where the geometry does."""

AU_NAMES = tuple(ACTION_UNITS)
MEASURED = ("AU25", "AU26", "AU43")
"""Told from the geometry."""

PAIRS: tuple[tuple[str, ...], ...] = (
    ("AU1", "AU2"),
    ("AU1", "AU4"),
    ("AU1", "AU2", "AU4"),
    ("AU1", "AU2", "AU5"),
    ("AU4", "AU5"),
    ("AU4", "AU7"),
    ("AU4", "AU9"),
    ("AU6", "AU12"),
    ("AU6", "AU7"),
    ("AU7", "AU12"),
    ("AU9", "AU10"),
    ("AU10", "AU25"),
    ("AU12", "AU25"),
    ("AU12", "AU25", "AU26"),
    ("AU12", "AU15"),
    ("AU12", "AU17"),
    ("AU12", "AU24"),
    ("AU10", "AU12", "AU25"),
    ("AU14", "AU17"),
    ("AU14", "AU12"),
    ("AU15", "AU17"),
    ("AU17", "AU23"),
    ("AU17", "AU24"),
    ("AU18", "AU23"),
    ("AU20", "AU25"),
    ("AU20", "AU26", "AU25"),
    ("AU22", "AU25"),
    ("AU23", "AU24"),
    ("AU25", "AU26"),
    ("AU1", "AU15"),
    ("AU4", "AU15"),
    ("AU4", "AU17"),
    ("AU4", "AU24"),
    ("AU6", "AU15"),
    ("AU4", "AU43"),
    ("AU6", "AU43"),
    ("AU12", "AU43"),
)
"""Combinations that the manual describes together, or that faces often show; AU22 stands for the distractor funnel."""


@dataclass(frozen=True, slots=True)
class Prototype:
    """An expression of EMFACS: units that are there, and units that may be."""

    expression: str
    needed: tuple[str, ...]
    possible: tuple[str, ...] = ()


PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("happiness", ("AU6", "AU12"), ("AU25", "AU26", "AU7")),
    Prototype("happiness", ("AU12",), ("AU25",)),
    Prototype("happiness", ("AU6", "AU12", "AU25"), ("AU26",)),
    Prototype("sadness", ("AU1", "AU4", "AU15"), ("AU17", "AU6", "AU43")),
    Prototype("sadness", ("AU1", "AU4"), ("AU17", "AU15")),
    Prototype("sadness", ("AU1", "AU15"), ("AU4", "AU17")),
    Prototype("surprise", ("AU1", "AU2", "AU5", "AU26"), ("AU25",)),
    Prototype("surprise", ("AU1", "AU2", "AU26"), ("AU25", "AU5")),
    Prototype("surprise", ("AU1", "AU2", "AU5"), ("AU25",)),
    Prototype("fear", ("AU1", "AU2", "AU4", "AU5", "AU20"), ("AU25", "AU26", "AU7")),
    Prototype("fear", ("AU1", "AU2", "AU4", "AU5"), ("AU25", "AU26")),
    Prototype("fear", ("AU1", "AU4", "AU5", "AU20"), ("AU25", "AU7")),
    Prototype("anger", ("AU4", "AU5", "AU7", "AU23"), ("AU10", "AU17")),
    Prototype("anger", ("AU4", "AU7", "AU24"), ("AU5", "AU17")),
    Prototype("anger", ("AU4", "AU7", "AU23"), ("AU5", "AU25", "AU10")),
    Prototype("disgust", ("AU9",), ("AU10", "AU17", "AU4", "AU7", "AU25")),
    Prototype("disgust", ("AU10",), ("AU15", "AU17", "AU9", "AU4", "AU25")),
    Prototype("disgust", ("AU9", "AU10"), ("AU15", "AU25", "AU26", "AU7")),
)

VISEMES: dict[str, dict[str, float]] = {
    "closed": {"close_lips": 0.0, "AU24": 0.25},
    "aa": {"AU26": 0.75, "AU25": 0.25},
    "ah": {"AU26": 0.5, "AU25": 0.3},
    "ee": {"AU25": 0.75, "AU26": 0.12},
    "oh": {"AU26": 0.45, "funnel": 0.5},
    "oo": {"funnel": 0.55, "AU18": 0.5, "AU26": 0.1},
    "ff": {"lip_suck_lower": 0.5, "AU25": 0.2},
    "th": {"AU25": 0.4, "AU26": 0.2, "tongue": 0.15},
    "ss": {"AU25": 0.5, "AU26": 0.05},
    "rest": {},
}
"""What the mouth does while it speaks. Pressing the lips for b, m and p and rounding them for o and u are AU24 and AU18
in form; they count as much as they are driven."""


def settle(strengths: Mapping[str, float]) -> dict[str, float]:
    """What is left of each movement where several pull at the same skin; a strength is that of one side.

    The labels stay what was asked for: in 1+4 the brow is raised inside *and* drawn together, so that what is lost
    here is only AU4's lowering, which is kept apart (``AU4_down``) from its drawing together (``AU4_together``).
    """
    out = {name: value for name, value in strengths.items() if value > 0}
    inner, outer, lowered = out.get("AU1", 0.0), out.get("AU2", 0.0), out.get("AU4", 0.0)
    if lowered:
        out["AU4_down"] = lowered * max(0.0, 1 - 0.85 * inner - 0.5 * outer)
        out["AU4_together"] = lowered
        if inner:
            out["AU1"] = inner * (1 - 0.15 * lowered)
        if outer:
            out["AU2"] = outer * (1 - 0.45 * lowered)
    if {"AU12", "AU15"} <= out.keys():
        out["AU12"], out["AU15"] = out["AU12"] * (1 - 0.3 * out["AU15"]), out["AU15"] * (1 - 0.25 * out["AU12"])
    closing = out.get("AU43", 0.0)
    if closing:
        for name in ("AU5", "AU7", "look_down", "look_up"):
            if name in out:
                out[name] *= 1 - closing
    if {"AU6", "AU7"} <= out.keys():
        out["AU7"] *= 1 - 0.6 * out["AU6"]
    if {"AU9", "AU10"} <= out.keys():
        out["AU10"] *= 1 - 0.35 * out["AU9"]
    if {"AU23", "AU24"} <= out.keys():
        out["AU23"] *= 1 - 0.5 * out["AU24"]
    pressed = out.get("AU24", 0.0)
    if pressed:
        for name in ("AU25", "funnel"):
            if name in out:
                out[name] *= 1 - 0.8 * pressed
    return out

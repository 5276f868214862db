"""Whether a detected face is one that was seen before: by where it is expected, and by what it looks like."""

from __future__ import annotations

from collections.abc import Iterable

from affectkit.faces.appearance import similarity
from affectkit.faces.boxes import away_from, iou
from affectkit.faces.tracks import Track, TrackingConfig
from affectkit.types import Detection, Float32


def match(config: TrackingConfig, track: Track, face: Detection, appearance: Float32, time_s: float) -> float | None:
    """How likely a detection continues a track, higher is likelier; None: it does not."""
    like, expected = similarity(appearance, track.appearance), track.expected(time_s)
    overlap, gone_s, away = iou(expected, face.box), time_s - track.seen_s, away_from(expected, face.box)
    if away is None:
        return None
    if overlap >= config.match_iou and gone_s <= config.moment_s:
        needed = config.stayed_similarity
    elif overlap >= config.match_iou or away < min(1.0, 0.5 + gone_s):
        needed = config.returned_similarity
    elif away < 1 + 2 * gone_s:
        needed = config.known_similarity
    else:
        return None
    return None if like < needed else overlap + 2 * like - 0.2 * away - 0.05 * gone_s


def may_be_lost(
    config: TrackingConfig,
    lost: Iterable[Track],
    face: Detection,
    appearance: Float32,
    time_s: float,
    *,
    crowded: bool,
) -> bool:
    """Whether a face that matches no track may be a ``lost`` one that is still half hidden.

    Args:
        crowded: another face is close to it, which may hide a part of it.
    """
    for track in lost:
        away = away_from(track.expected(time_s), face.box)
        near = away is not None and away < 1 + 2 * (time_s - track.seen_s)
        if near and (crowded or similarity(appearance, track.appearance) >= config.tentative_similarity):
            return True
    return False

"""The table of options that commands share: what users write, and the field of a dataclass that it is the value of."""

from __future__ import annotations

import math
from typing import Any

import click

from affectkit.faces.names import HELP as DETECTOR_HELP

POSITIVE = click.IntRange(min=1)
SECONDS = click.FloatRange(min=0)


def thresholds_given(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
    """``AU04=.4,AU12=.3``, any number of times, as thresholds by action unit; None where there are none."""
    from affectkit.types import au_name

    found: dict[str, float] = {}
    for part in (part for text in given for part in text.split(",")):
        unit, _, threshold = part.partition("=")
        try:
            found[au_name(unit)] = float(threshold)
        except ValueError:
            raise click.BadParameter(f"{part!r} should look like AU04=.4", context, parameter) from None
    return found or None


class Shared:
    """One option, and the field that it is the value of."""

    def __init__(self, flag: str, field: str, builds: str = "", **attributes: Any) -> None:
        """Describe it.

        Args:
            flag: what users write.
            field: its parameter's name.
            builds: the class whose field it is; empty: what it says goes into another one's field.
            attributes: of :class:`click.Option`.
        """
        self.flag, self.field, self.builds, self.attributes = flag, field, builds, attributes


_TABLE = (
    Shared(
        "--model",
        "model",
        "PredictorConfig",
        default="lite",
        show_default=True,
        help="Name of an embedded model, or path of a model folder.",
    ),
    Shared(
        "--temporal",
        "temporal",
        is_flag=True,
        help="Look at sequences, with the model's -temporal sibling.  [default: as the model does]",
    ),
    Shared("--frame-by-frame", "frame_by_frame", is_flag=True, help="Look at every frame by itself."),
    Shared(
        "--device",
        "device",
        "PredictorConfig",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda[:N], tensorrt[:N], ort-tensorrt, tensorrt-rtx, openvino or coreml.",
    ),
    Shared(
        "--precision",
        "precision",
        "PredictorConfig",
        type=click.Choice(["auto", "fp32", "fp16", "int8"]),
        default="auto",
        show_default=True,
        help="What the network computes in; auto: int8 where there is such a copy and the CPU is fast at it.",
    ),
    Shared(
        "--prior",
        "prior",
        "PredictorConfig",
        type=click.Choice(["natural", "balanced"]),
        default="natural",
        show_default=True,
        help="Expressions are as common as in the training data, or all alike.",
    ),
    Shared(
        "--min-quality",
        "min_quality",
        "PredictorConfig",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="Q",
        help="Leave faces empty whose quality, 0 to 1, is less.  [default: 0]",
    ),
    Shared(
        "--au-threshold",
        "au_thresholds",
        "PredictorConfig",
        multiple=True,
        callback=thresholds_given,
        metavar="AU04=.4,...",
        help="Count action units as active from these probabilities on.  [default: the model's own]",
    ),
    Shared(
        "--detector",
        "detector",
        "PredictorConfig",
        default="mtcnn",
        show_default=True,
        help=DETECTOR_HELP,
    ),
    Shared(
        "--detect-every",
        "detect_every",
        "PredictorConfig",
        type=POSITIVE,
        help="Frames from one face detection to the next; faces are followed in between.  "
        "[default: 6, and up to half a second while nothing happens]",
    ),
    Shared(
        "--min-face",
        "min_face_px",
        "PredictorConfig",
        type=click.IntRange(min=12),
        default=20,
        show_default=True,
        help="Smallest face, px of its box's longer side.",
    ),
    Shared("--max-faces", "max_faces", "StreamOptions", type=POSITIVE, help="Only the N largest faces of a frame."),
    Shared(
        "--faces",
        "which",
        type=click.Choice(["largest", "all"]),
        default="all",
        show_default=True,
        help="largest: the same as --max-faces 1.",
    ),
    Shared(
        "--smooth",
        "smooth_s",
        "StreamOptions",
        type=SECONDS,
        default=0.0,
        metavar="SECONDS",
        help="Average every value over this time.  [default: off]",
    ),
    Shared(
        "--lookahead",
        "lookahead",
        "StreamOptions",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Live, temporal: frames that an answer waits for; more: later and better.",
    ),
    Shared(
        "--max-gap",
        "max_gap_s",
        "StreamOptions",
        type=SECONDS,
        default=0.5,
        show_default=True,
        metavar="SECONDS",
        help="Temporal: longest time a face may be missing before its sequence is started again.",
    ),
    Shared(
        "--aligned",
        "aligned",
        "StreamOptions",
        is_flag=True,
        help="The pictures are aligned faces already: detect nothing.",
    ),
    Shared(
        "--min-confidence",
        "min_confidence",
        "StreamOptions",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="C",
        help="Leave out faces of which the detector is less sure, 0 to 1.  [default: 0]",
    ),
    Shared("--start", "start_s", "StreamOptions", type=float, default=-math.inf, help="Begin at this time, seconds."),
    Shared("--end", "end_s", "StreamOptions", type=float, default=math.inf, help="Stop before this time, seconds."),
    Shared("--every", "every", "StreamOptions", type=POSITIVE, default=1, help="Only every N-th frame."),
    Shared(
        "--window",
        "window",
        "StreamOptions",
        type=click.Choice(["overlap", "paper", "live"]),
        default="overlap",
        show_default=True,
        help="Temporal: windows half over each other; as published, side by side; as `affectkit live` would answer.",
    ),
    Shared(
        "--format",
        "table_format",
        "OutputOptions",
        type=click.Choice(["native", "openface", "pyfeat", "paper"]),
        default="native",
        show_default=True,
        help="Columns of the table.",
    ),
    Shared(
        "--baseline",
        "baseline",
        "OutputOptions",
        metavar="auto|START-END|FILE",
        help="Tell action units relative to each face's neutral: of its calmest seconds, of these seconds of the "
        "input, or of a table, picture or video of the neutral face.  [default: off]",
    ),
    Shared(
        "--uncertainty",
        "uncertainty",
        "OutputOptions",
        is_flag=True,
        help="Add the ensemble's spread and the expression's entropy.",
    ),
    Shared(
        "--decode-on",
        "decode_on",
        "Opening",
        default="cpu",
        show_default=True,
        metavar="DEVICE",
        help="Decode videos on a GPU: cuda, vaapi, qsv, videotoolbox ..., as FFmpeg calls them.",
    ),
    Shared(
        "--max-pixels",
        "max_pixels",
        "Opening",
        type=POSITIVE,
        default=16384 * 16384 // 4,
        show_default=True,
        metavar="N",
        help="Refuse videos with more pixels a frame.",
    ),
    Shared(
        "--input-format",
        "input_format",
        "Opening",
        metavar="NAME",
        help="FFmpeg's name of the video's format, for what is not opened by itself (a local playlist: hls) or is "
        "taken for something else.  [default: found out]",
    ),
    Shared(
        "--fps",
        "fps",
        "Opening",
        type=click.FloatRange(min=0, min_open=True),
        metavar="RATE",
        help="Frames a second of what has no times: raw streams, and folders whose pictures are the frames of a video.",
    ),
    Shared(
        "--deinterlace",
        "deinterlace",
        "Opening",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Frames that a video marks as interlaced are deinterlaced, or left with their combs.",
    ),
    Shared(
        "--resume",
        "resume",
        "OutputOptions",
        is_flag=True,
        help="Continue an interrupted run; leave finished tables as they are.",
    ),
    Shared("--overwrite", "overwrite", "OutputOptions", is_flag=True, help="Replace outputs that exist."),
)

SHARED = {option.field: option for option in _TABLE}

NETWORK = tuple(SHARED)[: tuple(SHARED).index("aligned")]
"""Options of what predict and live share: the network, the detector, and how faces are gone through."""

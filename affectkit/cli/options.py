"""The options of a command: taken from the table, and turned into the values of :mod:`affectkit.options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from affectkit.cli.table import SHARED

if TYPE_CHECKING:
    from affectkit.options import OutputOptions, PredictorConfig, StreamOptions
    from affectkit.sources.limits import Opening

Command = TypeVar("Command", bound=Callable[..., Any])
Built = TypeVar("Built")

debug_option = click.option("--debug", is_flag=True, help="Show a traceback with an error.")


def shared(*fields: str, **changed: Any) -> Callable[[Command], Command]:
    """Give a command these options of the table, in this order; ``changed`` holds other attributes than the table's."""

    def given(command: Command) -> Command:
        for field in reversed(fields):
            option = SHARED[field]
            command = click.option(option.flag, field, **(option.attributes | changed))(command)
        return command

    return given


def predictor_config(given: Mapping[str, Any]) -> PredictorConfig:
    """What a command is to run.

    Raises:
        click.UsageError: as of :func:`over_time`.
        ValueError: it names the option.
    """
    from affectkit.options import PredictorConfig

    return _built(PredictorConfig, given, temporal=over_time(given))


def stream_options(given: Mapping[str, Any], **more: Any) -> StreamOptions:
    """How a command goes through its input.

    Args:
        more: fields with other values than the options'.

    Raises:
        click.UsageError: two options say how many faces.
        ValueError: it names the option.
    """
    from affectkit.options import StreamOptions

    return _built(StreamOptions, given, **{"max_faces": _most_faces(given)} | more)


def output_options(given: Mapping[str, Any], **more: Any) -> OutputOptions:
    """What a command writes; as :func:`stream_options`."""
    from affectkit.options import OutputOptions

    return _built(OutputOptions, given, **more)


def opening_of(given: Mapping[str, Any]) -> Opening:
    """How a command opens its input; as :func:`stream_options`."""
    from affectkit.sources.limits import Opening

    return _built(Opening, given, deinterlace=given.get("deinterlace", "auto") == "auto")


def _built(kind: Callable[..., Built], given: Mapping[str, Any], **more: Any) -> Built:
    """Of all options that say so; an error that begins with a field's name begins with its option's then."""
    mine = {o.field: given[o.field] for o in SHARED.values() if o.builds == kind.__name__ and o.field in given}
    try:
        return kind(**mine | more)
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        if field not in SHARED:
            raise
        raise ValueError(f"{SHARED[field].flag} {rest}") from error


def over_time(given: Mapping[str, Any]) -> bool | None:
    """Whether sequences are looked at, as the two options say; None: neither.

    Raises:
        click.UsageError: both, or ``--temporal`` with a model that has no such relative.
    """
    from affectkit import models

    model, temporal, frame_by_frame = (given.get(name) for name in ("model", "temporal", "frame_by_frame"))
    if temporal and frame_by_frame:
        raise click.UsageError("--temporal looks at sequences, --frame-by-frame does not; leave out one of them")
    if temporal and models.temporal_relative(models.resolve(str(model))) is None:
        raise click.UsageError(f"--temporal: model {model} has no temporal part, and there is no {model}-temporal")
    return True if temporal else False if frame_by_frame else None


def _most_faces(given: Mapping[str, Any]) -> int | None:
    most: int | None = given.get("max_faces")
    if given.get("which", "all") == "all":
        return most
    if most not in (None, 1):
        raise click.UsageError(f"--faces largest means one face, --max-faces says {most}; leave one of them out")
    return 1

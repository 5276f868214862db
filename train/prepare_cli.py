"""``affectkit train prepare ...``: a data set as its authors publish it -> a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from affectkit.errors import OutputError, SourceError
from affectkit.outputs.files import write_whole
from affectkit.train.datasets import (
    afew_va,
    aff_wild2,
    affectnet,
    blendshapes,
    bp4d,
    disfa,
    expw,
    generic_csv,
    open_sets,
    raf_db,
    three_files,
)
from affectkit.train.datasets.manifest import check_manifest_name, write_manifest
from affectkit.train.datasets.points import mtcnn
from affectkit.train.datasets.units import Journal, Unit, run_units
from affectkit.types import Frame

MakeUnits = Callable[..., list[Unit]]
"""(source, target, and by name the options of the command) -> its units."""


@click.group()
def prepare() -> None:
    """Read a data set in its original layout into one manifest, with crops where it needs them.

    Pictures that cannot be used are left out and counted by reason in report.txt. An interrupted preparation is taken
    up where it was by the same command.
    """


def _command(
    name: str,
    help: str,
    units: MakeUnits,
    *options: Callable[[Any], Any],
    points: str | None = None,
    source: Callable[[Any], Any] | None = None,
) -> None:
    """Add a subcommand that runs the units and writes their manifest and report.

    Args:
        points: the default of ``--points``; None: the set needs no such option.
        source: what it reads; default: a folder.
    """

    def run(
        target: Path,
        manifest: str,
        overwrite: bool,
        strict: bool,
        keep_going: bool,
        source: Path | None = None,
        **arguments: Any,
    ) -> None:
        path = target / manifest
        check_manifest_name(path)
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; give --overwrite to replace it, or another folder")
        with ExitStack() as opened:
            given = dict(arguments)
            if points is not None:
                found = arguments.pop("points")
                arguments["find"] = opened.enter_context(mtcnn()) if found == "detect" else None
            listed = units(source, target, **arguments)
            _make(target)
            header = {"set": name, "options": _plain({**given, "source": source, "strict": strict})}
            _finish(path, listed, Journal(path.with_name(f".{path.name}.journal"), header), strict, keep_going)

    command: Any = run
    if points is not None:
        options = (*options, _points_option(points))
    for option in (*options, *_COMMON, source or _FOLDER):
        command = option(command)
    prepare.command(name, help=help)(command)


def _finish(path: Path, units: list[Unit], journal: Journal, strict: bool, keep_going: bool) -> None:
    """Run what is not done yet; write the manifest, the report, and let the journal go."""
    prepared, errors = run_units(units, journal, strict=strict, say=lambda line: click.echo(line, err=True))
    if errors and not keep_going:
        some = "\n".join(f"  {unit}: {message}" for unit, message in list(errors.items())[:20])
        raise SourceError(
            f"{len(errors)} of {len(units)} parts cannot be read:\n{some}\n"
            "What could be read is kept: correct these and give the same command, or do without them by --keep-going"
        )
    report = [prepared.report(), *(f"  left out whole, {unit}: {message}" for unit, message in errors.items())]
    text = "\n".join(report)
    if not any(row.labelled for row in prepared.rows):
        raise SourceError(f"nothing that can be used was found; no manifest is written\n{text}")
    write_manifest(prepared.rows, path)
    write_whole(path.with_name("report.txt"), (text + "\n").encode(), synced=True)
    journal.remove()
    click.echo(text)
    click.echo(f"wrote {path}", err=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as the journal can hold and compare them."""
    kept = {name: value for name, value in sorted(options.items()) if value is not None}
    return {
        name: str(value.resolve()) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        for name, value in kept.items()
    }


_FOLDER = click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
_FILE = click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CSV")
_A_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

_COMMON = (
    click.option("--strict", is_flag=True, help="Pictures that cannot be used are errors, not left out."),
    click.option("--keep-going", is_flag=True, help="Write the manifest without the parts that have errors."),
    click.option("--overwrite", is_flag=True, help="Replace a manifest that exists."),
    click.option(
        "--manifest", default="manifest.csv", show_default=True, help="Name of the manifest: .csv or .parquet."
    ),
    click.option(
        "-o", "--output", "target", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
    ),
)

_AU_AT = click.option("--au-at", type=float, help="AUs are intensities of 0 to 5: present from this one on, mostly 2.")
_DERIVE_VA = click.option(
    "--derive-va", is_flag=True, help="Add valence and arousal derived from the votes or the label."
)
_LANDMARKS = click.option("--landmarks", type=_A_FILE, help="npz with image and landmark5: the points, by name.")


def _points_option(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--points",
        type=click.Choice(["detect", "none"]),
        default=default,
        show_default=True,
        help="Find the five points of each face, or leave them blank: the whole picture is the crop then.",
    )


def _with_detector(units: MakeUnits) -> MakeUnits:
    """For sets of whole frames, of which a face can be cut only where it is found."""

    def made(source: Path, target: Path, **arguments: Any) -> list[Unit]:
        stack = ExitStack()
        find = stack.enter_context(mtcnn())
        click.get_current_context().call_on_close(stack.close)
        return units(source, target, find=find, **arguments)

    return made


def _disfa(source: Path, target: Path, **arguments: Any) -> list[Unit]:
    from affectkit.sources.opening import open_source

    def frames_of(video: Path) -> Iterator[Frame]:
        return open_source(video).frames()

    return disfa.units(source, target, frames_of=frames_of, **arguments)


def _blendshapes(source: Path, target: Path, *, model: Path) -> list[Unit]:
    stack = ExitStack()
    landmarks = stack.enter_context(blendshapes.face_landmarker(model))
    click.get_current_context().call_on_close(stack.close)
    return blendshapes.units(source, target, landmarks=landmarks)


def _csv(
    source: Path,
    target: Path,
    *,
    pictures: Path | None,
    mapping: tuple[str, ...],
    expression_names: str | None,
    va_range: str,
    **arguments: Any,
) -> list[Unit]:
    columns = dict(_pair("--map", part) for part in mapping)
    names = (
        None if expression_names is None else dict(_pair("--expression-names", p) for p in expression_names.split(","))
    )
    low, dots, high = va_range.partition("..")
    try:
        limits = float(low), float(high)
    except ValueError:
        limits = (0.0, 0.0)
    if not dots or not limits[0] < limits[1]:
        raise SourceError(f"--va-range {va_range}: should look like -10..10")
    folder = source.parent if pictures is None else pictures
    return generic_csv.units(
        source, target, pictures=folder, columns=columns, expressions=names, va_range=limits, **arguments
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    left, equals, right = text.strip().rpartition("=")
    if not equals or not left.strip():
        raise SourceError(f"{option} {text}: should look like NAME=VALUE")
    return left.strip(), right.strip()


def _set(source: None, target: Path, *, labels: Path, **arguments: Any) -> list[Unit]:
    return three_files.units(labels, target, **arguments)


_command(
    "aff-wild2",
    "Aff-Wild2 of 2020 or since: action units, expressions, valence and arousal.",
    aff_wild2.units,
    click.option(
        "--thin",
        is_flag=True,
        help="Leave out training frames as the paper does: neutral x10, happiness, sadness x2, VA x5.",
    ),
    click.option(
        "--other",
        type=click.Choice(["unlabelled", "class"]),
        default="unlabelled",
        show_default=True,
        help="The eighth expression since 2021: nothing, or a class called other.",
    ),
    points="detect",
)
_command("disfa", "DISFA: action units; faces are cut out of its videos.", _with_detector(_disfa))
_command("disfa-plus", "DISFA+: action units; faces are cut out.", _with_detector(disfa.units_plus))
_command(
    "expw",
    "ExpW: expressions; faces are cut out.",
    expw.units,
    click.option("--min-confidence", type=float, default=0.0, show_default=True, help="Leave out less certain boxes."),
    points="detect",
)
_command("afew-va", "AFEW-VA: valence and arousal; faces are cut out.", afew_va.units)
_command("raf-db", "RAF-DB: basic expressions.", raf_db.units, points="detect")
_command("affectnet", "AffectNet (.npy): expressions, valence and arousal.", affectnet.units, points="detect")
_command(
    "bp4d",
    "BP4D: action units; faces are cut out.",
    _with_detector(bp4d.units),
    click.option("--pictures", default=bp4d.PATTERN, show_default=True, help="Where the picture of a frame lies."),
)
_command(
    "csv",
    "Any CSV with a row a picture: --map says which of its columns is which label.",
    _csv,
    click.option(
        "--pictures",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder that paths in the file are relative to; default: the file's own.",
    ),
    click.option(
        "--map",
        "mapping",
        multiple=True,
        metavar="COLUMN=LABEL",
        help="LABEL: path, video, frame, person, split, expression, valence, arousal, AU12 ...; may be given often.",
    ),
    click.option("--expression-names", metavar="VALUE=NAME,...", help="0=neutral,1=anger,8= (blank: unlabelled)."),
    click.option("--va-range", default="-1..1", show_default=True, help="What valence and arousal lie between."),
    _AU_AT,
    points="detect",
    source=_FILE,
)
_command(
    "set",
    "A set of three files (CSV, zip, npz; see train/README.md): its pictures and a manifest.",
    _set,
    click.option("--labels", type=_A_FILE, required=True, help="CSV with image and labels."),
    click.option("--images", type=_A_FILE, required=True, help="zip of the pictures."),
    _LANDMARKS,
    _AU_AT,
    source=lambda command: command,
)
_command(
    "ferplus",
    "FER+: expressions and votes, on FER-2013.",
    open_sets.ferplus_units,
    _DERIVE_VA,
    _LANDMARKS,
    points="none",
)
_command(
    "facial-expressions",
    "muxspace/facial_expressions: expressions.",
    open_sets.facial_expressions_units,
    _DERIVE_VA,
    _LANDMARKS,
    points="detect",
)
_command(
    "blendshapes",
    "Any folder of faces: AU soft labels by MediaPipe's Face Landmarker.",
    _blendshapes,
    click.option(
        "--model",
        type=click.Path(path_type=Path, dir_okay=False),
        required=True,
        help="MediaPipe's face_landmarker.task.",
    ),
)

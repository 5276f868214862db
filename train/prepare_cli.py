"""``affectkit train prepare ...``: a data set as its authors publish it -> a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from affectkit.errors import OutputError
from affectkit.train.datasets import afew_va, aff_wild2, blendshapes, disfa, expw, open_sets
from affectkit.train.datasets.manifest import Prepared, check_manifest_name, write_manifest
from affectkit.types import Array, Frame, UInt8

Reader = Callable[..., Prepared]


@click.group()
def prepare() -> None:
    """Read a data set in its original layout into one manifest, with crops where it needs them."""


def _command(name: str, reader: Reader, *options: Callable[[Any], Any]) -> None:
    """Add a subcommand that runs ``reader`` and writes its manifest and report."""

    def run(source: Path, target: Path, manifest: str, overwrite: bool, **arguments: Any) -> None:
        path = target / manifest
        check_manifest_name(path)
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; give --overwrite to replace it, or another folder")
        target.mkdir(parents=True, exist_ok=True)
        prepared = reader(source, target, **arguments)
        write_manifest(prepared.rows, path)
        (target / "report.txt").write_text(prepared.report() + "\n", encoding="utf-8")
        click.echo(prepared.report())
        click.echo(f"wrote {path}", err=True)

    command: Any = run
    for option in (
        *options,
        click.option("--overwrite", is_flag=True, help="Replace a manifest that exists."),
        click.option(
            "--manifest",
            default="manifest.csv",
            show_default=True,
            help="Name of the manifest: .csv or .parquet.",
        ),
        click.option(
            "-o", "--output", "target", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
        ),
        click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False)),
    ):
        command = option(command)
    prepare.command(name, help=(reader.__doc__ or "").strip().splitlines()[0])(command)


def _read_disfa(source: Path, target: Path) -> Prepared:
    """DISFA: action units; faces are cut out of its videos."""
    from affectkit.predictor import Predictor
    from affectkit.video import open_source

    with Predictor() as predictor:

        def find_points(image: UInt8) -> Array | None:
            faces = predictor.predict_image(image)
            return faces[0].landmarks if faces else None

        def frames_of(video: Path) -> Iterator[Frame]:
            return open_source(video).frames()

        return disfa.read(source, target, frames_of=frames_of, find_points=find_points)


def _read_blendshapes(source: Path, target: Path, *, model: Path) -> Prepared:
    """Any folder of faces: AU soft labels by MediaPipe's Face Landmarker."""
    with blendshapes.face_landmarker(model) as landmarks:
        return blendshapes.read(source, target, landmarks=landmarks)


_DERIVE_VA = click.option(
    "--derive-va", is_flag=True, help="Add valence and arousal derived from the votes or the label."
)
_command(
    "aff-wild2",
    aff_wild2.read,
    click.option(
        "--thin", is_flag=True, help="Leave out frames as the paper does: neutral x10, happiness, sadness x2, VA x5."
    ),
)
_command("disfa", _read_disfa)
_command(
    "expw",
    expw.read,
    click.option("--min-confidence", type=float, default=0.0, show_default=True, help="Leave out less certain boxes."),
)
_command("afew-va", afew_va.read)
_command("ferplus", open_sets.read_ferplus, _DERIVE_VA)
_command("facial-expressions", open_sets.read_facial_expressions, _DERIVE_VA)
_command(
    "blendshapes",
    _read_blendshapes,
    click.option(
        "--model",
        type=click.Path(path_type=Path, dir_okay=False),
        required=True,
        help="MediaPipe's face_landmarker.task.",
    ),
)

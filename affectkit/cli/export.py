"""``affectkit export``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.common import late, show_parity
from affectkit.cli.postprocess import PROGRAMS

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:  # before click 8.2 it has no parameter
    _Choice = click.Choice


class _ModelFormat(_Choice):
    """Formats of models; those of tables are another command's, which is called so in many programs."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in PROGRAMS:
            self.fail(
                f"this command exports models; for a table: affectkit identities TABLE --export {value}", param, ctx
            )
        return super().convert(value, param, ctx)


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model folder to write.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option(
    "--format",
    "target",
    type=_ModelFormat(["onnx", "readout", "tensorrt", "triton", "web"]),
    default="onnx",
    show_default=True,
    help="readout: beside it a graph that decodes, readout.onnx. tensorrt: also build its plan on this machine's GPU "
    "and verify it. triton: a model repository of its server. web: a static page that runs the model in the browser, "
    "and the JavaScript module that it uses (without the extra).",
)
@click.option(
    "--runtime",
    type=click.Path(path_type=Path),
    help="web: onnxruntime-web, as npm's archive (.tgz) or a folder.  [default: the cache, else npm gets it]",
)
@click.option("--name", help="Name of the new model.  [default: MODEL's, with the precision]")
@click.option("--faces", help="int8: a video, picture or folder; the faces found in it decide the ranges.")
@click.option("--aligned", is_flag=True, help="The pictures of --faces are aligned faces already.")
@click.option("--labels", type=click.Path(path_type=Path), help="CSV of a labelled set to compare decisions on.")
@click.option("--images", type=click.Path(path_type=Path), help="Zip with its pictures.")
@click.option("--landmarks", type=click.Path(path_type=Path), help="npz with its points.")
@click.option(
    "--split",
    type=click.Choice(["dev", "valid"]),
    default="valid",
    show_default=True,
    help="Its part to compare on; int8 without --faces takes faces of its training part for the ranges.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def export(
    model: str,
    output: Path,
    precision: Any,
    target: str,
    runtime: Path | None,
    name: str | None,
    faces: str | None,
    aligned: bool,
    labels: Path | None,
    images: Path | None,
    landmarks: Path | None,
    split: str,
    overwrite: bool,
) -> None:
    """Write MODEL (a training run, a model folder or its name) in another precision, with proof (extra: export).

    Every export ends in a parity report against the float32 original, also as parity.json in the folder. Over the
    tolerance of its precision it fails and leaves nothing behind.
    """
    if target == "web":
        given = (precision != "fp32", name, faces, aligned, labels, images, landmarks)
        _web_page(model, output, runtime, overwrite=overwrite, changed=any(given))
        return
    if runtime is not None:
        raise click.UsageError("--runtime belongs to --format web")
    convert = late("affectkit.export.convert", "export", "exporting a model")
    if (labels is None) != (images is None) or (landmarks is not None and labels is None):
        raise click.UsageError("a labelled set needs --labels and --images")
    labelled = calibration = None
    if labels is not None and images is not None:
        labelled, calibration = convert.labelled_part(model, labels, images, landmarks, split, precision=precision)
    if faces is not None and precision == "int8":
        calibration = convert.faces_of(model, faces, aligned=aligned)
    if target == "tensorrt":
        convert.check_tensorrt()
    report = convert.export_model(
        model,
        output,
        precision=precision,
        target=target,
        calibration=calibration,
        labelled=labelled,
        name=name,
        overwrite=overwrite,
    )
    show_parity(report.golden)
    for where, one in (("golden inputs", report.golden_agreement), (report.labelled, report.labelled_agreement)):
        if one is not None:
            click.echo(f"{where} ({one.count}): {one}")
    click.echo(f"{model} in {precision} for {target} -> {output}", err=True)


def _web_page(model: str, output: Path, runtime: Path | None, *, overwrite: bool, changed: bool) -> None:
    """Write a page; ``changed``: options were given that make another model."""
    if changed:
        raise click.UsageError(
            "--format web takes a model as it is; export it in another precision or by another name first"
        )
    write_site = late("affectkit.export.site", "export", "exporting a page").write_site
    site = write_site(model, output, runtime=runtime, overwrite=overwrite)
    click.echo(f"{site.spec.name} as a page, {site.bytes / 1e6:.0f} MB -> {output}", err=True)
    click.echo(f"look at it: python3 -m http.server --directory {shlex.quote(str(output))} 8000", err=True)

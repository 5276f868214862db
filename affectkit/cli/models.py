"""``affectkit models``: list, show, verify."""

from __future__ import annotations

import sys

import click

from affectkit.cli.common import EXIT_FAILED, Commands, say


@click.group("models", cls=Commands)
def models() -> None:
    """The models that come with the package, or lie in a folder."""


@models.command("list")
def models_list() -> None:
    """Name, size and licence of the embedded models."""
    from affectkit import models as folders

    for name in folders.embedded_names():
        spec = folders.read_spec(folders.find(name))
        size = sum(path.stat().st_size for path in folders.find(name).iterdir())
        members = f"{spec.members} network{'s' * (spec.members != 1)}"
        what = f"{spec.input.size} px, {'grey' if spec.input.channels == 1 else 'RGB'}, {members}"
        click.echo(f"{name:16} {what:24} {size / 1e6:5.1f} MB  {spec.licence}")


@models.command("show")
@click.argument("model", default="lite")
@click.option("--json", "as_json", is_flag=True, help="The model.json as it is.")
def models_show(model: str, as_json: bool) -> None:
    """What MODEL (a name or a folder) expects, and its model card."""
    from affectkit import models as folders
    from affectkit.types import REGIONS

    folder = folders.find(model)
    spec = folders.read_spec(folder)
    if as_json:
        click.echo(spec.to_json(), nl=False)
        return
    click.echo(f"name        {spec.name} (version {spec.version}, {spec.licence})")
    click.echo(f"folder      {folder}")
    click.echo(
        f"input       {spec.input.size} x {spec.input.size} px, {spec.input.channels} channel(s), "
        f"template {spec.input.template}"
    )
    click.echo(f"members     {spec.members}, ensemble of {spec.ensemble}")
    if spec.expression_labels:
        click.echo("expressions " + ", ".join(spec.expression_labels))
    if spec.au_labels:
        thresholds = spec.thresholds.items()
        click.echo("thresholds  " + "  ".join(f"{name} {threshold:.2f}" for name, threshold in thresholds))
        click.echo(f"            {spec.au_thresholds_from}")
    if spec.visibility_thresholds is not None:
        shares = zip(REGIONS, spec.visibility_thresholds, strict=True)
        click.echo("visible     " + "  ".join(f"{name} from {share:.2f}" for name, share in shares))
        click.echo(f"            {spec.visibility_thresholds_from}")
    besides = [what for what, there in (("intensities", spec.intensity), ("head pose", spec.pose)) if there]
    if besides:
        click.echo("tells       " + ", ".join(besides))
    if spec.expression_prior is not None:
        prior = zip(spec.expression_labels, spec.expression_prior, strict=True)
        click.echo("prior       " + "  ".join(f"{name} {share:.3f}" for name, share in prior))
        click.echo(f"            {spec.expression_prior_from}")
    absent = [
        what
        for what, there in (
            ("expressions", spec.expression_labels),
            ("action units", spec.au_labels),
            ("valence and arousal", spec.valence_arousal),
        )
        if not there
    ]
    if absent:
        click.echo("lacks       " + ", ".join(absent))
    click.echo("trained on  " + "; ".join(spec.trained_on))
    card = folder / "MODEL_CARD.md"
    if card.is_file():
        click.echo("\n" + card.read_text(encoding="utf-8"), nl=False)


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def models_verify(names: tuple[str, ...]) -> None:
    """Check the sha256 of every file of MODEL (default: all embedded ones)."""
    from affectkit import models as folders

    failed = False
    for name in names or folders.embedded_names():
        folder = folders.find(name)
        problems = folders.check_files(folder, folders.read_spec(folder))
        failed |= bool(problems)
        click.echo(f"{name}: {'damaged' if problems else 'ok'}")
        for problem in problems:
            say(f"error: {problem}")
    if failed:
        say("reinstall the damaged models: pip install --force-reinstall affectkit")
        sys.exit(EXIT_FAILED)

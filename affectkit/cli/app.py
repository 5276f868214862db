"""All commands under one name, and what becomes of their errors: one line and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from affectkit.cli.benchmark import benchmark
from affectkit.cli.checkpoints import import_checkpoints
from affectkit.cli.cite import cite
from affectkit.cli.common import EXIT_FAILED, EXIT_MISUSED, Commands, LateGroup, say
from affectkit.cli.doctor import doctor
from affectkit.cli.export import export
from affectkit.cli.identities import identities
from affectkit.cli.live import live
from affectkit.cli.models import models
from affectkit.cli.predict import predict
from affectkit.cli.report import report
from affectkit.cli.runs import runs
from affectkit.cli.summarise import summary
from affectkit.cli.verify import verify
from affectkit.errors import AffectKitError
from affectkit.terminal import EXIT_INTERRUPTED, Interrupts, mute_stdout, unwind_on_signals


def main() -> None:
    """Entry point: run, and turn errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    interrupts = Interrupts()
    interrupts.install()
    unwind_on_signals()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        _interrupted(error)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); Python would complain once more when it flushes.
        mute_stdout()
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if debug:
            raise
        if interrupts.pressed:  # what an interrupted import or system call made of it
            _interrupted(error)
        if isinstance(error, AffectKitError | ValueError):
            say(f"error: {error}")
            misused = error.misused if isinstance(error, AffectKitError) else True
            sys.exit(EXIT_MISUSED if misused else EXIT_FAILED)
        if not isinstance(error, OSError):
            raise
        say(f"error: {error.filename or 'the system'}: {error.strerror or error}")
        mute_stdout()  # it may be what cannot be written
        sys.exit(EXIT_FAILED)
    finally:
        interrupts.over = True


def _interrupted(error: BaseException) -> NoReturn:
    # By name: importing jobs would load everything. Click turns Ctrl-C into Abort.
    kept = "Interrupted" in (type(error).__name__, type(error.__cause__).__name__)
    left = "what was done is kept: --resume continues it" if kept else "nothing unfinished was left behind"
    say(f"interrupted; {left}")
    sys.exit(EXIT_INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="affectkit", prog_name="affectkit")
def cli() -> None:
    """Facial action units, expression, valence and arousal for every frame and face of a video."""


train = LateGroup("train", home="affectkit.train.cli", extra="train", help="Train and evaluate models (extra: train).")

for command in (
    *(predict, runs, live, summary, report, identities, cite),
    *(doctor, models, verify, export, benchmark, import_checkpoints, train),
):
    cli.add_command(command)

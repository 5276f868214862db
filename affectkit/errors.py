"""Everything affectkit raises on purpose.

    AffectKitError                 catch this to catch all of them
    ├── SourceError                the input cannot be read (missing, empty, not a video, no video stream)
    ├── OutputError                the target cannot be written (exists, folder missing, no permission, full)
    │   └── UnknownSuffix          its name ends in a suffix that stands for no format we write
    ├── ModelError                 the model folder is missing, damaged or from a newer version
    │   └── UnknownModel           there is no model of that name, and no such folder
    ├── TrainingError              a training run cannot continue: a loss is not a number, nothing to learn from
    ├── EngineError                a network could not be loaded or run
    │   └── DeviceUnavailable      the device asked for is not there; nothing else is used in its place
    │       └── NoDevice           what would compute is installed, this machine has no device for it
    └── MissingDependency          an optional package is needed; the message holds the install command

``ValueError`` and ``TypeError`` stay what they are in Python: misuse of a call. Each message names what was given,
what is wrong with it, and what to do; ``.path`` and ``.reason`` are its parts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self


class AffectKitError(Exception):
    """Base of every error that affectkit raises on purpose."""

    misused: ClassVar[bool] = False
    """Whether what was asked for does not exist anywhere, and is no failure: the exit code is 2 then, else 1."""

    @property
    def path(self) -> str | None:
        """The file, folder or URL that the message begins with; None where it is about none."""
        return self._parts()[0]

    @property
    def reason(self) -> str:
        """What is wrong and what to do: the message without :attr:`path`."""
        return self._parts()[1]

    def _parts(self) -> tuple[str | None, str]:
        """The message taken apart; names may hold what usually ends them."""
        message = str(self)
        ends = [k for k in range(len(message)) if message.startswith(": ", k)]
        there = [k for k in ends if os.path.lexists(message[:k])]
        for k in (*reversed(there), *ends[:1]):
            name = message[:k]
            one_word, named = " " not in name, "://" in name or os.sep in name or os.path.splitext(name)[1]
            if k in there or one_word or (named and "'" not in name):
                return name, message[k + 2 :]
        return None, message


class SourceError(AffectKitError):
    """The input cannot be read as pictures."""


class OutputError(AffectKitError):
    """The output cannot be written; whatever stood there before is untouched."""


class UnknownSuffix(OutputError):
    """A target's suffix stands for no format that is written."""

    misused = True


class ModelError(AffectKitError):
    """A model folder is missing, damaged, or needs a newer affectkit."""


class UnknownModel(ModelError):
    """There is no model of that name, and no folder."""

    misused = True


class TrainingError(AffectKitError):
    """A training run cannot continue; its checkpoints are as they were."""


class EngineError(AffectKitError):
    """A network could not be loaded or run."""


class DeviceUnavailable(EngineError):
    """The device that was asked for cannot be used here."""


class NoDevice(DeviceUnavailable):
    """What would compute is installed and works, but this machine has no device for it."""


class MissingDependency(AffectKitError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        self.purpose = purpose
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'affectkit[{extra}]'")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        """It has to come through from other processes."""
        return type(self), (self.package, self.extra, self.purpose)


@contextmanager
def needs(package: str, extra: str, purpose: str, *, module: str | None = None) -> Iterator[None]:
    """For a block that imports an optional package.

    Args:
        package: its name on an index.
        extra: of affectkit, which brings it.
        purpose: what it is needed for, in the words of the message.
        module: its name in Python, where that is another one.

    Raises:
        MissingDependency: it is not installed. What it needs itself and lacks is raised as it comes.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != (module or package):
            raise
        raise MissingDependency(package, extra, purpose) from error

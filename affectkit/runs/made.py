"""Whether a table that is there already is the one that a run would write: by its meta file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectkit.errors import OutputError
from affectkit.options import OutputOptions
from affectkit.runs.brought import stores
from affectkit.runs.job import Job, Outcome, outcome_of
from affectkit.runs.locks import OutputLocks
from affectkit.runs.schemes import is_store
from affectkit.sources.names import is_url, printable

Facts = dict[str, Any]


def facts_of(described: Facts, contents: Any, options: Facts) -> Facts:
    """All that decides a table, but for the machine, the device and the versions, which may differ between two.

    Args:
        described: what the predictor says of itself.
        contents: what :func:`affectkit.runs.resume_notes.contents_of` says of the input.
        options: as the meta file tells them.
    """
    detector = None if options["aligned"] else described["detector"]
    facts = {
        "contents of the input": contents,
        "model": {
            "name": described["model"]["name"],
            **{name: digest for name, digest in described["model"]["sha256"].items() if name.endswith(".onnx")},
        },
        "temporal": described["temporal"],
        "labels": described["labels"],
        "au_thresholds": described["au_thresholds"],
        "prior": described["prior"],
        "min_quality": described["min_quality"],
        "detector": detector,
        **{f"option {name}": value for name, value in options.items()},
    }
    loaded: Facts = json.loads(json.dumps(facts))  # so that tuples are lists, as in a file
    return loaded


def facts_in(meta: Facts) -> Facts:
    """The same, as a meta file tells them."""
    return facts_of(meta, meta["contents"], meta["options"])


def made_alike(job: Job, text: bytes | None, now: Facts) -> Outcome:
    """What the run came to that wrote the table that is there.

    Args:
        text: of the table's meta file; None: there is none.
        now: what a run would make it of (:func:`facts_of`).

    Raises:
        OutputError: it was made of something else, in another way, or nothing tells how; the message names what
            differs.
    """
    try:
        meta = json.loads(text or b"")
        before = facts_in(meta)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _refused(job, f"exists already, and no {job.meta.name} of this version tells how it was made") from None
    for name, value in now.items():
        if before.get(name) != value:
            raise _refused(job, f"exists already, made with {_in_words(name, before.get(name), value)}")
    outcome = outcome_of(meta)
    if outcome is None:
        raise _refused(job, f"exists already, and {job.meta.name} does not tell what it holds")
    return outcome


def _in_words(name: str, old: Any, new: Any) -> str:
    """What differs."""
    if name == "contents of the input":
        return "another input of this name, or before it was changed"
    if name == "model":
        return f"the model {old['name']} ({_digest(old)}), now {new['name']} ({_digest(new)})"
    if isinstance(old, dict) and isinstance(new, dict):  # the first entry that differs
        key = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        name, old, new = f"{name} {key}", old.get(key), new.get(key)
    if name.startswith("option "):
        name = name.removeprefix("option ")
        return f"{name}={old!r}, now {name}={new!r}"  # as Python has them; the command line says --name
    return f"{name} {old}, now {new}"


def _digest(model: Facts) -> str:
    return str(model.get("frame.onnx"))[:8]


def _refused(job: Job, what: str) -> OutputError:
    return OutputError(f"{job.outputs[0]}: {what}; give overwrite=True to replace it, or another name")


def made_before(
    job: Job, now: Callable[[], Facts], outputs: OutputOptions, names: Sequence[Path | str | None]
) -> Outcome | None:
    """What the run came to that wrote the table, where there is one made in the same way; None: it is to be written.

    Args:
        now: what it would be made of (:func:`facts_of`); asked for only where there is a table.
        names: of table, video and sheet: paths, or URLs of a store.

    Raises:
        OutputError: there is one made otherwise, or only a part of the outputs, and nothing may be replaced.
        SourceError: the store does not answer.
    """
    table, video, sheet = names
    if table is None or (outputs.overwrite and not outputs.resume) or not _is_there(table):
        return None
    try:
        outcome = made_alike(job, _text_of(f"{table}.meta.json"), now())
        for name in (video, sheet if outcome.faces else None):
            if name is not None and not _is_there(name):
                raise OutputError(
                    f"{job.outputs[0]}: exists already, and {printable(str(name))} does not; "
                    "give overwrite=True to make both"
                )
    except OutputError:
        if outputs.overwrite:
            return None
        raise
    return dataclasses.replace(outcome, skipped=True)


def made_here(job: Job, now: Callable[[], Facts], outputs: OutputOptions) -> Outcome | None:
    """:func:`made_before`, of outputs that are on this machine.

    Raises:
        OutputError: as there.
    """
    if not is_url(job.source) and not os.path.exists(job.source):
        return None  # which is what is said then
    outcome = made_before(job, now, outputs, (job.table, job.video, job.sheet))
    if outcome is not None:
        with suppress(OSError, OutputError):
            if os.path.lexists(job.note):  # it outlived its run by a moment
                with OutputLocks(job.table):
                    job.note.unlink(missing_ok=True)
    return outcome


def _is_there(name: Path | str) -> bool:
    if isinstance(name, str) and is_store(name):
        return bool(stores().exists(name))
    return os.path.exists(name)


def _text_of(name: str) -> bytes | None:
    if is_store(name):
        found: bytes | None = stores().read(name)
        return found
    try:
        return Path(name).read_bytes()
    except OSError:
        return None

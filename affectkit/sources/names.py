"""Names of sources: which are addresses, and how tables and messages show them."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")


STORE_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"})
"""Of object stores."""


def is_url(name: str) -> bool:
    """Whether a source is read over the network."""
    return _URL.match(name) is not None


def split_url(name: str) -> SplitResult:
    """The parts of an address. Objects of stores have no query and no fragment: ``take #2?.mp4`` is a name there."""
    scheme, _, rest = name.partition("://")
    if scheme.lower() not in STORE_SCHEMES:
        return urlsplit(name)
    host, slash, path = rest.partition("/")
    return SplitResult(scheme, host, slash + path, "", "")


@lru_cache(maxsize=64)  # of the inputs and outputs at work each is asked for several times
def printable(name: str) -> str:
    """A source's name as tables and messages show it: no passwords or tokens of URLs, no undecodable bytes."""
    if is_url(name):
        parts = split_url(name)
        host = parts.netloc.rpartition("@")[2]
        name = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def on_one_line(text: str) -> str:
    """A text with the control characters that names of files may hold written as Python would: a line stays one, and a
    terminal is told nothing but what is to be read."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)

"""Names of sources: which are addresses, and how tables and messages show them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit


def is_url(name: str) -> bool:
    """Whether a source is read over the network."""
    return re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE) is not None


def printable(name: str) -> str:
    """A source's name as tables and messages show it: no passwords or tokens of URLs, no undecodable bytes."""
    if is_url(name):
        parts = urlsplit(name)
        host = parts.netloc.rpartition("@")[2]
        name = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

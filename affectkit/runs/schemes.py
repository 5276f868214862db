"""Which addresses are of object stores, and what reads them."""

from __future__ import annotations

from affectkit.sources.names import STORE_SCHEMES, is_url

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    "memory": "fsspec",
}
"""By scheme. ``memory`` is fsspec's own, for tests."""

EXTRAS = {**dict.fromkeys(("gs", "gcs"), "gcs"), **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure")}
"""Where it is another one than ``cloud``."""

_KNOWN = frozenset({*PACKAGES, "http", "https"})


def scheme_of(name: str) -> str:
    """In lower case; empty: a path."""
    scheme, found, _ = name.partition("://")
    return scheme.lower() if found and (scheme in _KNOWN or is_url(name)) else ""


def is_store(name: str) -> bool:
    """Whether an address is of an object store."""
    return scheme_of(name) in STORE_SCHEMES


def is_http(name: str) -> bool:
    """Whether an address is of a web server."""
    return scheme_of(name) in ("http", "https")

"""Object stores, through fsspec, of which this is the only user: s3://, gs://, az:// and what else it knows.

An object is there or not: it is uploaded under its name as a whole, and never half.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from affectkit.errors import MissingDependency, SourceError
from affectkit.outputs.spare_files import overwritten
from affectkit.runs.fetch import Facts, LostForGood, patiently
from affectkit.runs.schemes import EXTRAS, PACKAGES
from affectkit.sources.names import printable

PART_BYTES = 16 << 20


def _is_news(record: logging.LogRecord) -> bool:
    """False of what asyncio says of a connection that broke: whoever asked has been told, and tries again."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, OSError)


logging.getLogger("asyncio").addFilter(_is_news)


def _store(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it.

    Raises:
        MissingDependency: what reads this store is not installed.
        SourceError: it cannot be set up.
    """
    scheme = url.partition("://")[0].lower()
    try:
        found: tuple[Any, str] = url_to_fs(url)
    except ImportError as error:
        raise MissingDependency(PACKAGES.get(scheme, scheme), EXTRAS.get(scheme, "cloud"), f"{scheme}://") from error
    except Exception as error:  # credentials that cannot be read, for one
        raise SourceError(f"{printable(url)}: cannot be reached ({str(error).splitlines()[0]})") from error
    return found


def facts(url: str) -> Facts:
    """Size and mark of an object.

    Raises:
        SourceError: there is none, or the store does not answer.
    """
    store, path = _store(url)
    info = patiently(lambda: store.info(path), printable(url))
    if info.get("type") == "directory":
        raise SourceError(f"{printable(url)}: is a folder; --recursive takes the videos in it")
    return Facts(info.get("size"), _mark(info), ranges=True)


def _mark(info: Mapping[str, Any]) -> str:
    for name in (
        "ETag",
        "etag",
        "md5Hash",
        "content_md5",
        "LastModified",
        "last_modified",
        "mtime",
        "updated",
        "created",
    ):
        value = info.get(name)
        if value:
            return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
    return ""


def fetch(url: str, into: str, size: int | None) -> None:
    """Download an object, part by part; a part that does not come is asked for again.

    Raises:
        SourceError: it cannot be had, or there is no room for it.
    """
    store, path = _store(url)
    with overwritten(into) as file:
        while size is None or file.tell() < size:
            begin = file.tell()

            def part(begin: int = begin) -> bytes:
                end = None if size is None else min(size, begin + PART_BYTES)
                data: bytes = store.cat_file(path, start=begin, end=end)
                if end is not None and len(data) != end - begin:
                    raise ConnectionError(f"the connection ended after {begin + len(data)} of {size} bytes")
                return data

            data = patiently(part, printable(url))
            try:
                file.write(data)
            except OSError as error:
                raise SourceError(
                    f"{printable(url)}: cannot be kept ({error.strerror}); free some space, or give --scratch"
                ) from error
            if size is None:
                return


def put(local: Path, url: str) -> None:
    """Upload a file, whole; what is there of its name is replaced.

    Raises:
        SourceError: it cannot be done.
    """
    store, path = _store(url)
    patiently(lambda: store.put_file(str(local), path), printable(url))


def write(data: bytes, url: str) -> None:
    """:func:`put`, of a small file that is not on the disk.

    Raises:
        SourceError: it cannot be done.
    """
    store, path = _store(url)
    patiently(lambda: store.pipe_file(path, data), printable(url))


def read(url: str) -> bytes | None:
    """A small object; None: there is none.

    Raises:
        SourceError: the store does not answer.
    """
    store, path = _store(url)

    def ask() -> bytes | None:
        try:
            data: bytes = store.cat_file(path)
            return data
        except FileNotFoundError:
            return None

    return patiently(ask, printable(url))


def exists(url: str) -> bool:
    """Whether there is an object of this name.

    Raises:
        SourceError: the store does not answer.
    """
    store, path = _store(url)

    def ask() -> bool:
        try:
            store.info(path)
        except FileNotFoundError:
            return False
        return True

    return patiently(ask, printable(url))


def below(base: str, recursive: bool) -> Iterator[str]:
    """Names of the objects in a folder, relative to it, sorted; hidden ones are left out.

    Args:
        base: with a slash at its end.

    Raises:
        SourceError: the store does not answer, or there is no such bucket.
    """
    store, path = _store(base)
    root = path.rstrip("/") + "/"

    def listed() -> list[str]:
        try:
            store.invalidate_cache()
            return sorted(store.find(path, maxdepth=None if recursive else 1))
        except FileNotFoundError as error:
            raise LostForGood("there is no such bucket or folder; check the address") from error
        finally:
            store.invalidate_cache()  # it would hold all of them

    for name in patiently(listed, printable(base)):
        relative = name.lstrip("/").removeprefix(root.lstrip("/"))
        if relative and not any(part.startswith(".") for part in relative.split("/")):
            yield relative


def there(base: str) -> set[str]:
    """URLs of all objects below a folder; none where there is no such folder yet.

    Raises:
        SourceError: the store does not answer.
    """
    store, path = _store(base)
    root = path.rstrip("/") + "/"

    def listed() -> list[str]:
        try:
            store.invalidate_cache()
            return list(store.find(path))
        except FileNotFoundError:
            return []
        finally:
            store.invalidate_cache()

    return {base + name.lstrip("/").removeprefix(root.lstrip("/")) for name in patiently(listed, printable(base))}

"""Files of http servers, brought to this machine before they are read: with patience, and within a bound."""

from __future__ import annotations

import base64
import http.client
import logging
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from affectkit.errors import SourceError
from affectkit.outputs.spare_files import overwritten
from affectkit.sources.names import printable

T = TypeVar("T")
log = logging.getLogger(__name__)

TRIES = 7
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 20.0
"""Between two tries; with it a network that is gone for half a minute costs no input."""

ANSWERS_IN_S = 30.0
PART_BYTES = 1 << 20

MAX_BYTES = 8 << 30
"""Of one file, by itself."""


class LostForGood(Exception):
    """Trying again would change nothing; the message says why."""


def patiently(work: Callable[[], T], name: str, *, tries: int = TRIES, wait: Callable[[float], Any] = time.sleep) -> T:
    """What ``work`` returns, after as many tries as it takes, with longer and longer waits between them.

    Raises:
        SourceError: it failed to the end, or there is no use in trying again.
    """
    for k in range(tries):
        try:
            return work()
        except (LostForGood, FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise SourceError(f"{name}: {_reason(error)}") from error
        except Exception as error:  # each library of a store has its own, most of them no OSError
            if "Credential" in type(error).__name__:
                raise SourceError(f"{name}: {_reason(error)}; the store's own variables or files hold them") from error
            if k == tries - 1:
                raise SourceError(
                    f"{name}: not to be had in {tries} tries ({_reason(error)}); check the address and the network"
                ) from error
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**k) * random.uniform(0.75, 1.25)  # not all at the same time
            log.debug("%s: %s; trying again in %.1f s", name, _reason(error), wait_s)
            wait(wait_s)
    raise AssertionError  # tries is at least 1


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the address"
    if isinstance(error, PermissionError):
        return "access is denied; check the credentials and their rights"
    text = str(getattr(error, "reason", "") or error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file before it is fetched."""

    size: int | None
    """Bytes; None: the server does not say, as of a stream without an end."""
    mark: str
    """Its ETag, or when it was changed: another one says that it is another file."""
    ranges: bool = False
    """Whether a part of it can be had."""
    kind: str = ""
    """Of its content, by MIME."""

    def contents(self) -> list[Any]:
        """For :func:`affectkit.runs.resume_notes.contents_of`."""
        return [self.size, self.mark]


def http_facts(url: str) -> Facts:
    """Ask an http server, with no more than a byte of the file.

    Raises:
        SourceError: it cannot be asked.
    """

    def ask() -> Facts:
        with _opened(url, {"Range": "bytes=0-0"}) as answer:
            head = answer.headers
            ranges = answer.status == 206
            told = (head.get("Content-Range", "").rpartition("/")[2] if ranges else head.get("Content-Length")) or ""
            mark = head.get("ETag") or head.get("Last-Modified") or ""
            return Facts(int(told) if told.isdecimal() else None, mark, ranges, head.get_content_type())

    return patiently(ask, printable(url))


def fetch_http(url: str, into: str, facts: Facts) -> None:
    """Download a file; a connection that breaks is taken up where it broke, where the server can do that.

    Raises:
        OSError: the disk is full.
        SourceError: it cannot be had.
    """
    with overwritten(into) as file:
        patiently(lambda: _rest(url, file, facts), printable(url))


def _rest(url: str, file: IO[bytes], facts: Facts) -> None:
    have = file.tell()
    headers = {}
    if have and facts.ranges:
        headers = {"Range": f"bytes={have}-"} | ({"If-Range": facts.mark} if facts.mark[:1] == '"' else {})
    with _opened(url, headers) as answer:
        if have and answer.status != 206:  # from the beginning
            file.seek(0)
            file.truncate()
        while part := answer.read(PART_BYTES):
            try:
                file.write(part)
            except OSError as error:
                raise LostForGood(f"cannot be kept ({error.strerror}); free some space, or give --scratch") from error
            if facts.size is not None and file.tell() > facts.size:
                raise LostForGood("is longer than the server said; it changes, or the server is in error")
    if facts.size is not None and file.tell() < facts.size:
        raise ConnectionError(f"the connection ended after {file.tell()} of {facts.size} bytes")


def _opened(url: str, headers: dict[str, str]) -> Any:
    """An answer of http or https; redirections lead to no other protocol.

    Raises:
        LostForGood: the server says no.
        OSError: or one of http.client's errors: it may be better the next time.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    headers = {"User-Agent": "affectkit", **headers}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    try:
        return opener.open(urllib.request.Request(plain, headers=headers), timeout=ANSWERS_IN_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (408, 429) or error.code >= 500:
            raise ConnectionError(f"the server says {error.code} {error.reason}") from None
        raise LostForGood(f"the server says {error.code} {error.reason}; check the address") from None
    except http.client.InvalidURL as error:
        raise LostForGood(f"is no address ({error})") from error

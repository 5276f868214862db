"""A real S3 server (moto's) on loopback, in a process of its own, whose network can be cut.

    python benchmarks/s3_server.py [OBJECTS]

OBJECTS has lines of `BUCKET/KEY FILE`, what the store holds at first: to upload thousands takes minutes. A key has no
spaces. Its first line is its port. A number on its standard input cuts the network for so many seconds: connections
that are open break, whatever they are at, and new ones are closed at once. Connections outlast a request, as those of
S3 do.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server


class Handler(MotoRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cut_until: ClassVar[float] = 0.0
    connected: ClassVar[set[socket.socket]] = set()

    def handle(self) -> None:
        """Answer its requests, unless the network is cut."""
        if time.monotonic() < Handler.cut_until:
            return
        Handler.connected.add(self.connection)
        try:
            super().handle()
        except OSError:  # it broke
            pass
        finally:
            Handler.connected.discard(self.connection)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""

    @classmethod
    def cut(cls, seconds: float) -> None:
        """Break all connections, and take no new ones for a while."""
        cls.cut_until = time.monotonic() + seconds
        for one in list(cls.connected):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has just ended by itself
                continue


def hold(listed: Path) -> None:
    """Put objects into the store."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    files: dict[str, bytes] = {}
    for line in listed.read_text().splitlines():
        name, _, file = line.partition(" ")
        bucket, _, key = name.partition("/")
        if bucket not in backend.buckets:
            backend.create_bucket(bucket, "us-east-1")
        if file not in files:
            files[file] = Path(file).read_bytes()
        backend.put_object(bucket, key, files[file])


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    if len(sys.argv) > 1:
        hold(Path(sys.argv[1]))
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        Handler.cut(float(line))


if __name__ == "__main__":
    main()

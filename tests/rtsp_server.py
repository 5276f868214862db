"""An RTSP server (RFC 2326) that shows a clip as H.264 over RTP, interleaved in the connection, and ends as it is told.

Like many cameras it takes no UDP: who asks for that is answered 461, and asks again.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import av
from av.bitstream import BitStreamFilterContext

CLOCK = 90_000
"""Ticks of RTP's clock in a second, of video (RFC 6184)."""

MTU = 1400
END = Literal["bye", "close", "reset", "silence"]


@dataclass(frozen=True, slots=True)
class Showing:
    """What one PLAY gives."""

    frames: int | None = None
    """How many of the clip's; None: all."""
    end: END = "bye"
    """``bye``: RTCP says goodbye, and the server waits for TEARDOWN; ``close``, ``reset``: the connection ends without
    a word, in TCP's two ways; ``silence``: it stays, and nothing comes."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A frame as it is sent."""

    time_s: float
    nals: tuple[bytes, ...]


def _units(clip: Path) -> list[_Unit]:
    """The H.264 frames of a clip, in the order in which they are decoded."""
    found = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in container.demux(stream):
            for one in annex_b.filter(packet if packet.size else None):
                parts = bytes(one).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
                found.append(_Unit(float(one.pts * one.time_base), tuple(part for part in parts if part)))
    return found


def _fragments(nal: bytes) -> list[bytes]:
    """Payloads of RTP packets: the unit as it is, or in pieces (FU-A, RFC 6184, 5.8)."""
    if len(nal) <= MTU:
        return [nal]
    pieces = [nal[start : start + MTU] for start in range(1, len(nal), MTU)]
    marks = [128 * (k == 0) | 64 * (k == len(pieces) - 1) | nal[0] & 31 for k in range(len(pieces))]
    return [bytes([nal[0] & 0xE0 | 28, mark]) + piece for mark, piece in zip(marks, pieces, strict=True)]


class RtspServer:
    """Serves one clip at ``url``; each PLAY takes the next of the showings, and is refused when there are none."""

    def __init__(
        self,
        clip: Path,
        showings: list[Showing],
        *,
        length_s: float | None = None,
        sound: bool = False,
        pace: float | None = None,
    ) -> None:
        """Read the clip.

        Args:
            length_s: announced, as recordings do; None: as of a camera, which has no end.
            sound: announce and send a second stream, of silence.
            pace: how many times faster than real frames are sent; None: as fast as they are taken.
        """
        self._units, self._showings = _units(clip), list(showings)
        self._length_s, self._sound, self._pace = length_s, sound, pace
        self.asked: list[str] = []
        """Methods of all requests, in order."""
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/clip"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while not self._over.is_set():
                connection, _ = self._listening.accept()
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        sender: threading.Thread | None = None
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as file:
            while first := file.read(1):
                if first == b"$":  # the client's reports
                    file.read(struct.unpack(">xH", file.read(3))[0])
                    continue
                line = first + file.readline()
                method = line.decode().split(" ")[0]
                headers = {}
                while (text := file.readline().decode().strip()) != "":
                    name, _, value = text.partition(":")
                    headers[name.lower()] = value.strip()
                self.asked.append(method)
                status, more, body = self._answer(method, headers)
                lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", *more]
                lines += [f"Content-Length: {len(body)}"] * bool(body)
                connection.sendall("\r\n".join([*lines, "", body]).encode())
                if method == "PLAY" and status.startswith("200"):
                    sender = threading.Thread(target=self._play, args=(connection, self._showings.pop(0)))
                    sender.start()
                if method == "TEARDOWN":
                    break
            if sender is not None:
                sender.join()

    def _answer(self, method: str, headers: dict[str, str]) -> tuple[str, list[str], str]:
        """Status, headers, body."""
        if method == "OPTIONS":
            return "200 OK", ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], ""
        if method == "DESCRIBE":
            if not self._showings:
                return "404 Not Found", [], ""
            return "200 OK", ["Content-Type: application/sdp", f"Content-Base: {self.url}/"], self._description()
        if method == "SETUP":
            transport = headers["transport"]
            if "TCP" not in transport:
                return "461 Unsupported Transport", [], ""
            return "200 OK", [f"Transport: {transport}", "Session: 1;timeout=60"], ""
        if method == "PLAY":
            return ("200 OK", ["Session: 1"], "") if self._showings else ("404 Not Found", [], "")
        return "200 OK", ["Session: 1"], ""

    def _description(self) -> str:
        """SDP, with the parameter sets of the first frame."""
        sets = [nal for nal in self._units[0].nals if nal[0] & 31 in (7, 8)]
        sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=clip", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += ["a=range:npt=now-" if self._length_s is None else f"a=range:npt=0-{self._length_s}"]
        lines += ["m=video 0 RTP/AVP 96", f"a=rtpmap:96 H264/{CLOCK}"]
        lines += [f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}", "a=control:video"]
        lines += ["m=audio 0 RTP/AVP 0", "a=control:audio"] if self._sound else []
        return "\r\n".join([*lines, ""])

    def _play(self, connection: socket.socket, showing: Showing) -> None:
        began, first_s = time.monotonic(), self._units[0].time_s
        numbers = [0, 0]
        with contextlib.suppress(OSError):  # the client is gone
            for unit in self._units[: showing.frames]:
                if self._pace is not None:
                    self._over.wait(max(0.0, began + (unit.time_s - first_s) / self._pace - time.monotonic()))
                if self._over.is_set():
                    return
                payloads = [part for nal in unit.nals for part in _fragments(nal)]
                for k, payload in enumerate(payloads):
                    last = k == len(payloads) - 1
                    self._send(connection, 0, numbers, (96 | 128 * last, round(unit.time_s * CLOCK)), payload)
                while self._sound and numbers[1] * 0.02 <= unit.time_s:
                    self._send(connection, 2, numbers, (0, numbers[1] * 160), b"\xff" * 160)
            if showing.end == "bye":
                for channel in (1, 3) if self._sound else (1,):
                    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 7, 0, 0, numbers[0], 0)
                    goodbye = report + struct.pack(">BBHI", 0x81, 203, 1, 7)
                    connection.sendall(struct.pack(">cBH", b"$", channel, len(goodbye)) + goodbye)
            elif showing.end == "reset":
                self._over.wait(0.3)  # until the client has taken what was sent: a reset discards the rest
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)  # the other thread reads no further, and closes
            elif showing.end == "close":
                connection.shutdown(socket.SHUT_RDWR)

    def _send(
        self, connection: socket.socket, channel: int, numbers: list[int], mark: tuple[int, int], data: bytes
    ) -> None:
        """One RTP packet; ``mark``: payload type with RTP's marker, and time stamp."""
        kind, stamp = mark
        header = struct.pack(">BBHII", 0x80, kind, numbers[channel // 2] & 0xFFFF, stamp & 0xFFFFFFFF, 7)
        numbers[channel // 2] += 1
        connection.sendall(struct.pack(">cBH", b"$", channel, len(header) + len(data)) + header + data)

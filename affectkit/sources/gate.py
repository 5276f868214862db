"""Where media are opened: which formats and protocols, which of a file's streams, how large, and for how long.

FFmpeg by itself takes a file for whatever its first bytes say. Some of what it knows are no recordings but lists of
other files (playlists, concat scripts, edit lists of film packages), devices, or texts that it draws; a file that was
sent to a user must not make their machine read another one. So what may be opened is a list, and not what is left
after a few are forbidden.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import av
import av.error
import av.stream
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.format import ContainerFormat

from affectkit.errors import DeviceUnavailable, SourceError
from affectkit.sources.limits import Opening, with_margin
from affectkit.sources.names import is_url, printable
from affectkit.sources.streams import best_stream

T = TypeVar("T")

OPENS_IN_S = 20.0
"""Longest time that opening may take; then it is given up, whatever FFmpeg is doing."""

_ANSWERS_IN_S = 10.0
"""FFmpeg's own limit on opening, twice: the container, and the first look at its streams."""

_READS_IN_S = 30.0
"""Longest time that reading one packet may take."""

_LOOKS_UP_S = 0.2
"""How often a thread that waits for another looks up: Ctrl-C comes through only then."""

_RECORDINGS = (
    "3g2,3gp,4xm,aac,ac3,aiff,amr,apng,apv,asf,asf_o,au,av1,avi,avs2,avs3,caf,cavsvideo,dhav,dirac,dnxhd,dv,"
    "eac3,evc,f4v,flac,flv,gif,gxf,h261,h263,h264,hevc,ipu,ivf,ivr,jpegxl_anim,kux,live_flv,lmlm4,lxf,m4v,"
    "matroska,mjpeg,mjpeg_2000,mov,mp3,mp4,mpeg,mpegts,mpegvideo,mpjpeg,mv,mxf,nsv,nut,nuv,obu,ogg,rm,ser,"
    "swf,ty,vc1,vc1test,vivo,vvc,wav,webm,wtv,yuv4mpegpipe"
)
"""By FFmpeg's names; of sound too, so that the message can say that there is no picture."""

_PICTURES = (
    "avif,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gif_pipe,hdr_pipe,heif,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,"
    "jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,phm_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,"
    "sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe"
)

LOCAL_FORMATS = f"{_RECORDINGS},{_PICTURES}"
"""What a file, or a pipe, may be without being told by ``input_format``. None of them opens another file."""

NETWORK_FORMATS = f"{LOCAL_FORMATS},hls,rtsp,webvtt"
"""What a URL may lead to: a playlist of the network may name other addresses there, but no file."""

_PROTOCOLS = {
    "http": "http,https,tls,tcp,httpproxy,crypto",
    "rtsp": "rtsp,rtp,srtp,tcp,udp,tls,http,https,httpproxy",
    "rtmp": "rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,ffrtmphttp,ffrtmpcrypt,http,https,tls,tcp",
    "srt": "srt,udp",
    "udp": "udp",
    "tcp": "tcp",
}
_SCHEMES = {
    **{scheme: _PROTOCOLS["http"] for scheme in ("http", "https", "hls+http", "hls+https")},
    **{scheme: _PROTOCOLS["rtsp"] for scheme in ("rtsp", "rtsps")},
    **{scheme: _PROTOCOLS["rtmp"] for scheme in ("rtmp", "rtmps", "rtmpt")},
    **{scheme: _PROTOCOLS[scheme] for scheme in ("srt", "udp", "tcp")},
}
"""The protocols that a URL may make FFmpeg speak; ``file`` is in none."""


def in_words(error: av.error.FFmpegError | OSError) -> str:
    """What FFmpeg says went wrong; where its time was over it would say that an exit was requested."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return error.strerror or str(error)


def watched(work: Callable[[], T], name: str, limit_s: float = OPENS_IN_S) -> T:
    """What ``work`` returns or raises, computed in a thread that is left to itself where it takes too long.

    FFmpeg does not return to Python while it opens a source, so that Ctrl-C would have to wait for it.

    Raises:
        SourceError: it took longer than ``limit_s`` seconds.
    """
    over = threading.Event()
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # it is raised where the work was asked for
            failures.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=run, name="affectkit open", daemon=True)
    thread.start()
    waited_s = 0.0
    while not over.wait(_LOOKS_UP_S):
        waited_s += _LOOKS_UP_S
        if waited_s >= limit_s:
            raise SourceError(f"{name}: could not be opened within {limit_s:.0f} s; check it, or the way to it")
    if failures:
        try:
            raise failures[0]
        finally:
            failures.clear()  # the error and this frame would keep each other
    return results[0]


def open_container(
    source: Any, opening: Opening | None = None, *, name: str | None = None
) -> av.container.InputContainer:
    """Open a file, a URL or a binary file object for reading, with everything that is not allowed refused.

    Titles in odd encodings do no harm, a silent server does not block for ever. To be called through :func:`watched`
    where a user may press Ctrl-C.

    Raises:
        DeviceUnavailable: ``decode_on`` is not there, or does not decode this video.
        SourceError: the URL's scheme, or the format, is not among those that are allowed.
        av.error.FFmpegError: as FFmpeg says.
    """
    opening = opening or Opening()
    name = name or printable(str(source))
    options: dict[str, Any] = {"timeout": (_ANSWERS_IN_S, _READS_IN_S)}
    if int(av.__version__.partition(".")[0]) < 19:  # PyAV 19 no longer stumbles over such titles, nor takes the option
        options["metadata_errors"] = "replace"
    limits = {"max_streams": "100"}
    if not isinstance(source, str):
        protocols, formats = "pipe", LOCAL_FORMATS
    elif is_url(source):
        protocols, formats = _allowed_protocols(source, name), NETWORK_FORMATS
    else:
        source = os.path.abspath(source)  # because FFmpeg takes a name like 12:30.mp4 for a protocol
        protocols, formats = "file", LOCAL_FORMATS
    if opening.input_format is not None:
        options["format"] = opening.input_format
        formats = f"{ContainerFormat(opening.input_format, 'r').name},{formats}"
        if opening.input_format == "hls" and protocols == "file":
            protocols = "file,crypto"  # whose segments may be encrypted, with the key beside them
    limits |= {"protocol_whitelist": protocols, "format_whitelist": formats}
    # Passed on to the decoders that look at the first frames; the one that decodes is told in prepare.
    options |= {"options": {"max_pixels": with_margin(opening.max_pixels)}, "container_options": limits}
    try:
        if opening.decode_on == "cpu":
            return cast(av.container.InputContainer, av.open(source, **options))
        return _open_on_device(source, opening.decode_on, name, options)
    except av.error.ArgumentError as error:
        # FFmpeg's answer where a list forbids what it found; it has no answer of its own for that.
        if opening.input_format is not None:
            raise
        kind = _list_of_files(source)
        what = f"is {kind}, which can name other files, and" if kind else "is damaged, or of a kind that"
        raise SourceError(
            f"{name}: {what} is not opened by itself; if you trust it, name its format with input_format="
        ) from error


_LISTS = {
    b"#EXTM3U": "a playlist (hls)",
    b"ffconcat": "a script (concat)",
    b"<MPD": "a playlist (dash)",
    b"<SmoothStreamingMedia": "a playlist",
    b"v=0": "a description of streams (sdp)",
}


def _list_of_files(source: Any) -> str | None:
    """What a file is that begins like one of these, in words."""
    if not isinstance(source, str) or is_url(source):
        return None
    try:
        with open(source, "rb") as file:
            begin = file.read(1024)
    except OSError:
        return None
    return next((kind for mark, kind in _LISTS.items() if mark in begin[:512]), None)


def opens_by_itself(name: str, format_name: str) -> bool:
    """Whether what is of this format is opened without ``input_format``."""
    allowed = NETWORK_FORMATS if is_url(name) else LOCAL_FORMATS
    return not set(format_name.split(",")).isdisjoint(allowed.split(","))


def _allowed_protocols(url: str, name: str) -> str:
    scheme = url.partition("://")[0].lower()
    if scheme == "file":
        raise SourceError(f"{name}: give the path of a file as it is, without file://")
    if scheme not in _SCHEMES:
        known = ", ".join(sorted(_SCHEMES))
        raise SourceError(f"{name}: addresses that begin with {scheme}:// are not opened, only {known}")
    return _SCHEMES[scheme]


def _open_on_device(source: Any, decode_on: str, name: str, options: dict[str, Any]) -> av.container.InputContainer:
    kind, _, which = decode_on.partition(":")
    there = ", ".join(hwdevices_available()) or "none"
    if kind not in hwdevices_available():  # FFmpeg would take any device for a name that it does not know
        raise DeviceUnavailable(f"{name}: FFmpeg knows no device {kind!r} to decode on, only {there} and cpu")
    try:
        device = HWAccel(kind, which or None, allow_software_fallback=False)
        container: av.container.InputContainer = av.open(source, hwaccel=device, **options)
        film = best_stream(container)
        if film is not None and film.codec_context is not None and not film.codec_context.is_hwaccel:
            container.close()
            raise RuntimeError("it does not decode this video")
    except (av.error.FFmpegError, RuntimeError, ValueError, NotImplementedError) as error:
        lost = av.error.FileNotFoundError | av.error.InvalidDataError | av.error.ArgumentError
        if (isinstance(source, str) and is_url(source)) or isinstance(error, lost):
            raise  # nothing could be decoded anywhere
        reason = getattr(error, "strerror", None) or str(error)
        raise DeviceUnavailable(
            f"{name}: cannot be decoded on {decode_on!r} ({reason}), which needs its "
            "hardware and driver; or decode on the cpu"
        ) from error
    return container

"""What this machine's CPU is good at."""

from __future__ import annotations

from pathlib import Path

import cv2

_CPU_AVX512_VNNI = 23
"""OpenCV's number of it; it has no name in Python."""


def multiplies_bytes_fast() -> bool:
    """Whether the CPU multiplies and adds bytes in one instruction (VNNI), so that int8 networks are the faster ones.

    Two times as fast as float32 was measured with AVX-512 VNNI; without such an instruction int8 may be slower. Of ARM
    nothing was measured, so there the answer is no.
    """
    if cv2.checkHardwareSupport(_CPU_AVX512_VNNI):
        return True
    facts = Path("/proc/cpuinfo")  # laptops' chips have it without the rest of AVX-512, which OpenCV does not look for
    return facts.is_file() and "avx_vnni" in facts.read_text(errors="replace")

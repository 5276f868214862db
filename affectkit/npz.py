"""Arrays of an .npz file whose sizes are looked at before memory is taken: a small file may claim to be gigabytes."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from affectkit.types import Array

MOST_BYTES = 256 << 20
"""Of all arrays of a file together, unpacked. Golden files have a hundredth, notes of runs a thousandth of it."""


def read_npz(source: Path | bytes, *, most_bytes: int = MOST_BYTES) -> dict[str, Array]:
    """The arrays of an .npz file, by name. Nothing in it is executed.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, larger than ``most_bytes`` when unpacked, or holds what is no array of numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = archive.infolist()
            # What a member is declared to have is all that is ever unpacked of it.
            total = sum(member.file_size for member in members)
            if total > most_bytes:
                raise ValueError(f"it unpacks to {total / 1e6:.0f} MB, more than the {most_bytes / 1e6:.0f} allowed")
            found = {}
            for member in members:
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = _array(file, member.file_size, member.filename)
            return found
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # encrypted, odd compression
        raise ValueError(f"damaged: {error}") from error
    except OSError:
        raise
    except ValueError:
        raise
    except Exception as error:  # zlib's and lzma's errors, SyntaxError of a header, struct's
        raise ValueError(f"damaged: {type(error).__name__}: {error}") from error


def _array(file: IO[bytes], size: int, name: str) -> Array:
    """One member, whose header has to fit what is there."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"{name} is of version {version}, which holds no plain numbers")
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        raise ValueError(f"{name} does not hold plain numbers")
    if any(side < 0 for side in shape):
        raise ValueError(f"{name} has the impossible shape {shape}")
    needed = math.prod(shape) * dtype.itemsize
    if needed > size:
        raise ValueError(f"{name} claims to have {needed} bytes, and has {size} at most")
    data = file.read(needed)
    if len(data) != needed:
        raise ValueError(f"{name} ends after {len(data)} of {needed} bytes")
    flat = np.frombuffer(bytearray(data), dtype=dtype) if data else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")

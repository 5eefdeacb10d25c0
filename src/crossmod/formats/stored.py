"""Voxels as they lie in a file: raw or compressed, read within the bounds that the header sets."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError

Encoding = Literal["raw", "gzip", "zlib", "bzip2"]
COPY_AGAIN = "copy the scan again or exclude the session"
# Deflate codes 258 bytes in 2 bits at best, so nothing inflates to more than 1032 times its size.
MOST_DEFLATED = 1032
# A compressed file that grows to more than this, and by more than a scan ever does, is a bomb.
BOMB_BYTES = 2**30
BOMB_RATIO = 300
CHUNK = 2**20


@dataclass(frozen=True)
class Stored:
    """Where and how voxels are stored, x fastest.

    Attributes
    ----------
    path : path
        File with the voxels.
    dtype : numpy dtype
        Type of a voxel, with its byte order.
    encoding : str
        Compression.
    start : int
        Byte of the file where the (compressed) data begin.
    skip : int
        Bytes to pass over then, counted after inflation.
    tail : bool
        Whether the format lets other data follow the voxels.
    """

    path: Path
    dtype: np.dtype
    encoding: Encoding = "raw"
    start: int = 0
    skip: int = 0
    tail: bool = False


def check_regular(path: Path) -> None:
    """Refuse what is no file with something in it; a pipe would block for good.

    Raises
    ------
    InputError
        If there is nothing, a folder, a device, a pipe, or an empty file.
    """
    try:
        info = path.stat()
    except FileNotFoundError:
        problem = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise InputError(path, problem, "check the path") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe or a device"
        raise InputError(path, f"cannot be read as a scan, it is {kind}", "name a file")
    if info.st_size == 0:
        raise InputError(path, "is empty", COPY_AGAIN)


def unreadable(path: Path, error: OSError) -> InputError:
    """Error line for a file that the system does not let be read."""
    problem = f"cannot be read ({error.strerror or 'input/output error'})"
    return InputError(path, problem, "check its permissions and the disk, or exclude it")


def first_bytes(path: Path, count: int) -> tuple[bytes, Encoding]:
    """First bytes of a file, inflated if it is gzipped, whatever its name says.

    Raises
    ------
    InputError
        If the file cannot be read or its compressed data are damaged.
    """
    with _faults(path):
        with open(path, "rb") as file:
            encoding: Encoding = "gzip" if file.read(2) == b"\x1f\x8b" else "raw"
        with open_stream(Stored(path, np.dtype("u1"), encoding)) as stream:
            return stream.read(count), encoding


def check_amount(where: Path, stored: Stored, voxels: int, slice_voxels: int) -> None:
    """Compare what a header claims with the size of the file, before anything is allocated.

    Parameters
    ----------
    where : path
        File that the user named.
    stored : Stored
        Where the voxels are.
    voxels : int
        Voxels of all volumes.
    slice_voxels : int
        Voxels of one slice: a file that is longer by that has other dimensions than it says.

    Raises
    ------
    InputError
        If the file cannot hold that much, or is a decompression bomb.
    """
    size = stored.path.stat().st_size - stored.start
    claimed = stored.skip + voxels * stored.dtype.itemsize
    if stored.encoding == "raw":
        if size < claimed:
            raise _cut_off(
                where, f"it holds {max(size, 0)} bytes of voxels where {claimed} are due"
            )
        if not stored.tail and size - claimed >= slice_voxels * stored.dtype.itemsize:
            raise _too_long(where)
    elif stored.encoding != "bzip2" and claimed > size * MOST_DEFLATED:
        problem = f"claims {claimed / 1e9:.1f} GB of voxels, more than a file of its size can hold"
        raise InputError(where, problem, COPY_AGAIN)
    elif claimed > BOMB_BYTES and claimed > size * BOMB_RATIO:
        problem = f"would inflate to {claimed / 1e9:.1f} GB, as no scan of its size does"
        raise InputError(where, problem, "check where it comes from")


def read_voxels(where: Path, stored: Stored, first: int, count: int, margin: int) -> NDArray:
    """Read voxels in the order of the file.

    Parameters
    ----------
    where : path
        File that the user named, for error lines.
    stored : Stored
        Where the voxels are.
    first, count : int
        Which of them.
    margin : int
        Voxels that may follow without a fault; negative: what follows is not looked at.

    Returns
    -------
    array, shape (count,)
        In the type of the file.

    Raises
    ------
    InputError
        If the file is cut off or damaged, or holds more than it should.
    """
    with _faults(where), open_stream(stored) as stream:
        _pass_over(stream, stored.skip + first * stored.dtype.itemsize)
        values = np.empty(count, stored.dtype)
        view = memoryview(cast(bytearray, values.view(np.uint8)))
        filled = 0
        while filled < len(view):
            got = stream.readinto(view[filled : filled + CHUNK])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            filled += got
        # Reading on to the end lets gzip compare its checksum.
        ends = margin < 0 or _ends_within(stream, margin * stored.dtype.itemsize)
        if not ends and not stored.tail:
            raise _too_long(where)
        return values


@contextmanager
def open_stream(stored: Stored) -> Iterator[BinaryIO]:
    """Open the data at their beginning, inflating."""
    with open(stored.path, "rb") as file:
        file.seek(stored.start)
        if stored.encoding == "gzip":
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
        elif stored.encoding == "bzip2":
            yield cast(BinaryIO, bz2.BZ2File(file, mode="rb"))
        elif stored.encoding == "zlib":
            yield cast(BinaryIO, io.BufferedReader(_ZlibStream(file), CHUNK))
        else:
            yield file


class _ZlibStream(io.RawIOBase):
    """Inflates a zlib or gzip stream; never more than is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._inflate = file, zlib.decompressobj(wbits=47)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(CHUNK)
            data = self._inflate.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            if not packed:
                raise EOFError
        return 0


def _pass_over(stream: BinaryIO, count: int) -> None:
    while count:
        got = len(stream.read(min(count, CHUNK)))
        if not got:
            raise EOFError
        count -= got


def _ends_within(stream: BinaryIO, count: int) -> bool:
    """Whether fewer than `count` bytes follow, which are read."""
    while count > 0:
        got = len(stream.read(min(count, CHUNK)))
        if not got:
            return True
        count -= got
    return not stream.read(1)


@contextmanager
def _faults(where: Path) -> Iterator[None]:
    """One line for whatever can go wrong while bytes are read and inflated."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error):
        raise InputError(
            where, "is damaged (its compressed data are corrupt)", COPY_AGAIN
        ) from None
    except EOFError:
        raise _cut_off(where, "it ends before its last voxel") from None
    except OSError as error:
        if error.errno is None:  # bz2 says so when data make no sense
            problem = "is damaged (its compressed data are corrupt)"
            raise InputError(where, problem, COPY_AGAIN) from None
        raise unreadable(where, error) from None


def _cut_off(where: Path, detail: str) -> InputError:
    return InputError(where, f"is damaged ({detail})", COPY_AGAIN)


def _too_long(where: Path) -> InputError:
    problem = "holds more voxels than its header says"
    return InputError(where, problem, "convert it again or exclude the session")

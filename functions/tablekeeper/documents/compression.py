"""Compression, recognised by a file's first bytes and never by its name: gzip, bzip2, zstd."""

from __future__ import annotations

import bz2
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tablekeeper.errors import EncodingError

ENDINGS = (".gz", ".bz2", ".zst")
"""What the name of a compressed file may end in, behind its suffix."""

PACKED_BYTES, UNPACKED_BYTES = 16_384, 1_000_000
"""How much goes in and comes out at once: the libraries copy what they have left over each time."""

ZSTD_WINDOW = 23
"""The largest window, as a power of two: 8 MB, which a decoder should have.
https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1.2
"""


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


@dataclass(frozen=True)
class Compression:
    """A kind of compression. `padding` may stand behind a member, and is passed over."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[], _Decompressor]
    padding: bytes = b""


class _Gzip:
    """zlib's decompressor of one gzip member."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        part = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail
        return part


def _zstd() -> _Decompressor:
    # Python has it from 3.14. Imported late: other files need neither.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW})


COMPRESSIONS = (
    # https://www.rfc-editor.org/rfc/rfc1952, with padding as tapes and `gzip -d` have it.
    Compression("gzip", re.compile(rb"\x1f\x8b"), _Gzip, b"\0"),
    Compression("bzip2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    # A frame of data, or one to skip. https://www.rfc-editor.org/rfc/rfc8878#section-3.1
    Compression("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstd),
)
MAGIC_BYTES = 10
"""How many bytes at the beginning identify a compression."""


def compression_of(head: bytes) -> Compression | None:
    """The compression of a file that begins so; None where there is none that is known."""
    return next((each for each in COMPRESSIONS if each.magic.match(head)), None)


def expanded(chunks: Iterable[bytes], how: Compression) -> Iterator[bytes]:
    """What a compressed file holds, all its members, in pieces of at most 1 MB.

    Raises:
        EncodingError: it is cut or damaged.
    """
    member: _Decompressor | None = None
    members = 0
    for piece in _pieces(chunks):
        data = piece
        while data or (member and not member.needs_input):
            if member is None:
                data = data.lstrip(how.padding) if members and how.padding else data
                if not data:
                    break
                member = how.new()
            try:
                part = member.decompress(data, UNPACKED_BYTES)
            except (zlib.error, OSError, ValueError, EOFError) as error:
                raise _damaged(how, error, members) from None
            except Exception as error:
                if type(error).__name__ == "ZstdError":
                    raise _damaged(how, error, members) from None
                raise
            yield part
            data = b""
            if member.eof:
                data, member, members = member.unused_data, None, members + 1
    if member:
        raise EncodingError(f"the file begins as {how.name} and is cut short")


def _damaged(how: Compression, error: Exception, members: int) -> EncodingError:
    if "memory" in str(error) or "window" in str(error).lower():
        return EncodingError(
            f"the {how.name} has a window of more than {1 << ZSTD_WINDOW:,} bytes; compress the "
            "file without `--long` and `--ultra`"
        )
    if members:
        return EncodingError(
            f"what stands behind the end of the {how.name} is no {how.name}, or is damaged"
        )
    return EncodingError(f"the file begins as {how.name} and is damaged")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), PACKED_BYTES):
            yield chunk[start : start + PACKED_BYTES]

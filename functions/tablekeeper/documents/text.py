"""Bytes to text: encodings, compression and their bounds."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from tablekeeper.errors import (
    DocumentTooLargeError,
    EncodingError,
)

GZIP_MAGIC = b"\x1f\x8b"


BYTE_ORDER_MARK = "\ufeff"


DEFLATED_BYTES, INFLATED_BYTES = 16_384, 1_000_000
"""How much of a gzip goes in and comes out at once: zlib copies what it has left over each time."""


def text_of(chunks: Iterable[bytes], limit: int) -> Iterator[str]:
    """The text of a file of at most `limit` bytes, without its byte order mark; gzip is told by
    its first two bytes.

    Raises:
        DocumentTooLargeError: it is larger, or what the gzip holds is.
        EncodingError: not UTF-8, or gzip that is cut or damaged.
    """
    head, rest = b"", iter(chunks)
    for chunk in rest:
        head += chunk
        if len(head) >= len(GZIP_MAGIC):
            break
    what: str = "file"
    parts: Iterator[bytes] = chain([head], rest)
    if head.startswith(GZIP_MAGIC):
        what, parts = "gzip", _inflated(parts)
    text, begun = _Utf8(), False
    for part in parts:
        room = limit - text.bytes_read
        some = text.decode(part[:room])
        if some:
            yield some if begun else some.removeprefix(BYTE_ORDER_MARK)
            begun = True
        if len(part) > room:
            raise DocumentTooLargeError(f"the {what} holds more than {limit:,} bytes")
    text.decode(b"", final=True)


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = None
    for piece in _pieces(chunks, DEFLATED_BYTES):
        data = piece
        while data:
            inflater = inflater or zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            try:
                part = inflater.decompress(data, INFLATED_BYTES)
            except zlib.error:
                raise EncodingError("the file begins as gzip and is damaged") from None
            yield part
            data = inflater.unconsumed_tail
            if inflater.eof:
                data, inflater = inflater.unused_data, None
    if inflater:
        raise EncodingError("the file begins as gzip and is cut short")


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


class _Utf8:
    """A strict decoder that knows where in the file it is."""

    def __init__(self) -> None:
        self.bytes_read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def decode(self, part: bytes, *, final: bool = False) -> str:
        """Raises EncodingError."""
        begun, _ = self._decoder.getstate()
        try:
            text = self._decoder.decode(part, final)
        except UnicodeDecodeError as error:
            place = self.bytes_read - len(begun) + error.start
            raise EncodingError(f"byte {place} of the file is not UTF-8 ({error.reason})") from None
        self.bytes_read += len(part)
        return text

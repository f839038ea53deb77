"""Bytes to text: encodings, and what is no text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from tablekeeper.documents.compression import MAGIC_BYTES, compression_of, expanded
from tablekeeper.documents.foreign_formats import HEAD_BYTES, foreign_format
from tablekeeper.errors import DocumentTooLargeError, EncodingError, FileFormatError

BYTE_ORDER_MARK = "\ufeff"
_UTF_32 = re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|([^\0]\0\0\0){2}|(\0\0\0[^\0]){2}")
_WIDE = re.compile(rb"([^\0]\0){2}|(\0[^\0]){2}")


class Text:
    """The text of a file of at most `limit` bytes, read anew by each iteration, as `text_of`."""

    def __init__(self, chunks: Iterable[bytes], limit: int) -> None:
        """Takes the content, which can be iterated as often as the text is to be."""
        self.chunks, self.limit = chunks, limit

    def __iter__(self) -> Iterator[str]:
        return text_of(self.chunks, self.limit)


def text_of(chunks: Iterable[bytes], limit: int) -> Iterator[str]:
    """The text of a file of at most `limit` bytes, compressed or not, without its byte order mark;
    it is UTF-8, or UTF-16 with the mark.

    Raises:
        DocumentTooLargeError: it is larger, or what it holds compressed is.
        EncodingError: no text, or compressed and cut or damaged.
        FileFormatError: a format that is not read, such as zip or Parquet.
    """
    what = "file"
    head, parts = _begun(chunks, MAGIC_BYTES)
    compression = compression_of(head)
    if compression:
        what, parts = compression.name, expanded(parts, compression)
    head, parts = _begun(parts, HEAD_BYTES)
    text, begun = _decoder_of(head, f"the {what}"), False
    for part in parts:
        room = limit - text.bytes_read
        some = text.decode(part[:room])
        if some:
            yield some if begun else some.removeprefix(BYTE_ORDER_MARK)
            begun = True
        if len(part) > room:
            raise DocumentTooLargeError(f"the {what} holds more than {limit:,} bytes")
    text.decode(b"", final=True)


def _begun(chunks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, as many as there are; and all of them, from the beginning."""
    rest, held, length = iter(chunks), list[bytes](), 0
    for chunk in rest:
        held.append(chunk)
        length += len(chunk)
        if length >= size:
            break
    return b"".join(held)[:size], chain(held, rest)


def _decoder_of(head: bytes, what: str) -> _Decoder:
    compression = compression_of(head)
    if compression:
        raise FileFormatError(f"{what} holds {compression.name}: compress it once")
    foreign = foreign_format(head)
    if foreign:
        raise FileFormatError(f"{what} is {foreign[0]}: {foreign[1]}")
    if _UTF_32.match(head):
        raise EncodingError(f"{what} is UTF-32")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _Decoder("utf-16")
    if _WIDE.match(head):
        raise EncodingError(f"{what} looks like UTF-16 without a byte order mark")
    return _Decoder("utf-8")


class _Decoder:
    """A strict decoder that counts the bytes that it read."""

    def __init__(self, encoding: str) -> None:
        self.bytes_read = 0
        self._encoding = encoding.upper()
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def decode(self, part: bytes, *, final: bool = False) -> str:
        """Raises EncodingError."""
        begun, _ = self._decoder.getstate()
        try:
            text = self._decoder.decode(part, final)
        except UnicodeDecodeError as error:
            place = self.bytes_read - len(begun) + error.start
            raise EncodingError(
                f"byte {place} of the file is not {self._encoding} ({error.reason})"
            ) from None
        self.bytes_read += len(part)
        return text

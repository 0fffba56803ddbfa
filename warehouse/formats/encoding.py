"""How a text file is encoded, decided by one pass over all of its bytes, and its text as UTF-8 in pieces.

Belongs here: byte order marks, UTF-8, UTF-16, Windows-1252, and which sign ends a line. Does not belong here: what
the text says. Memory stays flat: nothing holds more than one piece.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from schemas.problems import FileRefused

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "windows-1252"]

PIECE_BYTES = 1 << 20
_MARKS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_IN_WINDOWS_1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_NOT_FIRST = bytes(byte for byte in range(256) if not 0xC2 <= byte <= 0xF4)  # all but first bytes of longer signs


@dataclass(frozen=True, slots=True)
class Encoded:
    """How the text of a file is written.

    ``start``: bytes before the text (a byte order mark). ``line_end``: the sign that ends a line; a carriage return
    only where the file holds no line feed. ``doubtful``: bytes that are no UTF-8 outnumber the signs beyond ASCII that
    are, so that no sign beyond ASCII can be trusted.
    """

    encoding: Encoding
    start: int
    line_end: bytes = b"\n"
    doubtful: bool = False


def likely(opening: bytes) -> tuple[Encoding, int]:
    """What the first bytes of a file say: UTF-16, or 'utf-8' for anything else; and the length of the mark."""
    for mark, encoding in _MARKS:
        if opening.startswith(mark):
            return encoding, len(mark)
    sample = opening[:512]
    enough = len(sample) // 2 * 2 / 5
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd and odd >= enough and even * 10 <= odd:
        return "utf-16-le", 0
    if even and even >= enough and odd * 10 <= even:
        return "utf-16-be", 0
    return "utf-8", 0


def encoded(file: BinaryIO) -> Encoded:
    """How the text of ``file`` is written, from all of its bytes.

    Valid UTF-8 is UTF-8. Text without one valid sign of UTF-8 beyond ASCII and with bytes that Windows-1252 defines is
    Windows-1252. Anything else is UTF-8 with bad bytes, which ``warehouse.formats.delimited`` finds again record by
    record. Raises FileRefused (unreadable_encoding) for UTF-16 that breaks.
    """
    file.seek(0)
    encoding, start = likely(file.read(512))
    good = bad = 0
    feeds = returns = False
    defined = True
    pending = b""
    for piece in pieces(file, Encoded(encoding, start), PIECE_BYTES):
        feeds = feeds or b"\n" in piece
        returns = returns or b"\r" in piece
        if encoding != "utf-8" or (piece.isascii() and not pending):
            continue
        waiting = pending + piece
        signs, used = codecs.utf_8_decode(waiting, "ignore", False)
        pending, kept = waiting[used:], signs.encode()
        bad += used - len(kept)
        good += len(kept.translate(None, _NOT_FIRST))
        defined = defined and not any(byte in piece for byte in _NOT_IN_WINDOWS_1252)
    bad += len(pending)
    if bad and defined and not good and not start:
        encoding = "windows-1252"
    return Encoded(
        encoding,
        start,
        line_end=b"\r" if returns and not feeds else b"\n",
        doubtful=encoding == "utf-8" and bad > good and not start,
    )


def pieces(file: BinaryIO, text: Encoded, size: int) -> Iterator[bytes]:
    """The text after the mark as UTF-8, read ``size`` bytes at a time; bytes that are no UTF-8 are left as they are.

    May be asked for again while an earlier reading goes on. Raises FileRefused (unreadable_encoding) for UTF-16 that
    breaks.
    """
    decoder = None if text.encoding == "utf-8" else codecs.getincrementaldecoder(text.encoding)()
    position = text.start
    while True:
        file.seek(position)
        piece = file.read(size)
        position += len(piece)
        if decoder is None:
            recoded = piece
        else:
            try:
                recoded = decoder.decode(piece, final=not piece).encode()
            except UnicodeDecodeError:
                raise FileRefused("unreadable_encoding") from None
        if recoded:
            yield recoded
        if not piece:
            return

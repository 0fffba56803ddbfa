"""JSON text taken value by value, with the original text of each: the whole file is never held.

Belongs here: encoding, arrays, lines and members. Does not belong here: what makes a value unreadable
(``json_values``), which values are records (``json_records``, ``questionnaire_response``).

The standard library parses each value. ijson was tried first: its fast backend gives '?' for half a surrogate pair
(another text than was sent), it has no original text, and deep nesting makes it build paths without bound.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from schemas.file_limits import file_limits
from schemas.problems import FileRefused
from warehouse.formats.json_values import Parsed, judged, text_code
from warehouse.formats.rendering import Number, plain_number, storable

CHUNK = 1 << 20
LONGEST = 32  # a value is given up as broken when this many times the longest record do not complete it
_SPACE = re.compile(r"[ \t\n\r]*")


class Malformed(Exception):
    """The text is not JSON, or ends too early."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What the file is: an array, one object, lines of objects, or an object with one member to be read as an array.

    ``kind_of_resource``: the object's ``resourceType``, for FHIR. ``arrays``: the members of the one object that are
    arrays of objects; ``members``: all of them.
    """

    kind: Literal["array", "object", "lines"]
    encoding: str
    arrays: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    kind_of_resource: str = ""


class Window:
    """The decoded text of a file from a moving place on. Bytes that are no text become lone surrogates."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.encoding = json.detect_encoding(file.read(4))
        file.seek(0)
        self._file = file
        errors = "surrogateescape" if self.encoding.startswith("utf-8") else "surrogatepass"
        self._decoder = codecs.getincrementaldecoder(self.encoding)(errors)
        self._text, self._at, self._ended = "", 0, False
        self._repeated = False
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=lambda text: Number(plain_number(text)),
            parse_int=lambda text: Number("0" if text == "-0" else text),
            parse_constant=Number,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        self._repeated |= len(members) < len(pairs)
        return members

    def _more(self) -> bool:
        """Read on; whether there was more. At least as much is read as is waiting, so that retries stay few."""
        if self._ended:
            return False
        pending = self._text[self._at :]
        data = self._file.read(max(CHUNK, len(pending)))
        self._ended = not data
        try:
            self._text = pending + self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError:
            raise FileRefused("broken_file") from None
        self._at = 0
        return bool(data) or len(self._text) > len(pending)

    def sign(self) -> str:
        """The next sign that is no white space, without taking it; '' at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, allowed: str) -> str:
        """Take the next sign, which must be one of ``allowed``. Raises Malformed."""
        sign = self.sign()
        if not sign or sign not in allowed:
            raise Malformed
        self._at += 1
        return sign

    def parsed(self) -> Parsed:
        """Take the next value. Raises Malformed, and RecursionError where it is nested beyond any use."""
        self.sign()
        while True:
            self._repeated = False
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST * file_limits()["record_bytes"] or self._ended:
                    raise Malformed from None
                self._more()
                continue
            if end < len(self._text) or self._ended:
                text, self._at = self._text[self._at : end], end
                return judged(value, text, repeated=self._repeated)
            self._more()  # a number at the end of the window may go on

    def lines(self) -> Iterator[Parsed]:
        """The values of all lines that are not blank; a line that is no JSON, or nested too deep, is ``bad_json``."""
        limit = file_limits()["record_bytes"]
        while True:
            end = self._text.find("\n", self._at)
            if end < 0 and len(self._text) - self._at <= limit and self._more():
                continue
            line = self._text[self._at : end if end >= 0 else None][: limit + 1]
            while end < 0 and not self._ended:
                self._at = len(self._text)
                self._more()
                end = self._text.find("\n", self._at)
            self._at = end + 1 if end >= 0 else len(self._text)
            if line := line.strip(" \t\r\n"):
                yield self._line(line)
            elif end < 0:
                return

    def _line(self, line: str) -> Parsed:
        self._repeated = False
        if len(line) > file_limits()["record_bytes"]:
            return Parsed(None, storable(line), "too_long")
        try:
            return judged(self._json.decode(line), line, repeated=self._repeated)
        except (json.JSONDecodeError, RecursionError):
            return Parsed(None, storable(line), text_code(line) or "bad_json")


def items(window: Window) -> Iterator[Parsed]:
    """The items of the array that comes next. Raises Malformed, RecursionError."""
    window.take("[")
    if window.sign() == "]":
        window.take("]")
        return
    while True:
        yield window.parsed()
        if window.take(",]") == "]":
            return


def members(window: Window) -> Iterator[str]:
    """The names of the members of the object that comes next; the caller takes each value. Raises Malformed."""
    window.take("{")
    if window.sign() == "}":
        window.take("}")
        return
    while True:
        if window.sign() != '"':
            raise Malformed
        name = window.parsed().value
        window.take(":")
        yield name
        if window.take(",}") == "}":
            return


def outline(file: BinaryIO) -> Outline:
    """What kind of JSON the file holds. Raises FileRefused (empty_file, not_a_known_format)."""
    window = Window(file)
    match window.sign():
        case "":
            raise FileRefused("empty_file")
        case "[":
            return Outline("array", window.encoding)
        case "{":
            try:
                return _one_object(window)
            except (Malformed, RecursionError):
                return Outline("lines", window.encoding)
        case _:
            raise FileRefused("not_a_known_format")


def _one_object(window: Window) -> Outline:
    names, arrays, resource = [], [], ""
    for name in members(window):
        names.append(name)
        if window.sign() == "[":
            # The generator is consumed whole even where the first item shows that this is no array of objects.
            objects = [isinstance(item.value, dict) for item in _kinds(window)]
            if objects == [True]:
                arrays.append(name)
        else:
            value = window.parsed().value
            resource = value if name == "resourceType" and isinstance(value, str) else resource
    if window.sign():
        raise Malformed
    return Outline("object", window.encoding, tuple(arrays), tuple(names), resource)


def _kinds(window: Window) -> Iterator[Parsed]:
    """One item for each kind of item that the array holds, objects being one kind and all else the other."""
    seen = set()
    for item in items(window):
        kind = isinstance(item.value, dict)
        if kind not in seen:
            seen.add(kind)
            yield item


def values(file: BinaryIO, shape: Outline, member: str = "") -> Iterator[Parsed]:
    """The values of the file: items of the array, or of the array ``member`` of the object; lines; or the one object.

    Raises FileRefused (broken_file, nested_too_deep).
    """
    window = Window(file)
    try:
        if shape.kind == "lines":
            yield from window.lines()
            return
        if shape.kind == "array":
            yield from items(window)
        elif member:
            for name in members(window):
                if name == member:
                    yield from items(window)
                else:
                    window.parsed()
        else:
            yield window.parsed()
        if window.sign():
            raise FileRefused("broken_file")
    except Malformed:
        raise FileRefused("broken_file") from None
    except RecursionError:
        raise FileRefused("nested_too_deep") from None

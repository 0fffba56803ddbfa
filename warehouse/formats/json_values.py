"""JSON values once parsed: what makes one unreadable, and how deep it is.

Belongs here: judging a value and its text. Does not belong here: finding values in a file (``json_stream``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.file_limits import file_limits
from warehouse.formats.block import SEVERAL
from warehouse.formats.rendering import storable


class Parsed(NamedTuple):
    """A value, its original text, and why it cannot be taken ('' or a code of ``schemas/problems.csv``)."""

    value: Any
    text: str
    code: str = ""


def judged(value: Any, text: str, *, repeated: bool) -> Parsed:
    """A value as parsed from ``text``, with the code of what is wrong with it; ``repeated``: it gives a name twice."""
    code = text_code(text) or (_string_code(value) if "\\u" in text else "")
    if len(text) > file_limits()["record_bytes"]:
        code = "too_long"
        text = text[: file_limits()["record_bytes"]]
    return Parsed(value, storable(text), code or ("repeated_key" if repeated else ""))


def text_code(text: str) -> str:
    """``bad_bytes`` for text with bytes or half surrogate pairs that are no text, else ''."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "bad_bytes"
    return ""


def _string_code(value: Any) -> str:
    """Why the strings of a value with escapes cannot be taken: half a surrogate pair, or our own sign."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found += one
        waiting += _inner(one)
        if isinstance(one, str):
            found.append(one)
    text = "".join(found)
    return text_code(text) or ("bad_json" if SEVERAL in text else "")


def deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than ``levels``."""
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()

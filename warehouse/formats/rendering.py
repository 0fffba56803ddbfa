"""Typed values as the text of a cell: the same rules for every format that has types of its own.

Belongs here: how true, a number or a list is written. Does not belong here: reading a format, or what a cell may hold.
Nothing is rounded or guessed: a value without a plain text is given as its own text, which the contract refuses.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from warehouse.formats.block import SEVERAL

LONGEST_PLAIN = 30  # digits before or after the point; 1e400 written out would be no number that anybody typed


class Number(str):
    """The text of a number that stood without quotation marks, so that it can be told from a string."""

    __slots__ = ()


def plain_number(text: str) -> str:
    """A decimal number in plain digits, as short as exact: 41.0 is '41', 1.50 is '1.5', 1e2 is '100'.

    ``text``: a number in decimal notation. Text that is no finite number, or that has very many digits when written
    out, comes back unchanged.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if number.is_zero():
        return "0"
    if not number.is_finite() or abs(number.adjusted()) > LONGEST_PLAIN:
        return text
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def cell_text(value: Any) -> str | None:
    """A JSON value as the text of a cell; null for None.

    A list of plain values is joined by ``SEVERAL``. Objects, and lists with anything else in them, are given as JSON.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(item, str | bool) for item in value):
        return SEVERAL.join(cell_text(item) or "" for item in value)
    return json_text(value)


def json_text(value: Any) -> str:
    """JSON text of null, booleans, strings, ``Number``, lists and dicts; the caller bounds the depth."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = (f"{json.dumps(key, ensure_ascii=False)}: {json_text(item)}" for key, item in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(json_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def storable(text: str) -> str:
    """Text that is valid Unicode: bytes that were none, and lone surrogates, written as escapes."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

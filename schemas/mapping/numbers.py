"""Numbers as texts: decimal signs, and exact conversion of units in whole-number arithmetic.

Belongs here: expressions over columns of number texts. Floating point is never used: 150 lb is 68.04 kg, not
68.03885549999999. Does not belong here: which unit is meant (``units``), or limits (``schemas.contract``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import lcm
from typing import Literal

import polars as pl

from schemas.answers import NUMBER
from schemas.mapping.units import Unit

PLACES = int(re.findall(r"\{1,([0-9]+)\}", NUMBER)[0])  # decimals that a number text may have
WITH_COMMA = NUMBER.replace(r"\.", ",")
GROUPED = "^-?[1-9][0-9]{0,2}%s[0-9]{3}$"  # with one sign: thousands in one country, three decimals in the next


def decimal_declared(cell: pl.Expr, decimal: Literal["point", "comma"]) -> tuple[pl.Expr, pl.Expr]:
    """Number texts with a declared decimal sign, as texts with a point; and the code where they are not such.

    With a declared comma a point can only be a thousands sign: "1.234" is ``ambiguous_number``, anything else that is
    no number ``not_a_number``. With a declared point the text is left to the contract.
    """
    if decimal == "point":
        return cell, pl.lit(None, pl.String)
    grouped = cell.str.contains(GROUPED % r"\.")
    code = pl.when(grouped).then(pl.lit("ambiguous_number")).otherwise(pl.lit("not_a_number"))
    return cell.str.replace(",", ".", literal=True), pl.when(~cell.str.contains(WITH_COMMA)).then(code)


def decimal_seen(cell: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Number texts of a file in which both decimal signs occur, as texts with a point; and the code where unclear.

    One sign before exactly three digits ("1,234", "1.234") may part thousands: ``ambiguous_number``. "0,125" cannot.
    """
    unclear = cell.str.contains(GROUPED % "[.,]")
    with_point = pl.when(cell.str.contains(WITH_COMMA)).then(cell.str.replace(",", ".", literal=True)).otherwise(cell)
    return with_point, pl.when(unclear).then(pl.lit("ambiguous_number"))


def converted(parts: Sequence[tuple[pl.Expr, Unit]], *, decimals: int, whole: bool) -> pl.Expr:
    """The sum of ``parts`` in the form's unit, as plain text; null where any part is blank or no number.

    ``parts``: texts with a point and the unit of each (feet and inches are two parts). ``decimals``: how many are
    kept (0 to 6) of a converted value, rounded half away from zero, trailing zeros dropped. ``whole``: the form wants
    a whole number, and a converted value is rounded as its unit says. A value in the form's own unit is never rounded:
    41.0 years are 41, and 5.5 stay 5.5, which the contract refuses.
    """
    if len(parts) == 1 and parts[0][1].is_the_forms:
        whole, decimals = False, PLACES
    down = whole and all(unit.whole == "down" for _, unit in parts)
    kept = 0 if whole else decimals
    common = lcm(*(unit.factor.denominator for _, unit in parts))
    total: pl.Expr = pl.lit(0, pl.Int128)
    for text, unit in parts:
        numerator = unit.factor.numerator * (common // unit.factor.denominator)
        total = total + (_scaled(text) - pl.lit(unit.less * 10**PLACES, pl.Int128)) * pl.lit(numerator, pl.Int128)
    divisor = common * 10 ** (PLACES - kept)
    size = pl.when(total < 0).then(pl.lit(0, pl.Int128) - total).otherwise(total)
    rounded = size // divisor if down else (size * 2 + divisor) // (2 * divisor)
    return _plain(rounded, kept, negative=total < 0)


def _scaled(text: pl.Expr) -> pl.Expr:
    """A number text times 10 to the power of ``PLACES``, as a whole number; null where it is no number."""
    number = pl.when(text.str.contains(NUMBER)).then(text.str.strip_prefix("-"))
    digits = number.str.extract("^([0-9]+)", 1)
    fraction = number.str.extract(r"\.([0-9]+)$", 1).fill_null("").str.pad_end(PLACES, "0")
    size = (digits + fraction).cast(pl.Int128)
    return pl.when(text.str.starts_with("-")).then(pl.lit(0, pl.Int128) - size).otherwise(size)


def _plain(size: pl.Expr, decimals: int, *, negative: pl.Expr) -> pl.Expr:
    digits = size.cast(pl.String).str.pad_start(decimals + 1, "0")
    if decimals:
        digits = digits.str.replace(f"([0-9]{{{decimals}}})$", ".${1}").str.strip_chars_end("0").str.strip_suffix(".")
    return pl.when(negative & (size > 0)).then("-" + digits).otherwise(digits)

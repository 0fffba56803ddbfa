"""Figures as words for the card and the report.

Belongs here: how an estimate, a share or a name is written. Does not belong here: computing or placing them.
"""

from __future__ import annotations

from typing import Any

from models.evaluation.statements import TOO_FEW


def figure(given: Any, style: str = "share", *, with_n: bool = True) -> str:
    """An estimate as "value (low to high; n = 1,234)"; ``style`` as in ``number``. ``None`` is "too few", and
    a star stands for an interval that was not measured.

    ``with_n`` false leaves out n, for tables that say it in a column or a heading.
    """
    if given is None:
        return TOO_FEW
    value = number(given["value"], style)
    if given["low"] is None:
        return f"{value}*"
    low, high = (number(given[end], style).removesuffix("\u00a0%") for end in ("low", "high"))
    n = f"; n\u00a0=\u00a0{given['n']:,}" if with_n else ""
    return f"{value} ({low} to {high}{n})"


def records(given: Any) -> str:
    """How many records stand behind an estimate, as "n = 1,234"; "n: too few" for ``None``."""
    return f"n: {TOO_FEW}" if given is None else f"n = {given['n']:,}"


def number(value: float | None, style: str = "share") -> str:
    """One number: ``share`` as a percentage, ``loss`` with 3 decimals, ``benefit`` with 4, ``threshold`` in percent."""
    if value is None:
        return TOO_FEW
    if style == "share":
        return f"{100 * value:.1f}\u00a0%"
    if style == "threshold":
        return f"{100 * value:.3g}\u00a0%"
    return f"{value:.4f}" if style == "benefit" else f"{value:.3f}"


def plain(name: str) -> str:
    """An id without its underscores."""
    return name.replace("_", " ")

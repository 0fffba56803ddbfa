"""Limits on files, read from ``file_limits.csv``: each with its unit and why it is what it is.

They are judgements of this project about machines and exports, not clinical limits.
"""

from __future__ import annotations

from functools import cache

from schemas.package_rows import read_rows


@cache
def file_limits() -> dict[str, int]:
    """Every limit by name, as ``file_limits.csv`` has them."""
    return {row["name"]: int(row["value"]) for row in read_rows("file_limits.csv")}

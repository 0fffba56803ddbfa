"""Limits on files, read from ``file_limits.csv``: each with its unit and why it is what it is.

They are judgements of this project about machines and exports, not clinical limits.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources


@cache
def file_limits() -> dict[str, int]:
    """Every limit by name, as ``file_limits.csv`` has them."""
    text = resources.files("schemas").joinpath("file_limits.csv").read_text("utf-8")
    return {row["name"]: int(row["value"]) for row in csv.DictReader(text.splitlines())}

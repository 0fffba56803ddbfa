"""The CSV files of this package as rows: where forms, codes, tiers and limits are read from."""

from __future__ import annotations

import csv
from importlib import resources


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of the file ``name`` beside this module, by column."""
    text = resources.files("schemas").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))

"""How the rows of a file name a record and a person: by cells, or by the text of a row that is not well-formed.

Belongs here: the keys as they stand in a file, for the search of what is to go and for what must not come back. Does
not belong here: what is done with them (``warehouse.withdrawing.search``, ``warehouse.withdrawing.withdrawn``).

Privacy: keys and texts pass through here; nothing of them is logged or put into an exception.
"""

from __future__ import annotations

import polars as pl

from schemas.answers import typed
from schemas.form import questions
from warehouse.formats.block import Header

_COLUMNS = ("clinic_id", "record_id", "patient_key", "submitted_at")
# White space, and signs that nobody sees: of no width, soft hyphens, marks of the writing direction.
_UNSEEN = r"\s\x{AD}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}"
# May as well be an answer (an age, a year): the id of a record only where that stands.
_MAY_BE_AN_ANSWER = r"^[0-9]{1,4}$"
_WORD = r"[A-Za-z0-9._-]+"


def form_keys(cells: pl.DataFrame, clinic: str) -> pl.DataFrame:
    """clinic_id, record_id, patient_key (text, null where blank) and submitted_at (UTC) of rows of form cells.

    ``clinic``: the folder the file came from, taken where the row names none; '' for none. Signs that nobody sees are
    taken from both ends of a key.
    """
    text = cells.select(
        _bare(pl.col(column)).alias(column) if column in cells.columns else pl.lit(None, pl.String).alias(column)
        for column in _COLUMNS
    )
    if text.height != cells.height:  # a frame of literals alone has one row
        text = pl.DataFrame({column: [None] * cells.height for column in _COLUMNS}, dict.fromkeys(_COLUMNS, pl.String))
    blank = [pl.when(pl.col(column) != "").then(pl.col(column)).alias(column) for column in _COLUMNS]
    return text.select(blank).with_columns(
        pl.col("clinic_id").fill_null(pl.lit(clinic or None, pl.String)), typed(questions()["submitted_at"])
    )


def named_in(texts: pl.DataFrame, header: Header) -> pl.DataFrame:
    """What records that are not well-formed may name: row, clinic_id and value, some rows for each text.

    ``texts``: row (UInt32) and text. A value is a whole cell of a CSV file, wherever it stands, since cells may lack
    or have moved; of other formats a word. A plain number of up to four digits counts only in the place of a key, or
    the ragged form of somebody else would be taken for the record 30 for its age. ``clinic_id``: the cell in
    that column's place, else null.
    """
    split = pl.col("text").str.split(header.delimiter or ",")
    parts = split if header.format == "csv" else pl.col("text").str.extract_all(_WORD)
    cells = (
        texts.select("row", parts.alias("value"))
        .with_columns(pl.int_ranges(pl.col("value").list.len()).alias("place"))
        .explode("value", "place")
        .with_columns(_bare(pl.col("value")).str.strip_chars('"').pipe(_bare))
    )
    places = {column: header.columns.index(column) for column in _COLUMNS if column in header.columns}
    if header.format != "csv":
        places = {}
    keys = [place for column, place in places.items() if column in ("record_id", "patient_key")]
    clinics = cells.filter(pl.col("place") == places.get("clinic_id", -1)).select("row", clinic_id="value")
    return (
        cells.filter((pl.col("value") != "") & (pl.col("place").is_in(keys) | ~_may_be_an_answer()))
        .join(clinics, on="row", how="left")
        .select("row", "clinic_id", "value")
        .unique(maintain_order=True)
    )


def _may_be_an_answer() -> pl.Expr:
    return pl.col("value").str.contains(_MAY_BE_AN_ANSWER)


def _bare(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(rf"^[{_UNSEEN}]+|[{_UNSEEN}]+$", "")

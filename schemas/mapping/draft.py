"""A first draft of a mapping file, for a person to finish: every guess is marked, and the draft is refused as it is.

Belongs here: what is proposed from a header and a sample, and how it is written down. Does not belong here: reading
files with it (a draft is never used), or the words that are known (``familiar_names``).

Privacy: texts of cells are written out only where a value map needs them: at most ``MOST_VALUES`` short answers that
were each seen at least twice, of columns that the form takes as a choice or as yes and no. Of every other column the
draft gives the number of distinct texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl
import yaml

from schemas.form import REQUIRED_COLUMNS, Question, questions
from schemas.mapping.against_form import may_be_a_box
from schemas.mapping.familiar_names import Meant, answer_meant, column_meant, says_no, synonyms
from schemas.mapping.readings import stripped
from schemas.mapping.units import units_to

MOST_VALUES = 20
LONGEST_ANSWER = 60
CHECK = "# proposed, check"
_PERSONAL = re.compile("name|birth|dob|mail|phone|address|street|comment|note|describe|date|time|[^a-z]id$|^id$", re.I)
_NOT_AN_ANSWER = re.compile(r"@|[0-9]{4}|[0-9][./-][0-9]|\n|\r")
_DAY_FIRST = re.compile(r"^(?P<one>[0-9]{1,2})[-/.](?P<two>[0-9]{1,2})[-/.][0-9]{4}")


def propose(columns: Sequence[str], sample: pl.DataFrame, *, name: str = "draft") -> str:
    """A draft of a mapping file as YAML text, ``reviewed: false``.

    ``columns``: the source columns; ``sample``: text cells of some records, with those columns (others are ignored, and
    a column without cells is proposed by its name alone); ``name``: of the mapping. The draft never declares that an
    unticked box means no, and is never signed.
    """
    cells = stripped(sample.select(pl.col(pl.String))) if sample.width else sample
    taken: dict[str, tuple[str, Meant]] = {}
    left: list[tuple[str, str]] = []
    for column in columns:
        meant = column_meant(column)
        if meant is None:
            left.append((column, ""))
        elif meant.column in taken:
            left.append((column, f"; {meant.column} is taken from another column already"))
        else:
            taken[meant.column] = (column, meant)
    blank = _blank_texts(cells, list(columns))
    lines = _head(name, len(columns), sample.height, blank)
    lines += ["columns:"] if taken else ["columns: {}"]
    for form_column in (column for column in questions() if column in taken):
        source, meant = taken[form_column]
        lines += _column(questions()[form_column], source, meant, _texts(cells, source, blank))
    lines += ["", "ignored: [] # move here what is of no use, so that it is no longer counted as unread", ""]
    lines += _needed(taken.keys())
    lines += ["# NOT MAPPED"]
    lines += [f"#   {_quoted(column)}: {_distinct(cells, column)}{why}" for column, why in left] or ["#   nothing"]
    return "\n".join(lines) + "\n"


def _head(name: str, columns: int, records: int, blank: list[str]) -> list[str]:
    texts = ", ".join(_quoted(text) for text in blank)
    return [
        f"# A draft from {columns} columns and a sample of {records} records. Nobody has checked it yet,",
        "# so that no file is read with it. Check each line, see to what stands under STILL NEEDED and NOT MAPPED,",
        "# then set reviewed to true.",
        f"name: {_quoted(name)}",
        "version: 1",
        'source: "to be said: which tool, which export, since when"',
        "reviewed: false",
        "signed_by: null",
        "signed_on: null",
        f"blank: [{texts}] {CHECK}: texts that seem to mean no answer",
    ]


def _needed(given: Any) -> list[str]:
    missing = [column for column in REQUIRED_COLUMNS if column not in given]
    hint = {"clinic_id": " (or load the file with --clinic)"}
    needed = [f"#   {column}{hint.get(column, '')}" for column in missing]
    return ["# STILL NEEDED", *needed, ""] if needed else []


def _column(question: Question, source: str, meant: Meant, texts: pl.Series) -> list[str]:
    lines = [f"  {question.column}: {CHECK}: {meant.why}", f"    from: {_quoted(source)}"]
    if question.type == "timestamp":
        return lines + _date(texts)
    if question.type in ("integer", "number"):
        return lines + _number(question, meant, texts)
    if question.type in ("choice", "yesno"):
        return lines + _values(question, source, texts)
    return lines


def _number(question: Question, meant: Meant, texts: pl.Series) -> list[str]:
    lines = []
    if meant.unit == "?":
        lines.append(f'    unit: "?" # the name does not say which unit: {", ".join(units_to(question.unit))}')
    elif meant.unit:
        lines.append(f"    unit: {_quoted(meant.unit)} {CHECK}: stated in the name")
    elif question.unit and units_to(question.unit):
        lines.append(
            f"    # the form takes {question.unit}; the name states no unit: give unit where it is another one"
        )
    if texts.str.contains(r"^-?[0-9]+,[0-9]+$").any():
        lines.append(f"    decimal: comma {CHECK}: seen in the sample")
    return lines


def _date(texts: pl.Series) -> list[str]:
    """The order as far as the sample shows it; where nothing does, a ? that is refused until a person says it."""
    year_first = texts.len() > 0 and texts.str.contains("^[0-9]{4}[-/.]").all()
    offsets = texts.len() > 0 and texts.str.contains("(Z|[+-][0-9]{2}:?[0-9]{2})$").all()
    parts = [match for text in texts if (match := _DAY_FIRST.match(text))]
    day_first = any(int(match["one"]) > 12 for match in parts)
    month_first = any(int(match["two"]) > 12 for match in parts)
    if year_first:
        order = f'"ymd" {CHECK}'
    elif len(parts) == texts.len() and day_first != month_first:
        order = f'"{"dmy" if day_first else "mdy"}" {CHECK}: seen in the sample'
    else:
        order = '"?" # the sample does not show it: ymd, dmy, mdy or iso'
    zone = f'"with_offset" {CHECK}' if offsets else '"?" # say in which zone the clock was, such as Europe/Berlin'
    return ["    date:", f"      order: {order}", f"      zone: {zone}"]


def _values(question: Question, source: str, texts: pl.Series) -> list[str]:
    counts = texts.value_counts(sort=True, name="times")
    shown = counts.filter(pl.col("times") >= 2)[texts.name].to_list()
    personal = _PERSONAL.search(source) and source not in questions()
    if personal or len(shown) > MOST_VALUES or any(not _is_answer(text) for text in shown):
        return [f"    # {counts.height} distinct texts, not shown; answers of the form: {', '.join(question.choices)}"]
    mapped: dict[str, str] = {}
    blank, unclear = [], []
    for text in sorted(shown):
        answer = answer_meant(question, text)
        if answer is None:
            unclear.append(text)
        elif answer == "0" and _may_be_a_box(question, text):
            blank.append(text)
        else:
            mapped[text] = answer
    lines = (
        ["    values:"] if mapped else [f"    # values: say which text is which answer: {', '.join(question.choices)}"]
    )
    lines += [f"      {_quoted(text)}: {_quoted(answer)} {CHECK}" for text, answer in mapped.items()]
    lines += [f"      # {_quoted(text)}: no answer of the form is like it" for text in unclear]
    if blank:
        texts_of_no = ", ".join(_quoted(text) for text in blank)
        lines.append(f"    blank: [{texts_of_no}] {CHECK}: it may be a box that nobody ticked, which says nothing")
    if rare := counts.height - len(shown):
        lines.append(f"    # {rare} more texts were seen once each and are not shown")
    return lines


def _may_be_a_box(question: Question, text: str) -> bool:
    return may_be_a_box(question) and not says_no(text)


def _is_answer(text: str) -> bool:
    return len(text) <= LONGEST_ANSWER and not _NOT_AN_ANSWER.search(text)


def _blank_texts(cells: pl.DataFrame, columns: list[str]) -> list[str]:
    known = synonyms().blank
    # Under a name of ours: polars takes a series called * or ^...$ for a pattern.
    texts = [cells[column].alias("text") for column in columns if column in cells]
    seen = [text.filter(text.str.to_lowercase().is_in(known)) for text in texts]
    return sorted(set(pl.concat(seen).to_list())) if seen else []


def _texts(cells: pl.DataFrame, column: str, blank: list[str]) -> pl.Series:
    if column not in cells.columns:
        return pl.Series("text", [], pl.String)
    texts = cells[column].alias("text").drop_nulls()
    return texts.filter(~texts.is_in(blank)) if blank else texts


def _distinct(cells: pl.DataFrame, column: str) -> str:
    if column not in cells.columns:
        return "no cells in the sample"
    count = cells[column].alias("text").drop_nulls().n_unique()
    return f"{count} distinct text{'' if count == 1 else 's'}"


def _quoted(text: str) -> str:
    """A text as YAML in double quotes, on one line whatever signs it holds."""
    dumped: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return dumped.strip()

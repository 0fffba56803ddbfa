"""What one further answer would change: a record scored as it is and with that answer, in memory alone.

Belongs here: the record with the answer, read by the same contract and scored by the same function as any other. Writes
nothing. Does not belong here: where answers lie (``warehouse.answers_copy``), pages
(``pipelines.page.records.what_if``).
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schemas.form import FREE_TEXT_COLUMN, Question, form, questions
from schemas.problems import problems
from schemas.what_is_wrong import explained
from warehouse.home import Home
from warehouse.scores import Versions

if TYPE_CHECKING:
    import pyarrow as pa

WAIT_SECONDS = 20.0
_SCORING = threading.Lock()  # a model is loaded once, and one record is scored at a time: it takes a whole core


class WhatIfRefused(Exception):
    """The question cannot be put or the answer not be read; the message is one plain sentence without the answer."""


class WhatIfBusy(Exception):
    """Others are asking; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The record by the versions in force, as it is and with the answer: rows of ``schemas.referral.scored_schema``.

    ``odd``: what the contract would note about the answer, as sentences.
    """

    now: Mapping[str, Any]
    then: Mapping[str, Any]
    versions: Versions
    odd: tuple[str, ...]


def compare(home: Home, records: "pa.Table", for_rules: "pa.Table", column: str, answer: str) -> Compared:
    """Score the one record with and without ``answer`` (text, as a file would hold it) in the blank ``column``.

    ``records``, ``for_rules``: one row each, as ``models.referral.referral_rows`` takes them. An answer of an earlier
    version that was carried forward for the rules is replaced, as a new version of the record would. Raises
    WhatIfRefused, WhatIfBusy.
    """
    question = questions().get(column)
    if question is None or question.group == "record" or column == FREE_TEXT_COLUMN or question.ask != "ask":
        raise WhatIfRefused("the form asks no such question")
    if records[column][0].as_py() is not None:
        raise WhatIfRefused("this question is answered already; a correction is a new form")
    answered, odd = _with(records, question, answer.strip())
    with _one_at_a_time():
        import pyarrow as pa

        from models.referral import referral_rows
        from pipelines.model_in_force import basis_in_force, versions_of

        basis = basis_in_force(home)
        both = pa.concat_tables([records, answered])
        place = for_rules.schema.get_field_index(column)
        carried = for_rules.set_column(place, for_rules.schema.field(place), answered[column])
        scored_at = datetime.now(UTC)
        now, then = referral_rows(both, pa.concat_tables([for_rules, carried]), basis, scored_at=scored_at).to_pylist()
        return Compared(now, then, versions_of(basis), odd)


def _with(records: "pa.Table", question: Question, answer: str) -> tuple["pa.Table", tuple[str, ...]]:
    """The record with the answer and with the warnings that it then carries, and these that it did not carry before."""
    import polars as pl
    import pyarrow as pa

    from schemas.contract import split
    from schemas.records import record_schema

    (stored,) = records.to_pylist()
    if not answer:
        raise WhatIfRefused("choose an answer first")
    as_it_is = {q.column: _cell(stored[q.column]) for q in form() if stored.get(q.column) is not None}
    as_asked = as_it_is | {question.column: answer}
    cells = pl.DataFrame([as_it_is, as_asked], schema=dict.fromkeys(as_asked, pl.String))
    judged = split(cells, clinic=None, received_at=stored["received_at"])
    refused = dict(judged.rejections.select("row", "code").rows())
    if 0 in refused:
        raise WhatIfRefused("the contract in force cannot read this record any more: take its form in again")
    if 1 in refused:
        said = explained(refused[1], question.column)
        raise WhatIfRefused(f"{said.sentence}; allowed: {said.allowed}" if said.allowed else said.sentence)
    before, after = judged.accepted.sort("row").to_dicts()
    # What a mapping found odd is not in the cells; it stays.
    kept = [code for code in stored["warnings"] or [] if code not in before["warnings"]]
    warnings = sorted({*kept, *after["warnings"]})
    row = stored | {question.column: after[question.column], "warnings": warnings}
    new = set(warnings) - set(stored["warnings"] or [])
    return pa.Table.from_pylist([row], record_schema()), tuple(problems()[code].sentence for code in sorted(new))


def _cell(value: Any) -> str:
    """A typed answer as a file would hold it."""
    match value:
        case bool():
            return "1" if value else "0"
        case float():
            return format(Decimal(repr(value)), "f")
        case datetime():
            return value.isoformat()
    return str(value)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _SCORING.acquire(timeout=WAIT_SECONDS):
        raise WhatIfBusy("others are asking what if; try again in a moment")
    try:
        yield
    finally:
        _SCORING.release()

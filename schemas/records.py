"""The shape of accepted intake records once their answers are typed.

Belongs here: the Arrow schema that the contract gives, the warehouse stores and the models take.
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from schemas.form import FREE_TEXT_COLUMN, AnswerType, form

UTC_TIME = pa.timestamp("us", tz="UTC")

ARROW_TYPE: dict[AnswerType, pa.DataType] = {
    "text": pa.string(),
    "timestamp": UTC_TIME,
    "choice": pa.string(),
    "integer": pa.int32(),
    "number": pa.float64(),
    "yesno": pa.bool_(),
}


@cache
def answer_schema() -> pa.Schema:
    """The form's columns with their types, without the free text.

    A yes/no answer is a boolean: true stated, false asked and absent, null not asked or not known.
    """
    return pa.schema([(q.column, ARROW_TYPE[q.type]) for q in form() if q.column != FREE_TEXT_COLUMN])


@cache
def record_schema() -> pa.Schema:
    """One accepted intake record a row: the answers, and what was noted on arrival.

    ``intake_hash`` is the SHA-256 (hex) of the canonical record, ``warnings`` the codes of
    ``schemas/problems.csv`` that the record carries, ``has_notes`` whether it came with free text (the text itself
    is kept in ``intake_note``), ``data_kind`` one of live, sample, published_case.
    """
    arrived = [
        ("intake_hash", pa.string()),
        ("data_kind", pa.string()),
        ("received_at", UTC_TIME),
        ("has_notes", pa.bool_()),
        ("warnings", pa.list_(pa.string())),
    ]
    return pa.schema([*answer_schema(), *(pa.field(name, kind) for name, kind in arrived)])

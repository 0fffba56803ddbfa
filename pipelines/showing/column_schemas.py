"""What stands in the columns of the intake tables, as Dagster shows it on the page of an asset.

Belongs here: names, types and meanings of columns, taken from the form and from the schemas; never a value. Does not
belong here: the tables themselves (``warehouse.store``, ``warehouse/tables.sql``).
"""

import dagster as dg
import pyarrow as pa

from schemas.form import Question, questions
from schemas.records import record_schema
from warehouse.store import sql_type

_ARRIVED = {
    "batch_id": "the batch: clinic folder, time of arrival (UTC), first 12 digits of the file's SHA-256",
    "record_number": "place of the record in its file, from 1",
}
_NOTED = {
    "intake_hash": "SHA-256 of the canonical record: key, time and sorted answers that are not blank",
    "data_kind": "live, sample or published_case; real and invented records never share a home",
    "received_at": "when the file arrived, UTC",
    "has_notes": "whether the record came with free text, which is kept in intake_note",
    "warnings": "codes of schemas/problems.csv that the record carries",
}
_RAW = {"record_text": "the record as it stood in the file; record 0 is the header"}
_WARNING = {
    "clinic_id": questions()["clinic_id"].question,
    "record_id": questions()["record_id"].question,
    "code": "what is odd, a code of schemas/problems.csv",
    "column_name": "the column of the form that it is about, or the id of the mapping's check",
}
_QUARANTINE = {
    "clinic_id": "the clinic, where it can be read",
    "record_id": "the record, where it can be read",
    "received_at": "when the file arrived, UTC",
    "contract_version": "the contract that refused the record",
    "problems": "every reason: code of schemas/problems.csv, column, and the start of the cell",
}
_TYPES = {
    "record_number": "BIGINT",
    "received_at": "TIMESTAMPTZ",
    "problems": "STRUCT(code VARCHAR, column_name VARCHAR, cell VARCHAR)[]",
}


def _listed(columns: dict[str, str]) -> dg.TableSchema:
    described = (_ARRIVED | columns).items()
    return dg.TableSchema(
        [dg.TableColumn(name, _TYPES.get(name, "VARCHAR"), description=said) for name, said in described]
    )


def _answered(field: pa.Field) -> dg.TableColumn:
    question = questions().get(field.name)
    said = _asked(question) if question else _NOTED[field.name]
    return dg.TableColumn(field.name, sql_type(field.type), description=said)


def _asked(question: Question) -> str:
    """The question, its unit and what may stand there."""
    allowed = question.allowed.replace("|", ", ") if question.type != "yesno" else "true stated, false asked and absent"
    details = "; ".join(part for part in (question.unit, allowed) if part)
    return f"{question.question} ({details})" if details else question.question


def _valid() -> dg.TableSchema:
    arrived = [dg.TableColumn(name, _TYPES.get(name, "VARCHAR"), description=said) for name, said in _ARRIVED.items()]
    return dg.TableSchema([*arrived, *(_answered(field) for field in record_schema())])


# By table, as definition metadata wants it.
COLUMN_SCHEMAS = {
    "intake_raw": _listed(_RAW),
    "intake_valid": _valid(),
    "intake_warning": _listed(_WARNING),
    "intake_quarantine": _listed(_QUARANTINE),
}

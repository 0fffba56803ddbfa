"""What became of people, as a training of the model may use it: accepted outcomes, and the forms that they name.

Belongs here: reading both, and counting what came in since a model learnt. Does not belong here: which outcomes teach
and how much each counts (``models.teaching_outcomes``), how a model does on outcomes (``warehouse.monitoring``).

Withdrawn and restricted records are not among them. Nor are published cases, whatever outcome anybody lands for one:
they test the product and must never teach it. A home of invented records gives those, and says so in ``data_kinds``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from schemas.outcomes import outcome_schema
from schemas.records import record_schema
from warehouse.home import Home
from warehouse.store import opened

LEARNT = "outcomes"  # the part of a manifest that says what outcomes a model learnt from
_UNTIL = "received_until"
_TEACHES_NOTHING = "published_case"

# The forms that outcomes name, with the row of each outcome about them.
_NAMED = f"""
FROM outcome o
JOIN intake_shown v USING (clinic_id, record_id, submitted_at)
JOIN intake_file f ON f.batch_id = v.batch_id AND f.data_kind <> '{_TEACHES_NOTHING}'
"""
# The last word on each record, as far as the file says that a condition was confirmed.
_CONFIRMED = f"""
SELECT count(*) FROM (
    SELECT o.received_at,
           o.attended AND o.confirmed_condition IS NOT NULL AND o.found_by <> 'not_confirmed' AS confirmed
    {_NAMED}
    QUALIFY row_number() OVER (
        PARTITION BY o.clinic_id, o.record_id
        ORDER BY o.recorded_at DESC, o.received_at DESC, o.batch_id DESC, o.record_number DESC
    ) = 1
) WHERE confirmed AND ($until IS NULL OR received_at > $until)
"""


@dataclass(frozen=True, slots=True)
class LandedOutcomes:
    """Outcomes and the forms they name, as they stand in the warehouse.

    ``outcomes`` (of ``schemas.outcomes.outcome_schema``): every accepted row about a form that is there, in the order
    in which they arrived. ``records`` (of ``schemas.records.record_schema``): those forms, each once.
    ``received_until``: when the last of these outcomes came in (UTC); None without any. ``data_kinds``: sorted.
    """

    outcomes: pa.Table
    records: pa.Table
    received_until: datetime | None
    data_kinds: tuple[str, ...]


def landed(home: Home) -> LandedOutcomes:
    """Everything that the warehouse holds for a training. Raises WarehouseBusy, WarehouseRefused."""
    with opened(home, "read outcomes for a training") as connection:
        outcomes = connection.execute(
            f"SELECT {_columns('o', outcome_schema())} {_NAMED} ORDER BY o.received_at, o.batch_id, o.record_number"
        ).to_arrow_table()
        records = connection.execute(
            f"SELECT DISTINCT ON (v.clinic_id, v.record_id, v.submitted_at) {_columns('v', record_schema())} {_NAMED} "
            "ORDER BY v.clinic_id, v.record_id, v.submitted_at"
        ).to_arrow_table()
        ((until, kinds),) = connection.execute(
            f"SELECT max(o.received_at), list(DISTINCT f.data_kind ORDER BY f.data_kind) {_NAMED}"
        ).fetchall()
    return LandedOutcomes(
        outcomes.cast(outcome_schema()),
        records.cast(record_schema()),
        until and until.astimezone(UTC),
        tuple(kinds or ()),
    )


def learnt_until(manifest: Mapping[str, Any]) -> datetime | None:
    """When the last outcome came in (UTC) that a model learnt from, by its manifest; None where it learnt from none.

    A record with any outcome received by then has taught the model and must not judge it.
    """
    said = manifest.get(LEARNT)
    return datetime.fromisoformat(said[_UNTIL]) if said else None


def new_since(home: Home, manifest: Mapping[str, Any] | None = None) -> int:
    """How many records had a condition confirmed by an outcome that came in since a model learnt.

    ``manifest``: that of the model; by default the last training of this home counts, whether or not its model was put
    in force, so that one that nobody promotes is not asked for again and again. A correction of an outcome that was
    learnt from is news too. Raises WarehouseBusy, WarehouseRefused.
    """
    until = learnt_until(manifest) if manifest is not None else _last_learnt(home)
    if not home.warehouse.exists():
        return 0
    with opened(home, "count new outcomes") as connection:
        return count_confirmed(connection, until)


def count_confirmed(connection: duckdb.DuckDBPyConnection, since: datetime | None) -> int:
    """Records whose last outcome confirms a condition and came in after ``since`` (UTC; None: ever)."""
    ((found,),) = connection.execute(_CONFIRMED, {"until": since}).fetchall()
    return int(found)


def _last_learnt(home: Home) -> datetime | None:
    manifests = (_read(file.read_text("utf-8")) for file in home.models.glob("*/manifest.json"))
    return max(filter(None, map(learnt_until, manifests)), default=None)


def _read(text: str) -> dict[str, Any]:
    """A manifest, or nothing where it cannot be read: a model that is refused elsewhere must not stop the counting."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _columns(table: str, schema: pa.Schema) -> str:
    names: Iterable[str] = schema.names
    return ", ".join(f'{table}."{name}"' for name in names)

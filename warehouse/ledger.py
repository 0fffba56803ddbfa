"""The ledger: the counts of each batch, fixed on its arrival and written with its records or not at all.

Belongs here: the counts, what they say in plain words, and their row. Does not belong here: counting
(``warehouse.intake``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

import duckdb

from schemas.contract import contract_version
from schemas.problems import refusal_sentence
from warehouse import audit
from warehouse.home import Home
from warehouse.store import opened


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Counts of one batch: received = accepted + quarantined + duplicate + superseded, or a refusal code.

    ``contents``: intake, outcome, decision or safety_concern. ``read_as``: how its columns became those of the form
    (form, redcap, fhir, or name and version of a mapping). ``set_aside``: rows that are no records of ours (another
    REDCap instrument). ``noted``: accepted records that a check of the mapping noted. ``withdrawn``: quarantined
    records that were withdrawn before and are not taken in again. ``refusal_place``: kind and place of an error of the
    program that refused the file.
    """

    batch_id: str
    received: int
    accepted: int
    quarantined: int
    duplicate: int
    superseded: int
    warned: int
    unknown_columns: int
    refusal: str | None = None
    refusal_columns: tuple[str, ...] = ()
    contents: str = "intake"
    read_as: str = "form"
    set_aside: int = 0
    noted: int = 0
    withdrawn: int = 0
    refusal_place: str | None = None

    @property
    def balanced(self) -> bool:
        """Whether every received record has exactly one disposition."""
        return self.received == self.accepted + self.quarantined + self.duplicate + self.superseded

    @property
    def refused_because(self) -> str | None:
        """The plain sentence of a file that was refused whole."""
        if not self.refusal:
            return None
        place = f" ({self.refusal_place})" if self.refusal_place else ""
        return refusal_sentence(self.refusal, self.refusal_columns) + place

    @property
    def counts(self) -> dict[str, int]:
        """The counts alone, for metadata and messages."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}


_COLUMNS = [field.name for field in fields(Reconciled)]
_ENTERED: dict[str, audit.Event] = {"arrival": "arrival", "refused": "refused", "replay": "replay"}


def state(counts: Reconciled) -> str:
    """One of the four states of a batch: refused whole, nothing new, accepted with some quarantined, clean."""
    if counts.refusal:
        return "refused whole"
    if counts.quarantined:
        return f"accepted with {counts.quarantined} quarantined"
    if not counts.accepted and not counts.superseded:
        return "nothing new"
    return "clean"


def sentence(counts: Reconciled) -> str:
    """State and counts of one batch in plain words."""
    if counts.refused_because:
        return f"{state(counts)}: {counts.refused_because}"
    parts = [f"{state(counts)}: {counts.received} received = {counts.accepted} accepted"]
    parts += [
        f"{value} {name}" for name, value in counts.counts.items() if name in ("quarantined", "duplicate", "superseded")
    ]
    text = " + ".join(parts)
    if counts.withdrawn:
        text += f"; {counts.withdrawn} of the quarantined were withdrawn before"
    if counts.warned:
        text += f"; {counts.warned} accepted with a warning"
    if counts.noted:
        text += f"; {counts.noted} with a note of the mapping"
    if counts.set_aside:
        text += f"; {counts.set_aside} further rows belong to other instruments and hold no answer of the form"
    if counts.unknown_columns:
        text += f"; {counts.unknown_columns} columns that the form does not have were kept in raw only"
    if counts.contents != "intake":
        text += f"; a file of {counts.contents.replace('_', ' ')}s"
    elif counts.read_as != "form":
        text += f"; read as {counts.read_as}"
    return text


def counts_of(home: Home, batch_id: str) -> Reconciled | None:
    """The counts of one batch, or None if it has not been loaded."""
    with opened(home, "count a batch") as connection:
        return reconciled(connection, batch_id)


def reconciled(connection: duckdb.DuckDBPyConnection, batch_id: str) -> Reconciled | None:
    """The counts of a batch fixed on its arrival, or None if it has not been loaded."""
    row = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM intake_ledger WHERE batch_id = ? AND event IN ('arrival', 'refused')",
        [batch_id],
    ).fetchone()
    if not row:
        return None
    said = dict(zip(_COLUMNS, row, strict=True))
    return Reconciled(**said | {"refusal_columns": tuple(said["refusal_columns"])})


def write(connection: duckdb.DuckDBPyConnection, counts: Reconciled, event: str) -> None:
    """Enter the counts of a batch; ``event`` is arrival or refused, or later replay, dismissal or withdrawal.

    What files bring is entered in the audit too; a dismissal and a withdrawal enter there by who did them.
    """
    values = asdict(counts) | {"refusal_columns": list(counts.refusal_columns)}
    values |= {"event": event, "happened_at": datetime.now(UTC), "contract_version": contract_version()}
    connection.execute(
        f"INSERT INTO intake_ledger ({', '.join(values)}) VALUES ({', '.join('?' for _ in values)})",
        list(values.values()),
    )
    if event in _ENTERED:
        audit.enter(
            connection,
            _ENTERED[event],
            subject=counts.batch_id,
            reason=counts.refusal or "",
            versions={"contract": contract_version(), "contents": counts.contents, "read_as": counts.read_as},
            counts=counts.counts,
        )

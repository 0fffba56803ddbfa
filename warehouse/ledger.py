"""The ledger: the counts of each batch, fixed on its arrival and written with its records or not at all.

Belongs here: the counts, what they say in plain words, and their row. Does not belong here: counting
(``warehouse.intake``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import duckdb

from schemas.contract import contract_version
from schemas.problems import refusal_sentence
from warehouse.home import Home
from warehouse.store import opened


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Counts of one batch: received = accepted + quarantined + duplicate + superseded, or a refusal code."""

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

    @property
    def balanced(self) -> bool:
        """Whether every received record has exactly one disposition."""
        return self.received == self.accepted + self.quarantined + self.duplicate + self.superseded

    @property
    def refused_because(self) -> str | None:
        """The plain sentence of a file that was refused whole."""
        return refusal_sentence(self.refusal, self.refusal_columns) if self.refusal else None

    @property
    def counts(self) -> dict[str, int]:
        """The counts alone, for metadata and messages."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}


def sentence(counts: Reconciled) -> str:
    """The counts of one batch in plain words."""
    if counts.refused_because:
        return f"refused whole: {counts.refused_because}"
    parts = [f"{counts.received} received = {counts.accepted} accepted"]
    parts += [
        f"{value} {name}" for name, value in counts.counts.items() if name in ("quarantined", "duplicate", "superseded")
    ]
    text = " + ".join(parts)
    if counts.warned:
        text += f"; {counts.warned} accepted with a warning"
    if counts.unknown_columns:
        text += f"; {counts.unknown_columns} columns that the form does not have were kept in raw only"
    return text


def counts_of(home: Home, batch_id: str) -> Reconciled | None:
    """The counts of one batch, or None if it has not been loaded."""
    with opened(home, "count a batch") as connection:
        return reconciled(connection, batch_id)


def reconciled(connection: duckdb.DuckDBPyConnection, batch_id: str) -> Reconciled | None:
    """The counts of a batch fixed on its arrival, or None if it has not been loaded."""
    row = connection.execute(
        "SELECT batch_id, received, accepted, quarantined, duplicate, superseded, warned, unknown_columns, refusal, "
        "refusal_columns "
        "FROM intake_ledger WHERE batch_id = ? AND event IN ('arrival', 'refused')",
        [batch_id],
    ).fetchone()
    return Reconciled(*row[:-1], tuple(row[-1])) if row else None


def write(connection: duckdb.DuckDBPyConnection, counts: Reconciled, event: str) -> None:
    """Enter the counts of a batch; ``event`` is arrival or refused."""
    connection.execute(
        "INSERT INTO intake_ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            counts.batch_id,
            event,
            datetime.now(UTC),
            counts.received,
            counts.accepted,
            counts.quarantined,
            counts.duplicate,
            counts.superseded,
            counts.warned,
            counts.unknown_columns,
            counts.refusal,
            list(counts.refusal_columns),
            contract_version(),
        ],
    )

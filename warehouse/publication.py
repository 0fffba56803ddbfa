"""What a snapshot holds: which clinics changed, and their published tables assembled in the warehouse.

Belongs here: what a publication says about itself, fingerprints, and ``published.sql``. Does not belong here: the files
the tables end in (``warehouse.clinic_files``), folders, pointer and retention (``warehouse.snapshots``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path

import duckdb

from schemas.answers import KEY_PATTERNS
from schemas.form import form_digest
from schemas.tiers import tiers
from warehouse.home import Home
from warehouse.settings import Settings
from warehouse.snapshot_reading import UNASSIGNED
from warehouse.store import WarehouseRefused, opened

MEMORY = "1200MB"
PURPOSE = "publish a snapshot"
_SCORED_BY = "model_version, catalogue_version, rules_version, contract_version, scored_at"
# What the content of a clinic's files depends on beside its data.
_WRITTEN_BY = ("fingerprints.sql", "published.sql", "worklist.sql", "publication.py", "clinic_files.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCondition:
    """One row of the ``conditions`` table. ``kind``: condition or contributing_factor; lists are text, '; ' between."""

    condition: str
    kind: str
    name: str
    plain_name: str
    dangerous: bool
    default_tier: str
    destination: str
    first_imaging: str
    seek_care: str
    articles: str
    codes: str
    signed_by: str | None
    signed_on: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRule:
    """One row of the ``rules`` table. ``tier``: None for a rule that raises the tier of others by one.

    ``clock_hours``: the source's own clock, None where it has none. ``signed_by``: None until a clinician has signed.
    """

    id: str
    text: str
    tier: str | None
    clock_hours: float | None
    destination: str
    first_imaging: str
    source: str
    signed_by: str | None
    signed_on: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAdvice:
    """One row of the ``advice`` table: self-care that a referral may name by ``id``, with its article's title."""

    id: str
    text: str
    article: str
    numbers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a snapshot says about itself: versions in force, what the model learned from, and a banner if one is due.

    ``evidence_basis``: ``literature`` or ``literature+outcomes(n)``. ``training``: one sentence on what trained the
    model. ``banner``: a sentence to show above everything (model suspended or refused), else None. ``safety_net``: by
    tier, what a record says that its history lifts to that tier; ``publish`` refuses where it is needed and missing.
    ``emergency_rules``: ids of the rules that every row has to have a result of. ``rules`` and ``advice``: what rows of
    referrals name by id.
    """

    code_version: str
    model_version: str
    catalogue_version: str
    rules_version: str
    contract_version: str
    evidence_basis: str
    training: str
    banner: str | None = None
    conditions: tuple[PublishedCondition, ...] = ()
    safety_net: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    emergency_rules: tuple[str, ...] = ()
    rules: tuple[PublishedRule, ...] = ()
    advice: tuple[PublishedAdvice, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The five versions by name."""
        return {field.name: str(getattr(self, field.name)) for field in fields(self) if field.name.endswith("_version")}


@dataclass(frozen=True, slots=True)
class ClinicContent:
    """A clinic of the warehouse: a fingerprint of all that its tables are made from, and the kinds of its records."""

    fingerprint: str
    data_kinds: tuple[str, ...]


@contextmanager
def assembling(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor on the locked warehouse that may write other files beside it, with bounded memory.

    The door to the warehouse opens one transaction, and a transaction writes to one file only: the cursor stands
    outside it, inside ``warehouse.store.kept_open``: it sees what is committed. Raises WarehouseBusy, WarehouseRefused.
    """
    with opened(home, PURPOSE) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute("SET enable_progress_bar = false")
        cursor.execute(f"SET memory_limit = '{MEMORY}'")
        cursor.execute("SET preserve_insertion_order = false")
        try:
            yield cursor
        finally:
            cursor.execute("RESET preserve_insertion_order")


def clinic_contents(
    cursor: duckdb.DuckDBPyConnection, settings: Settings, about: Publication
) -> dict[str, ClinicContent]:
    """Every clinic that has a record, or a form or file that could not be read, by id, in order.

    UNASSIGNED is always among them, so that a snapshot has its tables even where nothing could be taken in.
    Raises WarehouseRefused where an id could not name a file.
    """
    cursor.execute(_sql("fingerprints.sql"))
    rows = cursor.execute("SELECT clinic_id, content, data_kinds FROM clinic_fingerprint ORDER BY clinic_id").fetchall()
    strange = [clinic for clinic, _, _ in rows if clinic != UNASSIGNED and not _is_clinic_id(clinic)]
    if strange:
        raise WarehouseRefused(f"{len(strange)} clinic ids hold signs that are not allowed; nothing was published")
    written_by = {name: _sql(name) for name in _WRITTEN_BY}
    common = _digest([asdict(about), written_by, form_digest(), _duckdb_version()])
    if UNASSIGNED not in [clinic for clinic, _, _ in rows]:
        rows.append((UNASSIGNED, "", []))
    return {
        clinic: ClinicContent(_digest([common, content, settings.clinic(clinic).routine_weeks]), tuple(kinds))
        for clinic, content, kinds in rows
    }


def assemble(
    cursor: duckdb.DuckDBPyConnection,
    clinics: Sequence[str],
    settings: Settings,
    about: Publication,
    *,
    with_kept: bool = False,
) -> None:
    """Make the views ``published_*`` for the given clinics; ``clinic_contents`` has to run first, same cursor.

    ``with_kept``: the records of the table ``kept_score`` are shown by that score (``warehouse.tier_gate``).
    Raises WarehouseRefused if the current version of a record has no score: a table that leaves somebody out is not
    published.
    """
    _temporary(
        cursor,
        "tier_order (id VARCHAR, rank INTEGER, see_by_hours DOUBLE, score_from DOUBLE)",
        [(tier.id, tier.rank, tier.see_by_hours, tier.score_from) for tier in tiers().values()],
    )
    _temporary(
        cursor,
        "clinic_setting (clinic_id VARCHAR, routine_weeks INTEGER)",
        [(clinic, settings.clinic(clinic).routine_weeks) for clinic in clinics],
    )
    _temporary(
        cursor,
        "in_force (model_version VARCHAR, catalogue_version VARCHAR, rules_version VARCHAR, contract_version VARCHAR)",
        [(about.model_version, about.catalogue_version, about.rules_version, about.contract_version)],
    )
    _temporary(
        cursor,
        "tier_safety_net (tier VARCHAR, safety_net VARCHAR[])",
        [(tier, list(sentences)) for tier, sentences in about.safety_net.items() if sentences],
    )
    if not with_kept:
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE kept_score AS SELECT clinic_id, record_id, intake_hash, {_SCORED_BY} "
            "FROM referral_score LIMIT 0"
        )
    cursor.execute("CREATE OR REPLACE TEMP VIEW changed_clinic AS SELECT clinic_id FROM clinic_setting")
    cursor.execute(_sql("published.sql"))
    unscored = cursor.execute(
        "SELECT count(*) FROM record_history r LEFT JOIN record_clock k USING (clinic_id, record_id) "
        "WHERE k.intake_hash IS DISTINCT FROM r.current_hash"
    ).fetchone()
    if unscored != (0,):
        raise WarehouseRefused(
            f"{unscored[0] if unscored else '?'} records have no score in their current version; nothing was published"
        )


def check_safety_nets(cursor: duckdb.DuckDBPyConnection) -> None:
    """After ``assemble``: every lifted record has the safety net of its published tier, else WarehouseRefused."""
    missing = cursor.execute(
        "SELECT DISTINCT tier FROM record_clock ANTI JOIN tier_safety_net USING (tier) WHERE is_lifted ORDER BY tier"
    ).fetchall()
    if missing:
        named = ", ".join(tier for (tier,) in missing)
        raise WarehouseRefused(f"there is no safety net for tier {named}; nothing was published")


def _temporary(cursor: duckdb.DuckDBPyConnection, declared: str, rows: list[tuple[object, ...]]) -> None:
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {declared}")
    if rows:
        marks = ", ".join("?" for _ in rows[0])
        cursor.executemany(f"INSERT INTO {declared.split(' ')[0]} VALUES ({marks})", rows)


def _is_clinic_id(clinic: str) -> bool:
    return re.fullmatch(KEY_PATTERNS["clinic_id"], clinic) is not None


def _sql(name: str) -> str:
    return resources.files("warehouse").joinpath(name).read_text("utf-8")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _duckdb_version() -> str:
    return duckdb.__version__


def quoted(path: Path | str) -> str:
    """A path as a string of SQL."""
    escaped = str(path).replace("'", "''")
    return f"'{escaped}'"

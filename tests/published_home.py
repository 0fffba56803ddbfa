"""Homes with records, scores and snapshots, for the tests of publishing and reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.referral import scored_schema
from schemas.tiers import tiers
from warehouse.home import Home
from warehouse.intake import load
from warehouse.publication import Publication, PublishedCondition
from warehouse.snapshots import Published, publish
from warehouse.sources import register
from warehouse.store import opened

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
RULE = {"id": "septic", "text": "fever and cannot walk", "tier": "emergency", "source": "source A"}
# The columns of the published table, in the order of the product page.
SECTION_6 = """
clinic_id record_id patient_key data_kind submitted_at received_at scored_at episode_started_at headline age_years sex
side worse_side pain_sites duration_weeks weight_bearing running_now special tier tier_basis tier_reason priority_score
see_by ask_by destination first_imaging red_flags rule_status earlier_red_flags questions_to_ask differential
prediction_set contributing_factors reasons until_seen self_care safety_net needs_review review_reason status
decided_tier decided_by decided_at decision_reason effective_tier earlier_records has_notes evidence_basis model_version
catalogue_version rules_version contract_version intake_hash
""".split()  # noqa: SIM905 - a list of strings would hide the order
Override = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def about(**changed: Any) -> Publication:
    said = {
        "code_version": "0.1.0",
        "model_version": "m1",
        "catalogue_version": "c1",
        "rules_version": "r1",
        "contract_version": "k1",
        "evidence_basis": "literature",
        "training": "generated from published likelihoods; no patient record",
        "conditions": tuple(
            PublishedCondition(
                condition=name,
                kind="condition",
                name=name.replace("_", " ").capitalize(),
                plain_name=name,
                dangerous=name == "septic_arthritis",
                default_tier="soon",
                destination="clinic",
                first_imaging="none",
                seek_care="",
                articles="A1",
                codes="",
                signed_by=None,
                signed_on=None,
            )
            for name in ("septic_arthritis", "hip_flexor_strain", "labral_tear")
        ),
    }
    return Publication(**(said | changed))


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def take_in(home: Home, clinic: str, rows: Iterable[Mapping[str, Any]], folder: Path) -> str:
    """Load rows as one file of ``clinic`` ('' where rows name theirs); times may be datetimes."""
    rows = [{**row, "submitted_at": _text(row["submitted_at"])} for row in rows]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = "\n".join([",".join(columns), *(",".join(str(row.get(column, "")) for column in columns) for row in rows)])
    file = folder / f"Jane Canary {abs(hash(text))}.csv"
    file.write_text(text + "\n", "utf-8")
    home.ensure()
    batch, _ = register(home, file, clinic=clinic, data_kind="sample")
    counts = load(home, batch.batch_id)
    assert counts.refusal is None
    return batch.batch_id


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def score(home: Home, override: Override = lambda record: {}, scored_at: datetime | None = None) -> None:
    """Give every record version without a score one; ``override`` says what differs from a plain routine score."""
    with opened(home, "score for a test") as connection:
        found = connection.execute(
            "SELECT clinic_id, record_id, patient_key, data_kind, submitted_at, received_at, has_notes, intake_hash "
            "FROM intake_valid ANTI JOIN referral_score USING (intake_hash)"
        )
        names = [column[0] for column in found.description]
        records = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        rows = [_score(record, override(record), scored_at or START) for record in records]
        connection.register("scores", pa.Table.from_pylist(rows, scored_schema()))
        connection.execute("INSERT INTO referral_score SELECT * FROM scores")


def score_again(home: Home, override: Override, scored_at: datetime) -> None:
    """Score every version once more, as a new model would."""
    with opened(home, "score for a test") as connection:
        found = connection.execute("SELECT * FROM referral_score")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        rows = [{**row, "scored_at": scored_at, **override(row)} for row in rows]
        connection.register("scores", pa.Table.from_pylist(rows, scored_schema()))
        connection.execute("INSERT INTO referral_score SELECT * FROM scores")


def _score(record: Mapping[str, Any], changed: Mapping[str, Any], scored_at: datetime) -> dict[str, Any]:
    tier = changed.get("tier", "routine")
    plain = {
        "scored_at": scored_at,
        "headline": f"F 24, LEFT groin, record {record['record_id']}",
        "pain_sites": ["groin"],
        "special": [],
        "tier": tier,
        "tier_basis": "rule",
        "tier_reason": f"reason of {record['record_id']}",
        "priority_score": tiers()[tier].score_from + 1,
        "clock_hours": tiers()[tier].see_by_hours,
        "destination": "clinic",
        "red_flags": [],
        "rule_status": [
            {"id": "septic", "result": "no", "missing": []},
            {"id": "cauda", "result": "not_asked", "missing": []},
        ],
        "questions_to_ask": [{"column": "night_pain", "question": "Pain at night?", "why": "could make it urgent"}],
        "differential": [
            {"condition": "hip_flexor_strain", "probability": 0.7},
            {"condition": "septic_arthritis", "probability": 0.3},
        ],
        "prediction_set": ["septic_arthritis"],
        "contributing_factors": ["training_overload"],
        "reasons": [
            {"column": "night_pain", "answer": "1", "condition": "septic_arthritis", "direction": "for", "weight": 1.0}
        ],
        "until_seen": ["consider: stop running"],
        "self_care": [],
        "safety_net": ["fever: emergency department"],
        "needs_review": False,
        "evidence_basis": "literature",
        "model_version": "m1",
        "catalogue_version": "c1",
        "rules_version": "r1",
        "contract_version": "k1",
    }
    return {**record, **plain, **changed}


def mark_unread(home: Home, tier_of_record: Mapping[str, str | None]) -> None:
    """Say of refused records what their readable cells may mean, by record id; the others stay unlooked at."""
    with opened(home, "mark for a test") as connection:
        for record_id, tier in tier_of_record.items():
            connection.execute(
                "INSERT INTO unread_form SELECT batch_id, record_number, ?, [], 'r1' FROM intake_quarantine "
                "WHERE record_id = ?",
                [tier, record_id],
            )


def published(home: Home, **changed: Any) -> Published:
    score(home)
    return publish(home, about=about(**changed))

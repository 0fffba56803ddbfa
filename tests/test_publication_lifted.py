"""A record that its history lifts to soon: what its published row says to watch for and where to go.

Who is seen when (tier, clock, score) stands in ``test_snapshots``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from models.advice import load_advice
from pipelines.defs.publishing import snapshot
from pipelines.model_in_force import basis_in_force, versions_of
from pipelines.published_about import about as publication_of
from schemas.referral import scored_schema
from schemas.tiers import tiers
from tests.published_home import about, at, score, take_in
from warehouse.home import Home
from warehouse.preview import Scorer, TierChange, tier_changes
from warehouse.scores import Versions
from warehouse.snapshot_reading import SnapshotMissing, connect, current_snapshot
from warehouse.snapshots import publish
from warehouse.store import WarehouseRefused, opened

NETS = {tier: (f"what to watch for, {tier}", "fever: emergency department") for tier in tiers()}
GIVEN = {
    "destination": "physiotherapist",
    "self_care": ["a2_ice", "a4_bridge"],
    "safety_net": ["as it was scored"],
    "until_seen": ["Consider: no hills"],
    "first_imaging": "none",
}
FIRST = "a clinician of the clinic looks first"
# name, tier of the score, destination of the score, whether its history lifts it, destination wanted
CASES = [
    ("routine", "routine", "physiotherapist", True, f"{FIRST}; physiotherapist"),
    ("selfcare", "self_care", "family doctor", True, f"{FIRST}; family doctor"),
    ("nowhere", "routine", None, True, FIRST),
    ("blank", "routine", "", True, FIRST),
    ("soon", "soon", "physiotherapist", False, "physiotherapist"),
    ("urgent", "urgent", "spinal service", False, "spinal service"),
    ("emergency", "emergency", "emergency department", False, "emergency department"),
]


def worse_pain(home: Home, folder: Path, *people: str) -> None:
    """Two records a person in one clinic, the second with worse pain than the first."""
    pairs = ((person, *record) for person in people for record in (("before", 0, 2), ("now", 30, 6)))
    records = [
        {"patient_key": person, "record_id": f"{person}-{which}", "submitted_at": at(day), "pain_now": pain}
        for person, which, day, pain in pairs
    ]
    take_in(home, "north", records, folder)


def row(home: Home, record: str) -> dict[str, Any]:
    with connect(current_snapshot(home)) as connection:
        found = connection.execute("SELECT * FROM referrals WHERE record_id = ?", [record])
        names = [column[0] for column in found.description]
        return dict(zip(names, found.fetchall()[0], strict=True))


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One person a case."""
    folder = tmp_path_factory.mktemp("lifted")
    home = Home(folder / "home")
    worse_pain(home, folder, *(name for name, *_ in CASES))
    of_person = {name: {"tier": tier, "destination": to} for name, tier, to, *_ in CASES}
    score(home, lambda record: GIVEN | of_person[record["patient_key"]])
    publish(home, about=about(safety_net=NETS))
    return home


@pytest.mark.parametrize(("name", "tier", "given", "is_lifted", "destination"), CASES, ids=[case[0] for case in CASES])
def test_a_lifted_row_says_what_its_published_tier_says(
    lifted: Home, name: str, tier: str, given: str | None, is_lifted: bool, destination: str
) -> None:
    now = row(lifted, f"{name}-now")
    assert now["tier"] == ("soon" if is_lifted else tier)
    assert now["safety_net"] == (list(NETS["soon"]) if is_lifted else GIVEN["safety_net"])
    assert now["destination"] == destination
    assert (now["tier_reason"] == f"reason of {name}-now") == (not is_lifted)
    assert "worse pain" in now["review_reason"]
    for kept in ("self_care", "until_seen", "first_imaging"):
        assert now[kept] == GIVEN[kept], kept


def test_the_record_before_is_left_as_it_was_scored(lifted: Home) -> None:
    before = row(lifted, "routine-before")
    assert (before["tier"], before["safety_net"]) == ("routine", GIVEN["safety_net"])
    assert before["destination"] == "physiotherapist"


def test_a_new_safety_net_is_published_though_no_record_changed(home: Home, tmp_path: Path) -> None:
    worse_pain(home, tmp_path, "p")
    score(home)
    publish(home, about=about(safety_net=NETS))
    assert publish(home, about=about(safety_net=NETS)).linked == 1
    assert publish(home, about=about(safety_net=NETS | {"soon": ("new words",)})).linked == 0
    assert row(home, "p-now")["safety_net"] == ["new words"]


@pytest.mark.parametrize("nets", [{}, NETS | {"soon": ()}], ids=["none", "empty"])
def test_nobody_is_published_without_a_safety_net(
    home: Home, tmp_path: Path, nets: Mapping[str, tuple[str, ...]]
) -> None:
    worse_pain(home, tmp_path, "p")
    score(home)
    with pytest.raises(WarehouseRefused, match="no safety net for tier soon"):
        publish(home, about=about(safety_net=nets))
    with pytest.raises(SnapshotMissing):
        current_snapshot(home)


def test_the_knowledge_of_the_release_is_what_is_published(home: Home, tmp_path: Path) -> None:
    worse_pain(home, tmp_path, "p")
    basis = basis_in_force(home)
    told = [{"id": rule, "result": "no", "missing": []} for rule in publication_of(basis).emergency_rules]
    score(home, lambda _: {"rule_status": told, **asdict(versions_of(basis))})
    with dg.build_asset_context() as context:
        list(snapshot(context))
    assert row(home, "p-now")["safety_net"] == list(load_advice().safety_net["soon"])
    assert row(home, "p-before")["safety_net"] == ["fever: emergency department"]


def test_a_preview_lifts_as_publishing_does(home: Home, tmp_path: Path) -> None:
    worse_pain(home, tmp_path, "calm", "ill")
    score(home)
    held = {field.name: getattr(about(), field.name) for field in fields(Versions)}
    after = {"calm": "self_care", "ill": "urgent"}

    def fresh(records: pa.Table, _: pa.Table) -> pa.Table:
        with opened(home, "read for a test") as connection:
            stored = connection.execute("SELECT * FROM referral_score").to_arrow_table().to_pylist()
        scored = [{**one, "tier": after[one["patient_key"]], "model_version": "m2"} for one in stored]
        assert len(scored) == records.num_rows
        return pa.Table.from_pylist(scored, scored_schema())

    changes = tier_changes(
        home, Scorer(Versions(**held), fresh), Scorer(Versions(**held | {"model_version": "m2"}), fresh)
    )
    assert changes.records == 4
    # calm-now stays at soon: its history lifts it from routine before and from self_care after
    assert sorted(changes.changed, key=lambda one: one.record_id) == [
        TierChange("north", "calm-before", "routine", "self_care"),
        TierChange("north", "ill-before", "routine", "urgent"),
        TierChange("north", "ill-now", "soon", "urgent"),
    ]

"""The order in which versions of a record arrive changes nothing: what an older one states counts, also late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.published_home import about, at, score, score_again, take_in
from warehouse.home import Home
from warehouse.scores import Versions, next_unscored, outstanding
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.snapshots import publish
from warehouse.store import opened

OLDER: dict[str, Any] = {"record_id": "a", "submitted_at": at(0), "systemic__fever": 1, "weight_bearing": "cannot"}
NEWER: dict[str, Any] = {"record_id": "a", "submitted_at": at(3), "systemic__fever": "", "weight_bearing": ""}


def versions(home: Home) -> Versions:
    """The versions of the scores that the test gave."""
    with opened(home, "test") as connection:
        row = connection.execute(
            "SELECT DISTINCT model_version, catalogue_version, rules_version, contract_version FROM referral_score"
        ).fetchone()
    assert row
    return Versions(*row)


def for_rules(home: Home) -> pl.DataFrame:
    """What the rules are given of all that waits."""
    with opened(home, "test") as connection:
        parts = [pl.DataFrame(pl.from_arrow(rules)) for _, rules in next_unscored(connection, versions(home))]
    return pl.concat(parts) if parts else pl.DataFrame()


def test_a_version_scored_before_an_older_one_came_is_scored_again_with_what_that_states(
    home: Home, tmp_path: Path
) -> None:
    take_in(home, "north", [NEWER], tmp_path)
    score(home, scored_at=datetime.now(UTC))
    assert outstanding(home, versions(home)).unscored == 0
    take_in(home, "north", [OLDER], tmp_path)
    waiting = for_rules(home).sort("submitted_at")
    assert waiting.select("submitted_at", "systemic__fever", "weight_bearing").rows() == [
        (at(0), True, "cannot"),
        (at(3), True, "cannot"),
    ]
    assert outstanding(home, versions(home)).unscored == 2


@pytest.mark.parametrize("later_scores", [1, 2])
def test_it_is_scored_again_once(home: Home, tmp_path: Path, later_scores: int) -> None:
    take_in(home, "north", [NEWER], tmp_path)
    score(home, scored_at=datetime.now(UTC))
    take_in(home, "north", [OLDER], tmp_path)
    for _ in range(later_scores):
        with opened(home, "test") as connection:
            connection.execute(
                "INSERT INTO referral_score BY NAME SELECT s.* REPLACE (v.submitted_at AS submitted_at, "
                "v.intake_hash AS intake_hash, ? AS scored_at) FROM intake_valid v, referral_score s "
                "WHERE s.rowid = 0",
                [datetime.now(UTC)],
            )
        assert outstanding(home, versions(home)).unscored == 0


def test_versions_that_come_in_order_are_scored_once(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [OLDER], tmp_path)
    score(home, scored_at=datetime.now(UTC))
    take_in(home, "north", [NEWER], tmp_path)
    assert for_rules(home)["submitted_at"].to_list() == [at(3)]


def test_an_older_version_counts_also_where_the_clock_went_back_before_it_came(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [NEWER], tmp_path)
    ahead = datetime.now(UTC) + timedelta(hours=2)
    score(home, scored_at=ahead)
    take_in(home, "north", [OLDER], tmp_path)
    assert for_rules(home)["weight_bearing"].to_list() == ["cannot", "cannot"]
    score(home, lambda _: {"tier": "emergency"}, scored_at=datetime.now(UTC))
    assert outstanding(home, versions(home)).unscored == 0


def test_the_last_score_is_shown_though_the_clock_went_back_before_it(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [NEWER], tmp_path)
    score(home, scored_at=at(10))
    score_again(home, lambda _: {"tier": "emergency"}, at(9))
    publish(home, about=about())
    with connect(current_snapshot(home)) as connection:
        assert connection.execute("SELECT tier FROM referrals").fetchall() == [("emergency",)]

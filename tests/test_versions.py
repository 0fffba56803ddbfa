"""A change of knowledge changes the version that scores carry, so that it is scored anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import knowledge_files
from models.knowledge_files import KNOWLEDGE, digest_of

PARTS = [
    "advice.yaml",
    "decision_costs.yaml",
    "red_flag_findings.yaml",
    "feature_bins.yaml",
    "conditions/hernia.yaml",
    "generator.yaml",  # which findings are one process
    "asked_of_whom.yaml",
]
NOT_IN_A_SCORE = ["worlds.yaml", "promotion_gates.yaml", "condition_groups.yaml", "outcome_learning.yaml"]


@pytest.mark.parametrize("part", PARTS)
def test_every_file_that_a_score_rests_on_counts(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def listing(paths: list[Path]) -> str:
        seen.extend(paths)
        return digest_of(paths)

    monkeypatch.setattr(knowledge_files, "digest_of", listing)
    knowledge_files.catalogue_version.__wrapped__()
    assert KNOWLEDGE / part in seen
    assert not [path for path in seen if path.parent.name == "rules" or path.name in NOT_IN_A_SCORE]


def test_a_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n")
    before = digest_of([file])
    file.write_text("a: 2\n")
    assert digest_of([file]) != before

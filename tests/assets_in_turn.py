"""What a Dagster run of the record's path does, without Dagster around it: a run of its own costs seconds.

Stands in for ``pipelines.materialise.materialise`` in tests that are not about Dagster.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.materialise import RunFailed
from pipelines.model_in_force import settle
from pipelines.showing.gate_told import held_sentence
from pipelines.stages import look_at_refused, publish_snapshot, score
from warehouse import intake
from warehouse.home import Home


def loaded_scored_and_published(_: Path, batch_ids: list[str]) -> None:
    """The same stages, one after the other."""
    home = Home.from_environment()
    for batch_id in batch_ids:
        intake.load(home, batch_id)
    look_at_refused(home, _unheard)
    settle(home)  # all that the asset model_in_force does beside its report
    score(home, _unheard)
    held = held_sentence(publish_snapshot(home, _unheard).gate)
    if held:
        raise RunFailed(f"publication: the publish gate is red: {held}", unexpected=False)


def _unheard(_: str) -> None:
    pass

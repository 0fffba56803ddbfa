"""Shadow mode: a model version or changed knowledge scores beside what is in force, and is published by nobody.

Belongs here: what may run in shadow, scoring by it, and the steps of start and stop. Does not belong here: where its
scores lie (``warehouse.shadow``), which files may be changed (``models.knowledge_changes``), words on a terminal or in
the UI. Knows nothing of Dagster.

A model that proved itself is promoted. A rule set or catalogue that did becomes a release of the program: knowledge is
part of it, is tested with it and signed in its files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.basis import Basis
from models.knowledge_changes import NO_CHANGES, KnowledgeChanges, read_changes
from models.knowledge_files import KnowledgeError
from models.referral import referral_rows
from pipelines.changes.promotion import Agreed
from pipelines.changes.proposal import ChangeRefused, usable
from pipelines.model_in_force import basis_in_force, versions_in_force, versions_of
from pipelines.model_store import find
from warehouse import scores, shadow
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.scores import SHADOW
from warehouse.shadow import ShadowComparison, ShadowRun
from warehouse.store import opened

Say = Callable[[str], None]
NOTHING_RUNS = "nothing runs in shadow"


@dataclass(frozen=True)
class Seen:
    """A shadow that runs, and its tiers beside those in force."""

    run: ShadowRun
    comparison: ShadowComparison


def start(home: Home, agreed: Agreed, *, version: str | None, knowledge: Path | None) -> ShadowRun:
    """Let a model version, the changed knowledge of a folder, or both score in shadow from now on.

    Raises ChangeRefused where neither is named, a shadow runs already, nothing would differ from what is in force, or
    one of them cannot be used; VersionMissing, StoreRefused, WarehouseBusy, WarehouseRefused.
    """
    if version is None and knowledge is None:
        raise ChangeRefused("a shadow needs a model version, a folder of changed knowledge, or both")
    with holding(home, "start a shadow"):
        if running := shadow.running(home):
            raise ChangeRefused(f"shadow {running.number} runs already ({running.subject}): stop it first")
        changed = _read(knowledge)
        basis = _basis(home, version, changed)
        if versions_of(basis) == versions_in_force(home):
            raise ChangeRefused("nothing in it differs from what is in force")
        return shadow.start(home, version, changed, by=agreed.by, reason=agreed.reason)


def stop(home: Home, agreed: Agreed) -> tuple[ShadowRun, int]:
    """End the shadow; its scores go. Gives it, and how many records it had scored.

    Raises ChangeRefused where none runs; WarehouseBusy, WarehouseRefused.
    """
    with holding(home, "stop a shadow"):
        run = _running(home)
        return run, shadow.stop(home, run, by=agreed.by, reason=agreed.reason)


def score_in_shadow(home: Home, say: Say) -> int:
    """Score by the shadow what it has not scored; gives how many record versions. Nothing where none runs.

    The warehouse is let go after each batch, so that no form waits for a shadow. Raises ChangeRefused where the shadow
    cannot be used (any more); WarehouseBusy, WarehouseRefused.
    """
    run = shadow.running(home)
    if run is None:
        say(NOTHING_RUNS)
        return 0
    basis = _basis(home, run.model_version, run.files)
    scored = 0
    while batch := _score_batch(home, run, basis):
        scored += batch
    say(f"shadow {run.number} ({run.subject}): {scored} records scored; nothing of it is published")
    return scored


def _score_batch(home: Home, run: ShadowRun, basis: Basis) -> int:
    with opened(home, "score in shadow") as connection:
        waiting = next(scores.next_unscored(connection, versions_of(basis), SHADOW), None)
        if waiting is None or not shadow.runs(connection, run.number):
            return 0
        rows = referral_rows(*waiting, basis, scored_at=datetime.now(UTC))
        shadow.write(connection, rows)
        return rows.num_rows


def look(home: Home) -> Seen:
    """The shadow that runs, and the tiers that would change, those who would be seen later first.

    Raises ChangeRefused where none runs or it cannot be used; WarehouseBusy, WarehouseRefused.
    """
    with holding(home, "compare a shadow"):
        run = _running(home)
        basis = _basis(home, run.model_version, run.files)
        return Seen(run, shadow.compare(home, versions_of(basis_in_force(home)), versions_of(basis)))


def _running(home: Home) -> ShadowRun:
    run = shadow.running(home)
    if run is None:
        raise ChangeRefused(NOTHING_RUNS)
    return run


def _read(folder: Path | None) -> KnowledgeChanges:
    if folder is None:
        return NO_CHANGES
    try:
        return read_changes(folder)
    except KnowledgeError as error:
        raise ChangeRefused(f"the changed knowledge cannot be used: {error}") from None


def _basis(home: Home, version: str | None, changed: KnowledgeChanges) -> Basis:
    """What the shadow scores by: its model or the one in force, with its knowledge over that of this release."""
    try:
        return usable(find(home, version), changed)[0] if version else basis_in_force(home, changed)
    except ValueError as error:  # of knowledge that does not hold together; it names files and entries
        raise ChangeRefused(f"the changed knowledge cannot be used: {error}") from None

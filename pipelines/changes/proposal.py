"""What promoting a model version would do: which referrals change tier, and what the gates say.

Belongs here: putting the two models side by side. Writes nothing. Does not belong here: gates and their limits
(``models.gates``), the table's tiers (``warehouse.preview``), doing it (``pipelines.changes.promotion``).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from models import gate_evidence
from models.basis import Basis, load_basis
from models.gates import Gate, all_gates, gate_limits, newly_missed
from models.knowledge_changes import NO_CHANGES, KnowledgeChanges
from models.model_file import LockedModel
from models.referral import referral_rows
from pipelines.model_in_force import basis_in_force, in_force, model_folder, versions_of
from pipelines.model_store import ModelVersion, find
from warehouse import preview, shadow
from warehouse.home import Home
from warehouse.model_pointer import InForce


class ChangeRefused(Exception):
    """The model in force must not be changed that way; the message is one plain sentence."""


@dataclass(frozen=True)
class Proposal:
    """What promoting a version would do: tiers that change, and the gates. ``before`` is what it would replace.

    ``newly_missed``: generated records as ``models.gates.newly_missed`` gives them. ``shadow``: one sentence on whether
    the version ran in shadow.
    """

    version: ModelVersion
    before: InForce
    tiers: preview.TierChanges
    gates: tuple[Gate, ...]
    newly_missed: pl.DataFrame
    shadow: str

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the gates that stop the promotion."""
        return tuple(gate.name for gate in self.gates if not gate.lets_pass)


def propose(home: Home, version: str) -> Proposal | None:
    """Look at what promoting ``version`` would do; None if it is in force already. Writes nothing.

    Raises VersionMissing, StoreRefused, ChangeRefused where the version cannot be used, WarehouseBusy,
    WarehouseRefused.
    """
    wanted = find(home, version)
    if wanted.state == "in force":
        return None
    candidate, model = usable(wanted)
    before = in_force(home)
    now = basis_in_force(home)
    tiers = preview.tier_changes(home, _scorer(now), _scorer(candidate))
    # A suspended model is not in force, but it is what the new one takes the place of.
    replaced = load_basis(model_folder(home))
    gates, missed = _judge(replaced, candidate, model)
    return Proposal(wanted, before, tiers, gates, missed, in_shadow(home, version))


def in_shadow(home: Home, version: str) -> str:
    """Whether this version ran in shadow, since when and over how many records, as a sentence.

    Raises WarehouseBusy, WarehouseRefused.
    """
    runs = [run for run in shadow.history(home) if run.model_version == version]
    if not runs:
        return f"model {version} never ran in shadow: hiptriage model shadow start {version}"
    last = runs[0]
    since = f"{last.started_at:%Y-%m-%d %H:%M} UTC"
    if last.ended_at:
        since += f" to {last.ended_at:%Y-%m-%d %H:%M} UTC"
    beside = " with other knowledge" if last.files else ""
    return f"model {version} ran in shadow{beside} from {since}, over {last.records:,} records"


def gates_of(home: Home, version: str) -> tuple[Gate, ...] | None:
    """What the gates say of ``version`` beside the model that it would replace; None if it is in force already.

    Costs seconds: the records of the comparison, without a look at the warehouse's own. Raises VersionMissing,
    StoreRefused, ChangeRefused where the version cannot be used.
    """
    wanted = find(home, version)
    if wanted.state == "in force":
        return None
    candidate, model = usable(wanted)
    gates, _ = _judge(load_basis(model_folder(home)), candidate, model)
    return gates


def usable(version: ModelVersion, changed: KnowledgeChanges = NO_CHANGES) -> tuple[Basis, LockedModel]:
    """This version's model, loaded and checked, and the basis with it. Raises ChangeRefused if it must not be used.

    ``changed``: files in place of the release's knowledge, of a shadow only. Raises KnowledgeError for these.
    """
    basis = load_basis(version.folder, changed)
    if basis.model is None:
        raise ChangeRefused(f"model {version.version} must not be used: {basis.model_refusal}; nothing was changed")
    if basis.model.version != version.version:
        raise ChangeRefused(f"model {version.version} is not what it says it is; nothing was changed")
    return basis, basis.model


def _scorer(basis: Basis) -> preview.Scorer:
    def score(records: pa.Table, for_rules: pa.Table) -> pa.Table:
        return referral_rows(records, for_rules, basis, scored_at=datetime.now(UTC))

    return preview.Scorer(versions_of(basis), score)


def _judge(replaced: Basis, candidate: Basis, model: LockedModel) -> tuple[tuple[Gate, ...], pl.DataFrame]:
    """The gates, and the generated records that would be newly missed."""
    limits, at = gate_limits(), datetime.now(UTC)
    common = gate_evidence.comparison_records(candidate.catalogue, limits)
    before = gate_evidence.judged(replaced.model, common, limits) if replaced.model else None
    after = gate_evidence.judged(model, common, limits)
    dangerous = gate_evidence.sentinel_records(candidate.catalogue, limits)
    seen, would_be = (
        gate_evidence.through_the_product(dangerous, basis, scored_at=at) for basis in (replaced, candidate)
    )
    return all_gates(before, after, seen, would_be, limits), newly_missed(seen, would_be)

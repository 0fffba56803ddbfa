"""What promoting a model would do, as tables that a run shows: counts of tier changes and the gates; never a record.

Belongs here: the words. Does not belong here: working it out (``pipelines.changes.proposal``).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import dagster as dg

from pipelines.changes.proposal import Proposal
from pipelines.console import TIER_WORDS
from pipelines.showing.small_counts import told, total_told
from schemas.tiers import tiers
from warehouse.preview import TierChanges

NOT_SIGNED = "limits not yet signed by a clinician; passing them is not proof of safety"


def preview(proposal: Proposal) -> dict[str, dg.MetadataValue]:
    """Metadata of the step that looked: tier changes, gates, and where the records themselves are listed."""
    version = proposal.version.version
    return {
        "model": dg.MetadataValue.text(f"{version} in place of {proposal.before}"),
        "tier changes": dg.MetadataValue.md(tier_changes(proposal.tiers)),
        "gates": dg.MetadataValue.md(gates(proposal)),
        "shadow": dg.MetadataValue.text(proposal.shadow),
        "which records": dg.MetadataValue.text(
            f"hiptriage model promote {version} --by NAME --second NAME --reason TEXT lists them, and changes nothing "
            "without --yes; no record is named here"
        ),
    }


def tier_changes(changes: TierChanges) -> str:
    """Open referrals whose tier would be another, counted by tier before and after; 7 or fewer are not told."""
    moves = Counter((change.before, change.after) for change in changes.changed)
    if not moves:
        return f"None of {told(changes.records)} open referrals would change tier."
    ordered = sorted(moves, key=lambda move: [tiers()[tier].rank for tier in move])
    rows = [(TIER_WORDS[before], TIER_WORDS[after], told(moves[before, after])) for before, after in ordered]
    return (
        f"{total_told(moves.values())} of {told(changes.records)} open referrals would change tier.\n\n"
        f"{_table(('now', 'then', 'referrals'), rows)}"
    )


def gates(proposal: Proposal) -> str:
    """Every gate with its verdict, figures and limit, and how many generated records would be newly missed."""
    rows = [(gate.state, gate.name, gate.found, gate.limit) for gate in proposal.gates]
    missed = proposal.newly_missed.height
    return (
        f"{_table(('verdict', 'gate', 'found', 'limit'), rows)}\n\n{NOT_SIGNED}. "
        f"Generated records of dangerous conditions that would be newly missed: {missed}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

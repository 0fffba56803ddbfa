"""What a referral rests on: catalogue, rules, advice, written costs and the model in force, with their versions.

Belongs here: loading them together, and going on by rules only where a model is refused or suspended. Does not belong
here: applying them (``models.referral``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from models.advice import AdviceBook, load_advice
from models.catalogue import Catalogue, load_catalogue
from models.decision_costs import DecisionCosts, check_costs, decision_costs
from models.knowledge_changes import NO_CHANGES, KnowledgeChanges, whole_knowledge
from models.knowledge_files import KNOWLEDGE, catalogue_version, knowledge_version
from models.model_file import LockedModel, ModelRefused, load_model
from models.rule_files import RuleSet, load_rules

RULES_ONLY = "rules-only"
LITERATURE = "literature"


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything a score depends on beside the record.

    ``model`` is None where none may be used; ``model_refusal`` then says why in one sentence, and referrals come from
    rules and floors alone. ``catalogue_version`` changes with any knowledge that a score rests on, beside the rules.
    """

    catalogue: Catalogue
    rules: RuleSet
    advice: AdviceBook
    costs: DecisionCosts
    model: LockedModel | None
    model_refusal: str | None
    catalogue_version: str = field(default_factory=catalogue_version)

    @property
    def model_version(self) -> str:
        """The model's version, or ``rules-only``."""
        return self.model.version if self.model else RULES_ONLY

    @property
    def banner(self) -> str | None:
        """What every surface must say first where no model is in force."""
        if self.model:
            return None
        return (
            f"RULES ONLY: no model is in force ({self.model_refusal}). Tiers come from red-flag rules and floors alone."
        )

    @property
    def evidence_basis(self) -> str:
        """``literature``, or ``literature+outcomes(n)`` where confirmed outcomes moved the model's weights."""
        return str(self.model.manifest.get("evidence_basis", LITERATURE)) if self.model else LITERATURE

    @property
    def training_statement(self) -> str:
        """What data trained the model, in one sentence."""
        return str(self.model.manifest["training_data"]) if self.model else "no model is in force"


def load_basis(model_folder: Path, changed: KnowledgeChanges = NO_CHANGES) -> Basis:
    """Load the knowledge of this release and the model in ``model_folder``; a refused model leaves rules only.

    Every stage of a run asks for it; files that did not change since are not read again. ``changed``: files that stand
    in place of the release's own (``models.knowledge_changes``), for a score that is compared and never published.
    Raises ``KnowledgeError`` where these do not hold together.
    """
    files = sorted(model_folder.glob("*")) if model_folder.is_dir() else []
    return _load(
        model_folder, tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files), changed
    )


@lru_cache(maxsize=3)
def _load(model_folder: Path, _stamp: tuple[tuple[str, int, int], ...], changed: KnowledgeChanges) -> Basis:
    costs = decision_costs()
    with whole_knowledge(changed) as folder:
        own = None if folder == KNOWLEDGE else folder  # what the release carries is read once a process
        rules, advice = load_rules(own and own / "rules"), load_advice(own)
        catalogue, version = load_catalogue(own), knowledge_version(folder)
    check_costs(costs, catalogue)
    model, refusal = None, None
    try:
        model = load_model(model_folder, catalogue)
    except ModelRefused as refused:
        refusal = refused.reason.rstrip(".")
    return Basis(catalogue, rules, advice, costs, model, refusal, version)

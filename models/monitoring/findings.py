"""What a look at one clinic, question or model came to: a state, a sentence and figures without small counts.

Belongs here: the states and the least urgent of them. Does not belong here: how a finding comes about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "moved", "late", "low", "too_few_to_say"]
CALLED_OUT: frozenset[State] = frozenset({"moved", "late", "low"})


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject``: a clinic, a question of the form or a model version; never a person.

    ``certain``: of a finding that is called out, whether chance alone is ruled out by its whole 95 % interval.
    """

    subject: str
    state: State
    sentence: str
    figures: Mapping[str, float] = field(default_factory=dict)
    certain: bool = False

    @property
    def called_out(self) -> bool:
        """Whether a person should look. Too few to say is no reason by itself."""
        return self.state in CALLED_OUT


def overall(findings: Iterable[Finding]) -> State:
    """One state for many: the first that is called out, else ok if anything could be said, else too few to say."""
    states = [finding.state for finding in findings]
    for state in states:
        if state in CALLED_OUT:
            return state
    return "ok" if "ok" in states else "too_few_to_say"

"""Which conditions are counted together, read from ``knowledge/condition_groups.yaml``.

Belongs here: the groups and the check that they hold every condition once. Does not belong here: what is counted.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.knowledge_files import KNOWLEDGE, KnowledgeError, condition_ids, read_yaml


class ConditionGroup(BaseModel):
    """A name for readers, and the ids of the conditions in the group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1)]
    conditions: Annotated[tuple[str, ...], Field(min_length=1)]


class ConditionGroups(BaseModel):
    """The checked content of ``condition_groups.yaml``; the file explains its grouping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    provenance: Literal["judgement"]
    groups: dict[str, ConditionGroup]


@cache
def condition_groups() -> dict[str, ConditionGroup]:
    """The groups by id, in the order of the file. Raises ``KnowledgeError`` unless each condition stands in one."""
    found = ConditionGroups.model_validate(read_yaml(KNOWLEDGE / "condition_groups.yaml")).groups
    check_groups(found, condition_ids())
    return found


def check_groups(groups: dict[str, ConditionGroup], conditions: frozenset[str]) -> None:
    """Raise ``KnowledgeError`` naming the conditions that are unknown, missing, or in two groups."""
    counted = Counter(name for group in groups.values() for name in group.conditions)
    wrong = sorted(name for name in conditions | set(counted) if counted[name] != 1 or name not in conditions)
    if wrong:
        raise KnowledgeError(f"condition_groups.yaml: each condition stands in exactly one group; look at {wrong}")

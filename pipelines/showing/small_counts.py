"""Counts of people as an aggregate may show them: 7 or fewer are not told.

Belongs here: that one rule, for tables and sentences about patients. Counts of files, batches and refused records are
operational and are told as they are.
"""

from collections.abc import Iterable

FEW = 7
FEW_TOLD = f"{FEW} or fewer"


def told(count: int) -> str:
    """The count, or '7 or fewer'. None at all is told as 0."""
    return f"{count:,}" if count > FEW or count == 0 else FEW_TOLD


def total_told(parts: Iterable[int]) -> str:
    """The sum of counts that stand beside it, told so that those which are not told cannot be worked out from it."""
    counts = list(parts)
    hidden = sum(count for count in counts if count <= FEW)
    if 0 < hidden <= FEW < sum(counts):
        return f"more than {sum(counts) - hidden:,}"
    return told(sum(counts))

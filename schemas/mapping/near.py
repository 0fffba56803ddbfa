"""Names that are nearly a column of the form: one slip of the keyboard, or other capitals and signs.

Belongs here: telling such a name from one that merely stands beside the form's. Does not belong here: what follows
from it (``plan``). A red-flag question whose column is misspelt would otherwise be lost without a word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

SHORTEST = 3  # shorter names are one slip away from too many others


def nearly_named(unknown: Iterable[str], lacking: Iterable[str]) -> tuple[str, ...]:
    """Those of ``lacking`` (names that the file should have) that a name of ``unknown`` nearly spells, sorted."""
    unknown = tuple(unknown)
    if not unknown:
        return ()
    by_plain, by_cut = defaultdict(set), defaultdict(set)
    for name in lacking:
        by_plain[_plain(name)].add(name)
        if len(name) >= SHORTEST:
            for cut in (name, *_cuts(name)):
                by_cut[cut].add(name)
    found: set[str] = set()
    for name in unknown:
        found |= by_plain.get(_plain(name), set()) if _plain(name) else set()
        if len(name) < SHORTEST:
            continue
        candidates = set().union(*(by_cut.get(cut, ()) for cut in (name, *_cuts(name))))
        found |= {wanted for wanted in candidates if one_slip(name, wanted)}
    return tuple(sorted(found))


def one_slip(first: str, second: str) -> bool:
    """Whether one letter put in, left out or replaced, or two neighbours swapped, turns one name into the other."""
    if abs(len(first) - len(second)) > 1:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    one, two = first[start:], second[start:]
    return (
        one[1:] == two[1:]
        or one[1:] == two
        or one == two[1:]
        or (one[:2] == two[1::-1] and len(two) >= 2 and one[2:] == two[2:])
    )


@lru_cache(maxsize=1024)
def _cuts(name: str) -> list[str]:
    """The name with each letter left out: two names one slip apart share such a cut, or one is a cut of the other."""
    return [name[:place] + name[place + 1 :] for place in range(len(name))] if len(name) <= 64 else []


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.casefold())

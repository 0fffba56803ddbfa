"""Telling cheaply that nothing was written since one last looked: what the file system says of a home's state.

Belongs here: a digest of sizes and times. Does not belong here: what changed (that is what opening the warehouse is
for). A digest that is the same means the same state; another one may come from a write that changed nothing.
"""

from __future__ import annotations

from hashlib import blake2b

from warehouse.home import Home


def state_of(home: Home) -> str:
    """A digest over the warehouse file, what was written ahead of it, and the pointers to model and snapshot."""
    pointers = (home.models / "current", home.snapshots / "current")
    facts = []
    for file in (home.warehouse, home.warehouse.with_name(f"{home.warehouse.name}.wal"), *pointers):
        try:
            stat = file.stat()
            facts.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            facts.append((0, 0, 0))
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()

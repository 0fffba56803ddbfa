"""When something that did not succeed is asked for again: later each time, never every tick.

Belongs here: counting attempts between the ticks of a sensor, in its cursor. Knows nothing of Dagster.
"""

import json
import time
from collections.abc import Collection

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 300.0, 3600.0


class Attempts:
    """How often each thing was asked for and when it may be asked for again; ``memory`` is what ``memory()`` gave."""

    def __init__(self, memory: str | None) -> None:
        try:
            said = json.loads(memory or "{}")
            self._tried = {str(key): (int(count), float(due)) for key, (count, due) in said.items()}
        except (ValueError, TypeError, AttributeError):
            self._tried = {}  # somebody wrote something else into the cursor

    def due(self, keys: Collection[str]) -> list[str]:
        """Those of ``keys`` that may be asked for now. A clock that was put back makes nothing wait longer."""
        now = time.time()
        return [key for key in keys if not 0 < self._tried.get(key, (0, 0.0))[1] - now <= LONGEST_PAUSE_SECONDS]

    def asked(self, keys: Collection[str]) -> None:
        """Note that ``keys`` are asked for now: after 5, 10, 20, 40 and then every 60 minutes they may be again."""
        for key in keys:
            count = self._tried.get(key, (0, 0.0))[0]
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(count, 10), LONGEST_PAUSE_SECONDS)
            self._tried[key] = (count + 1, time.time() + pause)

    def keep(self, keys: Collection[str]) -> None:
        """Forget everything but ``keys``: the rest is done."""
        self._tried = {key: tried for key, tried in self._tried.items() if key in set(keys)}

    def memory(self) -> str:
        """What to give the next tick."""
        return json.dumps(self._tried)

    def slot(self) -> int:
        """A number that stays the same for less than the shortest pause, to tell one attempt from the next."""
        return int(time.time() // FIRST_PAUSE_SECONDS)

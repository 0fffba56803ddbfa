"""One statement that somebody wrote over a snapshot: what it may be, what it may name, how long it may take.

Belongs here: judging a statement before it runs, and stopping it when its time is over. Does not belong here: the
connection and what it cannot reach by itself (``warehouse.snapshot_reading``).

The connection reads the snapshot and nothing else. DuckDB's own catalogue still names the folders that its files lie
in, so a statement may name tables of the snapshot only: DuckDB itself takes the statement apart, and whatever is not
on the lists here is refused.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import duckdb

from warehouse.snapshot_reading import TABLES, QueryRefused

OURS = frozenset({*TABLES, "worklist"})
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "repeat", "repeat_row", "json_each", "json_tree"})
# Scalar functions that tell of the machine instead of the snapshot, or run what is written in a text.
REFUSED_FUNCTIONS = frozenset({"current_setting", "getenv", "write_log", "json_execute_serialized_sql"})
# DuckDB looks up from its work between batches of rows: some functions over one huge value never do.
SECONDS_TO_LISTEN = 5.0
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)

Given = TypeVar("Given")


class Answer:
    """The rows of one statement: fetched like those of a DuckDB result, within the time that the statement has."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        statement: duckdb.Statement,
        seconds: float,
        when_deaf: Callable[[], None],
    ) -> None:
        self._connection, self._seconds, self._left = connection, seconds, seconds
        self._when_deaf = when_deaf
        self._result = self._timed(lambda: connection.execute(statement))

    @property
    def description(self) -> Any:
        """The columns, as a result of DuckDB has them."""
        return self._result.description

    def fetchmany(self, size: int) -> list[Any]:
        """At most ``size`` further rows; none at the end. Raises QueryRefused where the time is over."""
        return self._timed(lambda: self._result.fetchmany(size))

    def _timed(self, step: Callable[[], Given]) -> Given:
        """One step of the database; only its own work is counted, not how long somebody takes to read the rows."""
        began = time.monotonic()
        left = max(self._left, 0.0)
        timers = (
            threading.Timer(left, self._connection.interrupt),
            threading.Timer(left + SECONDS_TO_LISTEN, self._when_deaf),
        )
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            return step()
        except duckdb.InterruptException:
            raise QueryRefused(too_slow(self._seconds)) from None
        finally:
            for timer in timers:
                timer.cancel()
            self._left -= time.monotonic() - began


def too_slow(seconds: float) -> str:
    """What is said of a statement that took longer than it may (seconds)."""
    return f"the statement was stopped after {seconds:g} s of work: ask for less at once"


def answer(
    connection: duckdb.DuckDBPyConnection, statement: str, *, seconds: float, when_deaf: Callable[[], None]
) -> Answer:
    """Run one statement that only reads, inside ``answering``; DuckDB may work on it for ``seconds``.

    ``when_deaf`` is called, in a thread of its own, where it has not stopped SECONDS_TO_LISTEN later. Raises
    QueryRefused where it is none, names anything but the snapshot, or takes longer.
    """
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise QueryRefused("give exactly one SELECT statement")
    asked = statements[0]
    explained = asked.type == duckdb.StatementType.EXPLAIN
    text = _EXPLAIN.sub("", asked.query, count=1) if explained else asked.query
    if asked.type != duckdb.StatementType.SELECT and not (explained and _is_select(connection, text)):
        raise QueryRefused("only SELECT statements are answered: a snapshot is read-only")
    _refuse_strangers(connection, text)
    return Answer(connection, asked, seconds, when_deaf)


def _is_select(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    statements = connection.extract_statements(text)
    return [statement.type for statement in statements] == [duckdb.StatementType.SELECT]


def _refuse_strangers(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise QueryRefused for a table or function that tells of something else than the snapshot."""
    found = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    tree = json.loads(found[0]) if found else {"error": True}
    if tree["error"]:
        raise QueryRefused("the statement cannot be run: it cannot be taken apart")
    internal = {
        name for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
    }
    named_here = {name.lower() for name in _names_of_parts(tree)} - internal
    for node in _nodes(tree):
        if (refused := _refused(node, named_here)) is not None:
            raise QueryRefused(f"the statement cannot be run: {refused}")


def _refused(node: dict[str, Any], named_here: set[str]) -> str | None:
    """Why a part of a statement may not stand, or None; it quotes the statement alone."""
    called = ""
    if node.get("type") == "TABLE_FUNCTION" and node["function"]["function_name"].lower() not in TABLE_FUNCTIONS:
        called = node["function"]["function_name"]
    if node.get("class") == "FUNCTION" and node["function_name"].lower() in REFUSED_FUNCTIONS:
        called = node["function_name"]
    if called:
        return f"{called} is not answered here, only the current snapshot can be read"
    if node.get("type") != "BASE_TABLE":
        return None
    table, schema = node["table_name"].lower(), node.get("schema_name", "").lower()
    if table in OURS or schema == "information_schema" or (not schema and table in named_here):
        return None
    return f"the snapshot has no such table, it has {', '.join(sorted(OURS))}"


def _names_of_parts(tree: dict[str, Any]) -> Iterator[str]:
    """The names that WITH gives to parts of the statement."""
    for node in _nodes(tree):
        for part in (node.get("cte_map") or {}).get("map", []):
            yield part["key"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)

"""The tables of a snapshot without what tells of a sensitive answer, for files that leave the treating clinic.

Belongs here: taking parts out of ``referrals`` in place, so that ``worklist`` and every format follow. Does not belong
here: which parts (``schemas.sensitive_parts``), who gets which table (``pipelines``).

Left out: findings of ``reasons`` on a sensitive question; its name and wording in ``questions_to_ask`` and in what a
rule misses, where it stands that something sensitive is to be asked; marks and phrases of the list; the results ``no``
and ``not_asked`` of rules that a sensitive answer alone can settle. Not left out: a rule that fired or that waits for
an answer, the tier with its reason and where to go. Its text is a published criterion and can name what was answered;
without it nobody knew why somebody has to be seen today.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import duckdb

from schemas.sensitive_parts import MARKED, SETTLED, sensitive_columns, sensitive_parts

IN_FULL = "referrals_in_full"
NAME, QUESTION = "sensitive", "a question of the sensitive part of the form"
WHY = "named in the clinic's own record only"


def leave_out(connection: duckdb.DuckDBPyConnection, settled_by_them: Collection[str]) -> None:
    """Make ``referrals``, and with it ``worklist``, a view without the parts that tell of a sensitive answer.

    ``connection``: one of ``warehouse.snapshot_reading.connect``. ``settled_by_them``: ids of rules with a part that
    sensitive answers alone decide.
    """
    columns = _texts(sensitive_columns())
    marks = _texts(part.left_out for part in sensitive_parts() if part.column == MARKED)
    shown = {
        "reasons": f'list_filter(reasons, lambda r: NOT list_contains({columns}, r."column"))',
        "special": f"list_filter(special, lambda m: NOT list_contains({marks}, m))",
        "questions_to_ask": f"""list_transform(questions_to_ask, lambda q: CASE
            WHEN list_contains({columns}, q."column")
            THEN struct_pack("column" := {_text(NAME)}, question := {_text(QUESTION)}, why := {_text(WHY)})
            ELSE q END)""",
        "rule_status": f"""list_transform(
            list_filter(rule_status, lambda r: NOT (list_contains({_texts(settled_by_them)}, r.id)
                                                    AND list_contains({_texts(SETTLED)}, r.result))),
            lambda r: struct_pack(id := r.id, result := r.result, missing := list_transform(
                r.missing, lambda c: if(list_contains({columns}, c), {_text(NAME)}, c))))""",
    }
    for part in sensitive_parts():
        if part.column != MARKED:
            inner = shown.get(part.column, part.column)
            shown[part.column] = f"replace({inner}, {_text(part.left_out)}, {_text(part.put_instead)})"
    replaced = ", ".join(f"{sql} AS {column}" for column, sql in shown.items())
    connection.execute(f"ALTER VIEW referrals RENAME TO {IN_FULL}")
    connection.execute(f"CREATE VIEW referrals AS SELECT * REPLACE ({replaced}) FROM {IN_FULL}")


def _texts(values: Iterable[str]) -> str:
    listed = ", ".join(_text(value) for value in values)
    return f"[{listed}]::VARCHAR[]"


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"

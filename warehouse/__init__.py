"""All that touches DuckDB, and the files around it: home, archive, store, snapshots, SQL.

Belongs here: where state lies, how it is written by one and read by many. Does not belong here: what a record means
(``models``) or when work happens (``pipelines``). The state itself lies in ``warehouse/state`` and
``warehouse/demo`` by default and is ignored by git.
"""

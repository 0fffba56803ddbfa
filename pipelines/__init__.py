"""When work happens: Dagster definitions and the ``hiptriage`` command.

Belongs here: assets, checks, jobs, commands; the only package that imports dagster. Does not belong here: what data
may look like (``schemas``), what it means (``models``), how it is kept (``warehouse``).
"""

"""The clinicians' page: server-rendered HTML over the current snapshot. Imports no Dagster; opens no warehouse."""

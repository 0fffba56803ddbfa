"""Dagster's runs: which are under way, which died, what tries again, how long they are kept."""

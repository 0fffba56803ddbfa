"""One file a stage of a record's path; Dagster collects what they define."""

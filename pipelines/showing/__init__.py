"""What the Dagster UI shows: metadata, plots, column schemas, next steps. Counts only; small ones of people hidden."""

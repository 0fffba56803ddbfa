"""Jobs that materialise assets: the stages of a record's path, alone or together, and training."""

import dagster as dg

from pipelines.defs.checks import look_after

# Checks over time have jobs of their own: nothing that leads to the worklist takes longer for them.
_OVER_TIME = dg.AssetSelection.checks(look_after)

# Every stage but training: what new batches need, in one run over all of them.
record_path = dg.define_asset_job(
    "record_path",
    selection=dg.AssetSelection.groups("1_landing", "2_intake", "3_scoring", "4_publication") - _OVER_TIME,
    description="Load the chosen batches, score what lacks a score, publish a snapshot: all stages in one run.",
)

landing = dg.define_asset_job(
    "landing",
    selection=dg.AssetSelection.groups("1_landing"),
    description="Look at the landing folder: copy new files into the archive and enter each as a batch.",
)

intake = dg.define_asset_job(
    "intake",
    selection=dg.AssetSelection.groups("2_intake") - _OVER_TIME,
    description="Load the chosen batches, each in one transaction. A batch that is loaded already stays as it is.",
)

# The same without a batch: after a change of model or knowledge, or when the landing folder brought nothing.
score_and_publish = dg.define_asset_job(
    "score_and_publish",
    selection=dg.AssetSelection.groups("1_landing", "3_scoring", "4_publication") - _OVER_TIME,
    description="Score every record that lacks a score by the model and rules in force, and publish a snapshot.",
)

train_and_evaluate = dg.define_asset_job(
    "train_and_evaluate",
    selection=dg.AssetSelection.assets("trained_model"),
    tags={"hiptriage/takes_long": "yes"},  # at most one place of the queue (dagster.yaml)
    description="Train a new model version and evaluate it. It is stored beside the others and not put in force: "
    "that is the job promote.",
)

"""Stage 5: a new model version from the catalogue. It is stored beside the others and never put in force by itself."""

import tempfile
from pathlib import Path

import dagster as dg
from pydantic import Field

from models.model_file import read_manifest
from models.training import train_and_save
from pipelines.failures import without_patient_values
from warehouse.home import Home
from warehouse.lock import holding

# The figures of the model that this release carries: the same call gives the same model.
RELEASE_RECORDS, RELEASE_SEED = 216_000, 20_261


class Training(dg.Config):
    """How large a generated cohort to learn from, and the seed that makes the training repeatable."""

    records: int = Field(default=RELEASE_RECORDS, ge=2_700, le=2_000_000, description="generated records to learn from")
    seed: int = Field(default=RELEASE_SEED, ge=0, description="the same seed gives the same model")


@dg.asset(group_name="5_training", kinds={"scikitlearn"}, owners=["team:clinic-analysts"])
def trained_model(context: dg.AssetExecutionContext, config: Training) -> dg.MaterializeResult:
    """A classifier trained on records generated from the catalogue's figures, calibrated, stored with its card."""
    with without_patient_values("training"):
        home = Home.from_environment()
        home.ensure()
        context.log.info(f"training on {config.records} generated records; this takes minutes")
        with tempfile.TemporaryDirectory(dir=home.models, prefix=".half-") as half:
            version = train_and_save(Path(half), n=config.records, seed=config.seed)
            manifest = read_manifest(Path(half))
            with holding(home, "store a model"):
                if not (home.models / version).exists():
                    Path(half).rename(home.models / version)
                    Path(half).mkdir()
        context.log.info(f"model {version} stored; hiptriage model show {version}")
    return dg.MaterializeResult(
        metadata={
            "model version": version,
            "trained on": manifest["training_data"],
            "log loss on generated records": dg.MetadataValue.float(manifest["evaluation"]["model"]["log_loss"]),
        }
    )

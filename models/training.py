"""Training the classifier: one run from generated records to a classifier with all that its manifest records.

Belongs here: the order of the steps and the cohorts they see. Does not belong here: the candidates and the choice
(``models.candidates``), judging the result (``models.judging``), storing it (``models.model_file``).

Every cohort comes from a seed of its own, so no step judges records that another has seen. No published case is read,
and of clinics only what their confirmed outcomes did to the catalogue's figures (``models.outcome_training``): what the
classifier is fitted to is generated either way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from models import candidates, figures
from models.basis import LITERATURE
from models.candidates import RULE, Choice, Sample, draw_sample
from models.catalogue import Catalogue, load_catalogue
from models.conformal import class_thresholds
from models.decision_costs import check_costs, decision_costs
from models.differential import readings
from models.features import features
from models.generator_settings import generator_settings
from models.outcome_training import OUTCOMES, Outcomes, Taught, taught_by
from models.pool import LogLinearPool
from models.red_flags import without_red_flags

_GENERATED = "generated from published and judged likelihoods"
TRAINING_DATA = f"{_GENERATED}; no patient record"
# Sizes of the later cohorts: as shares of the training cohort, at least so that rare conditions occur in a small run,
# at most what brings their noise below what matters.
_CALIBRATION, _CONFORMAL, WORLD = (0.5, 6_000, 40_000), (0.5, 2_000, 54_000), (0.1, 2_000, 8_000)
_FIXTURE_ROWS = 20


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted classifier, and everything about the run that its manifest records.

    ``estimator`` is a scikit-learn classifier over ``feature_matrix`` rows with ``classes`` in its ``classes_``;
    ``choice`` is who else was compared; ``learning_curve`` the sizes of training cohorts with the classifier each gave.
    """

    estimator: LogLinearPool
    classes: tuple[str, ...]
    facts: dict[str, Any]
    choice: Choice
    learning_curve: tuple[tuple[int, LogLinearPool], ...]


def train(literature: Catalogue, *, n: int, seed: int, taught: Taught | None = None) -> TrainedModel:
    """Fit the candidates on ``n`` generated records, choose one, calibrate it, set its prediction sets.

    The training and conformal cohorts hold all conditions equally often, the others as often as the priors say. The
    same ``n``, ``seed`` and outcomes give the same model on the same libraries and kind of processor. ``taught``: the
    catalogue of which records are generated where outcomes moved it; without, ``literature`` itself.
    """
    # One thread: the order in which threads add up would otherwise show in the last digits, and grow over the steps.
    with threadpool_limits(limits=1):
        return _train(literature, n, seed, taught)


def train_and_save(folder: Path, *, n: int, seed: int, outcomes: Outcomes | None = None) -> str:
    """Train on the catalogue of this release, judge the model, store both in ``folder``, give the model's version.

    ``outcomes``: what landed; where none of it may teach, the model is the one that the literature alone gives.
    """
    from models.judging import judge
    from models.model_file import save_model

    literature = load_catalogue()
    with threadpool_limits(limits=1):
        taught = taught_by(literature, outcomes) if outcomes else None
    trained = train(literature, n=n, seed=seed, taught=taught)
    # Judged in the world that it was made for. The digest of the figures is the literature's: it is by a change of
    # those files that a model grows old.
    world = taught.catalogue if taught else literature
    return save_model(trained, folder, literature, judge(trained, world, n=n, seed=seed))


def _told_of(taught: Taught | None) -> dict[str, Any]:
    """What the manifest says of the data; without outcomes exactly what it says of a model of the literature."""
    if taught is None:
        return {"training_data": TRAINING_DATA, "evidence_basis": LITERATURE}
    return {
        "training_data": f"{_GENERATED}{taught.statement}",
        "evidence_basis": taught.evidence_basis,
        OUTCOMES: taught.manifest,
    }


def _train(literature: Catalogue, n: int, seed: int, taught: Taught | None) -> TrainedModel:
    catalogue = taught.catalogue if taught else literature
    costs, offsets = decision_costs(), generator_settings().seeds
    check_costs(costs, catalogue)
    classes = figures.condition_ids(catalogue)
    dangerous = [classes.index(name) for name in costs.conditions]
    training = draw_sample(catalogue, n, seed + offsets.training, balanced=True)
    calibration = draw_sample(catalogue, part_of(n, _CALIBRATION), seed + offsets.calibration)
    selection_seed = seed + offsets.selection
    choice = candidates.choose(catalogue, training, calibration, n_world=part_of(n, WORLD), seed=selection_seed)
    untouched = draw_sample(catalogue, part_of(n, WORLD), selection_seed + 1)
    tried = candidates.calibrations(choice.classifier, calibration, untouched, dangerous)
    method = candidates.best_calibration(tried)
    estimator = choice.classifier
    if method == "temperature":
        estimator = estimator.tempered(candidates.temper(estimator.log_scores(calibration.matrix), calibration.label))
    conformal = draw_sample(catalogue, part_of(n, _CONFORMAL), seed + offsets.conformal, balanced=True)
    read = readings(estimator, conformal.matrix)
    thresholds = class_thresholds(read.cautious, conformal.label, costs.conformal_miss_rate)
    found = {
        "n": n,
        "seed": seed,
        "data_digest": _digest(training),
        "code_version": _code_version(),
        "catalogue_version": literature.version,
        "candidate": choice.chosen,
        "selection_rule": RULE,
        "calibration": {"chosen": method, "tried": tried},
        "temperature": 1 / estimator.sharpness_,
        "conformal_thresholds": dict(zip(classes, thresholds.tolist(), strict=True)),
        "usual_answers": _usual_answers(without_red_flags(calibration.matrix)),
        "fixture": _fixture(estimator, calibration.matrix),
        **_told_of(taught),
    }
    curve = tuple(
        (size, candidates.fit_pools(catalogue, _fewer(training, size))[choice.chosen].tempered(estimator.sharpness_))
        for size in (n // 16, n // 4)
    )
    return TrainedModel(estimator, classes, found, choice, (*curve, (n, estimator)))


def part_of(n: int, sizes: tuple[float, int, int]) -> int:
    """The size of a later cohort of a run with ``n`` training records, by its share, least and most."""
    share, least, most = sizes
    return min(max(int(n * share), least), most)


def _fewer(sample: Sample, size: int) -> Sample:
    """About ``size`` records with every condition equally often."""
    each = -(-size // len(np.unique(sample.label)))
    rows = np.sort(np.concatenate([np.flatnonzero(sample.label == c)[:each] for c in np.unique(sample.label)]))
    return Sample(sample.matrix[rows], sample.label[rows])


def _digest(sample: Sample) -> str:
    content = hashlib.sha256(np.ascontiguousarray(sample.label).tobytes())
    for part in (sample.matrix.indptr, sample.matrix.indices):
        content.update(np.ascontiguousarray(part).tobytes())
    return content.hexdigest()


def _code_version() -> str:
    """Version of this package and a digest (12 hex digits) of the code that a model depends on."""
    sources = sorted(Path(__file__).parent.glob("**/*.py"))
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return f"{metadata.version('hiptriage')}+{content[:12]}"


def _usual_answers(matrix: sparse.csr_array) -> dict[str, Any]:
    """How often each answer is given by those who give any to its question, and the oddness few records exceed.

    ``matrix``: answers that are no red flags, as ``unlike_training`` is asked about them.
    """
    stated = np.asarray(matrix.sum(axis=0), dtype=np.float64)
    columns = [feature.column for feature in features()]
    _, question = np.unique(columns, return_inverse=True)
    asked = np.bincount(question, weights=stated)[question]
    oddness = -np.log((stated + 0.5) / (asked + 1))
    counts = np.maximum(np.diff(matrix.indptr), 1)
    means = (matrix @ oddness) / counts
    limit = float(np.quantile(means, 1 - decision_costs().unlike_training_share))
    return {"oddness": np.round(oddness, 6).tolist(), "mean_oddness_limit": limit}


def _fixture(estimator: LogLinearPool, matrix: sparse.csr_array) -> list[dict[str, Any]]:
    rows = matrix[:_FIXTURE_ROWS]
    expected = estimator.predict_proba(rows)
    stated = [rows.indices[start:stop].tolist() for start, stop in zip(rows.indptr, rows.indptr[1:], strict=False)]
    return [{"stated": s, "probabilities": p} for s, p in zip(stated, expected.tolist(), strict=True)]

"""Storing a trained model, and refusing one that is not exactly what its manifest says.

Belongs here: ``model.skops``, ``manifest.json`` and what is told beside them in a folder. Does not belong here: fitting
(``models.training``), scoring records (``models.differential``).

What must match at load: the file's hash, the scikit-learn and skops versions, the classes of the catalogue and the
digest of the features. The digest of the catalogue's figures is recorded and compared, but a difference only sets
``LockedModel.figures_changed``: a clinician's correction of a figure must not take every installed model out of use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import sparse

from models import figures
from models.catalogue import Catalogue, load_catalogue
from models.features import feature_digest, feature_names
from models.figures import Floats, condition_ids
from models.knowledge_files import KNOWLEDGE, digest_of

if TYPE_CHECKING:
    from models.training import TrainedModel

MODEL, MANIFEST, CARD = "model.skops", "manifest.json", "card.md"
EVALUATION, REPORT = "evaluation.json", "report.html"
_LIBRARIES = ("scikit-learn", "skops", "numpy")
_OF_THE_GENERATOR = ("generator.yaml", "worlds.yaml", "asked_of_whom.yaml")
_MUST_MATCH = ("scikit-learn", "skops")  # numpy may differ: the fixture shows whether the figures still agree
_TRUSTED = ["models.linear_scores.LinearScores", "models.pool.LogLinearPool", "models.posterior.CataloguePosterior"]
_FIXTURE_TOLERANCE = 1e-6
_NOT_IN_THE_VERSION = ("model_version", "sha256", "libraries", "code_version")


class ModelRefused(Exception):
    """A stored model must not be used; ``reason`` is one plain sentence without paths or patient values."""

    def __init__(self, reason: str) -> None:
        """Take the sentence."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class LockedModel:
    """A model that passed every check at load.

    ``classes`` is the order of probability columns. ``figures_changed`` says that the catalogue's figures are no longer
    those the model learnt from.
    """

    estimator: Any
    classes: tuple[str, ...]
    version: str
    manifest: dict[str, Any]
    figures_changed: bool

    @cached_property
    def set_thresholds(self) -> Floats:
        """The probability below which each class leaves the prediction set, in class order."""
        return np.array([self.manifest["conformal_thresholds"][name] for name in self.classes])


def default_locked_folder() -> Path:
    """The folder of the model that this release carries."""
    return Path(__file__).with_name("locked")


def figures_digest(catalogue: Catalogue) -> str:
    """SHA-256 (hex) of the ids, priors and likelihoods a model learns from, and of how records are generated from them.

    Wording and sources of the catalogue do not count.
    """
    shares = [[p.condition, p.name, p.share] for p in figures.profiles(catalogue)]
    priors = [[c.id, c.prior.value, c.prior.low, c.prior.high] for c in catalogue.conditions.values()]
    content = hashlib.sha256(json.dumps([sorted(priors), shares]).encode("utf-8"))
    for column, table in figures.tables(catalogue).items():
        content.update(json.dumps([column, table.answers]).encode("utf-8"))
        content.update(np.ascontiguousarray([table.value, table.low, table.high]).tobytes())
    content.update(digest_of([KNOWLEDGE / name for name in _OF_THE_GENERATOR]).encode("utf-8"))
    return content.hexdigest()


def in_memory(trained: TrainedModel) -> LockedModel:
    """The trained model as it will be once stored and loaded again, but for its version."""
    return LockedModel(trained.estimator, trained.classes, "in training", trained.facts, figures_changed=False)


def save_model(trained: TrainedModel, folder: Path, catalogue: Catalogue, evaluation: Mapping[str, Any]) -> str:
    """Write model, manifest, evaluation, report and card to ``folder`` (made if missing); give the model's version.

    The version is 12 hex digits; ``evaluation`` is what ``models.evaluation.evaluate`` gives.
    """
    import skops.io

    from models.card import card_text
    from models.evaluation.report import report_html

    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(trained.estimator, folder / MODEL)
    manifest = {
        "sha256": _sha256(folder / MODEL),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "classes": list(trained.classes),
        "features_digest": feature_digest(),
        "figures_digest": figures_digest(catalogue),
        "evaluation": _summary(evaluation),
        **trained.facts,
    }
    manifest["model_version"] = version_of(trained.estimator, manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")
    (folder / EVALUATION).write_text(json.dumps(evaluation, sort_keys=True) + "\n", "utf-8")
    (folder / REPORT).write_text(report_html(manifest, evaluation), "utf-8")
    (folder / CARD).write_text(card_text(manifest, evaluation), "utf-8")
    return cast(str, manifest["model_version"])


def _summary(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of the model and of its baselines, without intervals: what lists and gates read."""
    scores = {
        name: {key: given[key]["value"] for key in ("log_loss", "brier", "top1", "top3", "calibration_slope")}
        for name, given in evaluation["scores"].items()
    }
    return {"records": evaluation["n"], "model": scores.pop("this model"), "baselines": scores}


def version_of(estimator: Any, manifest: Mapping[str, Any]) -> str:
    """The version (12 hex digits) of a model: all that its estimator knows and all that its manifest says of it.

    Left out is what may differ between two stores of the same model: the file's hash, the libraries, the code.
    """
    told = {name: value for name, value in manifest.items() if name not in _NOT_IN_THE_VERSION}
    content = hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8"))
    _add(content, estimator)
    return content.hexdigest()[:12]


def _add(content: hashlib._Hash, value: Any) -> None:
    """Add everything that an estimator knows, in an order of its own."""
    if isinstance(value, np.ndarray):
        content.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list):
        for part in value:
            _add(content, part)
    elif hasattr(value, "__dict__"):
        for name in sorted(vars(value)):
            content.update(name.encode("utf-8"))
            _add(content, vars(value)[name])
    else:
        content.update(repr(value).encode("utf-8"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a stored model, without loading the model or scikit-learn; raises ``ModelRefused``."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise ModelRefused("The model folder holds no manifest.") from None
    except (ValueError, OSError):
        raise ModelRefused("The model's manifest cannot be read.") from None
    if not isinstance(manifest, dict) or _NEEDED - set(manifest):
        raise ModelRefused("The model's manifest lacks parts that every manifest has.")
    return manifest


_NEEDED = {
    "model_version",
    "sha256",
    "libraries",
    "classes",
    "features_digest",
    "figures_digest",
    "conformal_thresholds",
    "usual_answers",
    "fixture",
}


def load_model(folder: Path, catalogue: Catalogue | None = None) -> LockedModel:
    """Load the model stored in ``folder`` after every check.

    Raises ``ModelRefused`` as ``checked_manifest`` does, and for a type outside the short trusted list or probabilities
    that differ from the stored fixture.
    """
    known = catalogue or load_catalogue()
    manifest = checked_manifest(folder, known)
    estimator = _read_estimator(folder / MODEL)
    _check_fit(estimator, manifest)
    if version_of(estimator, manifest) != manifest["model_version"]:
        raise ModelRefused("The manifest is not the one that the model was stored with.")
    changed = manifest["figures_digest"] != figures_digest(known)
    return LockedModel(estimator, tuple(manifest["classes"]), manifest["model_version"], manifest, changed)


def checked_manifest(folder: Path, catalogue: Catalogue) -> dict[str, Any]:
    """The manifest of a model that may be loaded, without loading it or scikit-learn.

    Raises ``ModelRefused`` for a missing file, another hash, other library versions, or other features or classes than
    the form and the catalogue now have.
    """
    manifest = read_manifest(folder)
    path = folder / MODEL
    if not path.is_file():
        raise ModelRefused("The model folder holds no model file.")
    if _sha256(path) != manifest["sha256"]:
        raise ModelRefused("The model file is not the one its manifest describes.")
    for name in _MUST_MATCH:
        stored = manifest["libraries"].get(name)
        if stored != metadata.version(name):
            raise ModelRefused(f"The model was stored with {name} {stored}; {metadata.version(name)} is installed.")
    if manifest["features_digest"] != feature_digest():
        raise ModelRefused("The model was trained on other features than the form now gives.")
    if tuple(manifest["classes"]) != condition_ids(catalogue):
        raise ModelRefused("The model was trained on other conditions than the catalogue now holds.")
    return manifest


def _read_estimator(path: Path) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=_TRUSTED)
    except UntrustedTypesFoundException:
        raise ModelRefused("The model file holds a type outside the trusted list.") from None
    except Exception:
        # Any other failure of the reader means the same to the caller; its own words could hold anything.
        raise ModelRefused("The model file cannot be read.") from None


def _check_fit(estimator: Any, manifest: dict[str, Any]) -> None:
    fixture, width = manifest["fixture"], len(feature_names())
    matrix = sparse.lil_array((len(fixture), width), dtype=np.float32)
    for number, row in enumerate(fixture):
        matrix[[number], row["stated"]] = 1
    expected = np.array([row["probabilities"] for row in fixture])
    try:
        given = estimator.predict_proba(matrix.tocsr())
        classes = tuple(str(name) for name in estimator.classes_)
        shape = estimator.answer_weights().shape
    except Exception:
        raise ModelRefused("The model file holds no classifier of the expected kind.") from None
    if classes != tuple(manifest["classes"]) or shape != (len(classes), width):
        raise ModelRefused("The classes or features inside the model file differ from its manifest.")
    if given.shape != expected.shape or not np.allclose(given, expected, rtol=0, atol=_FIXTURE_TOLERANCE):
        raise ModelRefused("The model no longer gives the probabilities it was stored with.")

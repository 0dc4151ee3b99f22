"""The model folder on disk: JSON and safetensors, each named with its SHA-256 in the manifest.

config.json  weights.safetensors  templates.json  vocabulary.json  calibration.json
detectors.safetensors (count vectors of normal streams, statistics of held-out ones)
reference.safetensors (means for explanations, held-out events and their scores)
baseline.safetensors (the n-gram fitted beside the decoder)
history.json (what the decoder was while it trained; earlier versions wrote none)
manifest.json (SHA-256 of each, training summary). Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .alert import DETECTORS
from .calibration import Calibration
from .config import ModelConfig
from .errors import ModelError
from .reference import check_reference
from .tables import Tables
from .tables import tables as tables_of
from .templates import Templates
from .typed import check_types
from .vocabulary import Vocabulary
from .weights import Weights, shapes

FORMAT = 3
MANIFEST = "manifest.json"
_JSON = ("config.json", "templates.json", "vocabulary.json", "calibration.json")
_TENSORS = (
    "weights.safetensors",
    "detectors.safetensors",
    "reference.safetensors",
    "baseline.safetensors",
)
FILES = (*_JSON, *_TENSORS)
HISTORY = "history.json"
_LARGEST = 1 << 30  # bytes of one file; a model is a few megabytes
# What values raise that nobody has trained.
_UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class Model:
    """All that scoring and explaining need, as read from one folder."""

    sha256: str  # of the manifest, which holds those of all other files
    config: ModelConfig
    weights: Weights  # float32
    vocabulary: Vocabulary
    templates: Templates
    calibration: Calibration
    count_vectors: Float32[np.ndarray, "vectors d_vocab"]  # event counts of normal streams
    held: Mapping[
        str, NDArray[np.generic]
    ]  # statistics that calibrated: whole, joined; and who is not
    reference: Mapping[str, NDArray[np.generic]]
    baseline: Mapping[str, NDArray[np.generic]]
    summary: Mapping[str, Any]  # of the training: data, sizes, losses, versions
    history: Mapping[str, Any] = field(default_factory=dict)  # of the decoder as it trained

    @cached_property
    def tables(self) -> Tables:
        """The weights as all scorers of this model read them."""
        return tables_of(self.weights)

    @cached_property
    def count_columns(self) -> Float32[np.ndarray, "d_vocab vectors32"]:
        """The count vectors as all detectors of this model read them."""
        from . import kernels  # Numba takes half a second, which `--help` need not wait for

        directions = kernels.count_directions(self.count_vectors.astype(np.float64))
        return kernels.count_columns(directions)


def make_room(path: Path) -> None:
    """See that a model can be written to `path`; ModelError if something else is there."""
    occupied = path.exists() and any(path.iterdir() if path.is_dir() else [path])
    if occupied and not (path / MANIFEST).is_file():
        raise ModelError(
            f"{path} exists and is not a model folder; choose another place for the model"
        )
    path.parent.mkdir(parents=True, exist_ok=True)


def save_model(model: Model, path: Path) -> Model:
    """Write the folder all at once (a killed process leaves none in part), and return it as loaded.

    An existing folder at `path`, or where a link there points to, is replaced if it is a model
    folder; anything else is refused. Killed at the one moment between two names, it leaves the old
    one as `.NAME….before` beside it.
    """
    path = path.resolve()
    make_room(path)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    before = staging.with_name(f"{staging.name}.before")
    try:
        for name, content in _contents(model).items():
            (staging / name).write_bytes(content)
        staging.chmod(0o755)  # a temporary folder is for its maker alone
        if path.exists():
            path.rename(before)
        staging.rename(path)
        shutil.rmtree(before, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if before.exists() and not path.exists():
            before.rename(path)
        raise
    return load_model(path)


def load_model(path: Path) -> Model:
    """Read and check a model folder; ModelError says what does not fit."""
    return model_from_files(model_files(path))


def model_files(path: Path) -> dict[str, bytes]:
    """The files of a model folder as bytes; ModelError if it is none, or holds what is no part of
    one.
    """
    if not path.is_dir():
        raise ModelError(f"no model folder at {path}; train one with `offscript train`")
    try:
        found = {entry.name for entry in path.iterdir()}
    except OSError as error:  # it is being replaced, or not ours to read
        raise ModelError(f"{path} cannot be read ({error.strerror}); train again") from error
    if MANIFEST not in found:
        raise ModelError(f"{path} holds no {MANIFEST}: it is not a model folder; train again")
    if strangers := sorted(found.difference(_KNOWN)):
        raise ModelError(
            f"{path} holds {strangers[0]}, which is no part of a model; remove it or train again"
        )
    return {name: _read(path / name) for name in _KNOWN if name != HISTORY or name in found}


def model_from_files(files: Mapping[str, bytes]) -> Model:
    """A model from its files' contents, all checked against the manifest first."""
    manifest = _json(MANIFEST, files[MANIFEST])
    if manifest.get("format") != FORMAT:
        raise ModelError(
            f"model format {manifest.get('format')!r}, this version reads {FORMAT}; train again"
        )
    sums = manifest.get("sha256")
    if not isinstance(sums, dict) or {*sums} - {HISTORY} != {*FILES}:
        raise ModelError(f"{MANIFEST} does not name the files of a model; train again")
    if HISTORY in sums and HISTORY not in files:
        raise ModelError(
            f"{HISTORY} is missing, and {MANIFEST} names it; restore it or train again"
        )
    if HISTORY in files and HISTORY not in sums:
        raise ModelError(f"{HISTORY} is not of this model: {MANIFEST} does not name it; remove it")
    for name in sums:
        actual = hashlib.sha256(files[name]).hexdigest()
        if actual != sums[name]:
            raise ModelError(
                f"{name} is damaged or was changed: SHA-256 {actual[:12]}…, manifest says "
                f"{str(sums[name])[:12]}…; restore the file or train again"
            )
    tensors = {name: _tensors(name, files[name]) for name in _TENSORS}
    try:
        config = ModelConfig.from_json(_json("config.json", files["config.json"]))
        vocabulary = Vocabulary.from_json(_json("vocabulary.json", files["vocabulary.json"]))
        templates = Templates.from_json(_json("templates.json", files["templates.json"]))
        calibration = Calibration.from_json(_json("calibration.json", files["calibration.json"]))
        for value in (config, vocabulary, templates, calibration):
            check_types(value, type(value), type(value).__name__)
        for threshold in (calibration.whole, calibration.joined):
            threshold.limits()
            threshold.laws()
            threshold.score(np.zeros((1, len(DETECTORS))))
        summary = manifest.get("summary", {})
        if not isinstance(summary, dict):
            raise TypeError(f"the summary is {str(summary)[:60]!r}, expected an object")
        detectors = tensors["detectors.safetensors"]
        vectors = detectors["count_vectors"]
    except _UNFIT as error:
        raise ModelError(f"the model's JSON does not fit: {error!r}; train again") from error
    if len(vocabulary) != config.decoder.d_vocab:
        raise ModelError(
            f"vocabulary.json has {len(vocabulary)} events, config.json says "
            f"{config.decoder.d_vocab}; train again"
        )
    if vectors.ndim != 2 or vectors.shape[1] != len(vocabulary):
        raise ModelError(
            f"count vectors are {vectors.shape}, the vocabulary has {len(vocabulary)}; train again"
        )
    counts: NDArray[np.float32] = np.ascontiguousarray(vectors, dtype=np.float32)
    if not ((counts >= 0.0) & (counts < np.inf)).all():
        raise ModelError("count vectors hold what is no count; train again")
    check_reference(config.decoder, tensors["reference.safetensors"])
    return Model(
        sha256=hashlib.sha256(files[MANIFEST]).hexdigest(),
        config=config,
        weights=_weights(config, tensors["weights.safetensors"]),
        vocabulary=vocabulary,
        templates=templates,
        calibration=calibration,
        count_vectors=counts,
        held={name: array for name, array in detectors.items() if name != "count_vectors"},
        reference=tensors["reference.safetensors"],
        baseline=tensors["baseline.safetensors"],
        summary=summary,
        history=_json(HISTORY, files[HISTORY]) if HISTORY in files else {},
    )


_KNOWN = (MANIFEST, *FILES, HISTORY)


def _contents(model: Model) -> dict[str, bytes]:
    def pack(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
        packed: bytes = save({name: np.ascontiguousarray(a) for name, a in arrays.items()})
        return packed

    files = {
        "config.json": _dump(model.config.to_json()),
        "templates.json": _dump(model.templates.to_json()),
        "vocabulary.json": _dump(model.vocabulary.to_json()),
        "calibration.json": _dump(model.calibration.to_json()),
        "weights.safetensors": pack(model.weights.arrays()),
        "detectors.safetensors": pack({"count_vectors": model.count_vectors, **model.held}),
        "reference.safetensors": pack(model.reference),
        "baseline.safetensors": pack(model.baseline),
    }
    if model.history:
        files[HISTORY] = _dump(model.history)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {"format": FORMAT, "sha256": sums, "summary": dict(model.summary)}
    return {**files, MANIFEST: _dump(manifest)}


def _dump(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be read for ever
            raise ModelError(f"{path} is no file; train again")
        if found.st_size > _LARGEST:
            raise ModelError(f"{path.name} is larger than {_LARGEST} bytes; that is no model")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); train again") from error


def _json(name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is not JSON ({error}); train again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name} holds a {type(value).__name__}, expected an object; train again")
    return value


def _tensors(name: str, content: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        arrays: dict[str, NDArray[np.generic]] = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{name} is not a safetensors file ({error}); train again") from error
    return arrays


def _weights(config: ModelConfig, arrays: dict[str, NDArray[np.generic]]) -> Weights:
    expected = shapes(config.decoder)
    if set(arrays) != set(expected):
        raise ModelError(
            f"weights.safetensors holds {sorted(arrays)}, expected {sorted(expected)}; train again"
        )
    for name, shape in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32:
            raise ModelError(
                f"{name} is {array.dtype} {array.shape}, config.json asks for float32 {shape}; "
                "train again"
            )
        if not np.isfinite(array.astype(np.float32)).all():
            raise ModelError(f"{name} holds values that are not finite; train again")
    return Weights(**{name: arrays[name].astype(np.float32) for name in expected})

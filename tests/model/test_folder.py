"""The model folder loads as it was saved, and refuses what does not fit."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.config import ModelConfig
from offscript.model.errors import ModelError
from offscript.model.folder import FILES, HISTORY, MANIFEST, load_model, save_model


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_saved_model_loads_as_it_was(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model)

    again = save_model(model, tmp_path / "again")

    assert again.sha256 == model.sha256
    assert again.config == model.config
    assert again.calibration == model.calibration
    for name, array in model.weights.arrays().items():
        np.testing.assert_array_equal(array, again.weights.arrays()[name])


@pytest.mark.parametrize("name", [*FILES, HISTORY])
def test_one_flipped_byte_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(ModelError, match=rf"{name} is damaged.*SHA-256"):
        load_model(folder)


@pytest.mark.parametrize("name", [MANIFEST, *FILES, HISTORY])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ModelError, match=name):
        load_model(folder)


def test_a_model_of_an_earlier_version_has_no_history(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model)

    earlier = save_model(replace(model, history={}), tmp_path / "earlier")

    assert model.history["stages"]
    assert not (tmp_path / "earlier" / HISTORY).exists()
    assert earlier.history == {}


def test_a_history_that_the_manifest_does_not_name_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"][HISTORY]
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(ModelError, match=r"history\.json is not of this model.*remove it"):
        load_model(folder)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (str(self.path),))


def test_a_pickle_beside_the_model_is_refused(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(pickle.dumps(1))

    with pytest.raises(ModelError, match=r"extra\.pkl, which is no part of a model"):
        load_model(folder)


def test_a_pickle_in_place_of_the_weights_is_never_unpickled(folder: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Trap(sprung)))
    sign(folder)

    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(folder)
    assert not sprung.exists()


def sign(folder: Path) -> None:
    """Make the manifest fit the files, as somebody would who means harm."""
    import hashlib

    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (*FILES, HISTORY)
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("vocabulary.json", ("names", 5), 7),
        ("vocabulary.json", ("counts",), {"a": 1}),
        ("config.json", ("decoder", "window"), 64.0),
        ("config.json", ("events", "masks"), [["a"]]),
        ("config.json", ("streams", "idle_seconds"), None),
        ("config.json", ("streams", "openings"), {"a": "now"}),
        ("calibration.json", ("whole", "weights"), {}),
        ("calibration.json", ("joined", "tails", "event", "scale"), "wide"),
        ("calibration.json", ("joined", "tails", "event", "scores"), []),
        ("calibration.json", ("joined", "tails", "event", "scale"), 0.0),
        ("calibration.json", ("joined", "tails", "event", "shape"), float("inf")),
        ("calibration.json", ("rate",), float("nan")),
        ("calibration.json", ("rate",), 10**400),
    ],
)
def test_values_that_nobody_has_trained_are_refused(
    folder: Path, file: str, place: tuple[str | int, ...], value: object
) -> None:
    content = json.loads((folder / file).read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (folder / file).write_text(json.dumps(content))
    sign(folder)

    with pytest.raises(ModelError, match="JSON does not fit.*train again"):
        load_model(folder)


def test_a_manifest_that_is_no_summary_of_a_training_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "summary": ["none"]}))

    with pytest.raises(ModelError, match="summary"):
        load_model(folder)

    (folder / MANIFEST).write_text("[" * 100_000)

    with pytest.raises(ModelError, match="manifest.json is not JSON"):
        load_model(folder)


def test_weights_of_another_shape_are_refused_with_both_shapes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["window"] = 32
    (folder / "config.json").write_text(json.dumps(config))
    sign(folder)

    with pytest.raises(ModelError, match=r"rho is float32 .*64.*asks for .*32"):
        load_model(folder)


def test_weights_that_are_not_finite_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model)
    broken = model.weights.b_U.copy()
    broken[3] = np.nan

    with pytest.raises(ModelError, match="b_U holds values that are not finite"):
        save_model(replace(model, weights=replace(model.weights, b_U=broken)), tmp_path / "m")


@pytest.mark.parametrize("count", [-1.0, np.nan, np.inf])
def test_counts_that_are_none_are_refused(tiny_model: Path, tmp_path: Path, count: float) -> None:
    model = load_model(tiny_model)
    vectors = model.count_vectors.copy()
    vectors[1, 2] = count

    with pytest.raises(ModelError, match="count vectors hold what is no count"):
        save_model(replace(model, count_vectors=vectors), tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("means", lambda array: array[:-1], r"means of \(\d+, 24, 16\) where config.json asks for"),
        ("mean", lambda array: array * np.nan, "mean with values that are no numbers"),
        ("last", lambda array: array.astype(np.int64), "last with values that are no numbers"),
        ("outcomes", lambda array: array - 10**9, "outcomes with values that are out of range"),
        ("pairs", lambda array: array * 100, "pairs with values that are out of range"),
        ("pair_counts", lambda array: array[1:], "pair_counts of"),
        ("windows", lambda array: array + 1000, "windows with values that are out of range"),
        ("window_lengths", lambda array: array + 1, "window_lengths that do not add up"),
        ("surprisals", lambda array: array[1:], "surprisals that end within a window"),
        ("surprisals", lambda array: array * np.nan, "surprisals with values that are no numbers"),
        ("skips", lambda array: array.T, "skips of"),
        ("skip_counts", lambda array: array.astype(np.float32), "skip_counts with values"),
        ("contexts", lambda array: array + 10**9, "contexts with values that are out of range"),
        ("context_counts", lambda array: array[1:], "context_counts of"),
        ("contexts_of", lambda array: array + 1000, "contexts_of with values that are out of"),
    ],
)
def test_a_reference_of_another_model_is_refused(
    tiny_model: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    model = load_model(tiny_model)
    others = {**model.reference, name: change(np.asarray(model.reference[name]))}
    fewer = {other: array for other, array in model.reference.items() if other != name}

    with pytest.raises(ModelError, match=f"is not of this model: it holds {said}"):
        save_model(replace(model, reference=others), tmp_path / "m")
    if name not in ("windows", "surprisals", "skips", "contexts"):
        with pytest.raises(ModelError, match=f"is not of this model: it holds no {name};"):
            save_model(replace(model, reference=fewer), tmp_path / "fewer")


def test_a_model_of_an_earlier_version_has_no_windows_no_skips_and_no_contexts(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_model)
    later = ["windows", "window_lengths", "surprisals", "skips", "skip_counts"]
    later += ["contexts", "context_counts", "contexts_of"]
    earlier = {name: array for name, array in model.reference.items() if name not in later}

    for number, reference in enumerate((earlier, {})):
        kept = save_model(replace(model, reference=reference), tmp_path / str(number)).reference
        assert sorted(kept) == sorted(reference)


def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    size = len(vocabulary["names"])
    vocabulary = {name: values[:-1] for name, values in vocabulary.items()}
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    sign(folder)

    with pytest.raises(ModelError, match=rf"{size - 1} events, config.json says {size}"):
        load_model(folder)


def test_a_folder_that_is_no_model_is_neither_read_nor_replaced(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep")

    with pytest.raises(ModelError, match="is not a model folder"):
        load_model(tmp_path / "mine")
    with pytest.raises(ModelError, match="choose another place"):
        save_model(load_model(tiny_model), tmp_path / "mine")
    assert (tmp_path / "mine" / "precious.txt").read_text() == "keep"


def test_a_model_that_cannot_take_its_place_leaves_the_one_before(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_model(load_model(tiny_model), tmp_path / "mine")
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if target == tmp_path / "mine" and not path.name.endswith(".before"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        save_model(replace(model, history={}), tmp_path / "mine")

    assert load_model(tmp_path / "mine").sha256 == model.sha256
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_endless_streams_without_a_length_of_blocks_are_refused(tiny_model: Path) -> None:
    config = load_model(tiny_model).config.to_json()
    config["streams"] |= {"endless": True, "block_seconds": 0.0}

    with pytest.raises(ValueError, match=r"block_seconds is 0\.0; of endless streams"):
        ModelConfig.from_json(config)

"""Data that several processes hold once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf

from search_spaces import DataError
from studies.data import Splits, datasets, shared
from studies.training import as_tensor


def several() -> Splits:
    rng = np.random.default_rng(0)
    x = {
        "image": rng.integers(0, 255, (50, 4, 4)).astype("uint8"),
        "row": rng.normal(size=(50, 3)).astype("float32"),
    }
    y = (rng.normal(size=(50, 2)), rng.integers(0, 3, 50))
    return datasets.arrays(x, y, sample_weight=rng.uniform(1, 2, 50)).load()


def never() -> Splits:
    raise AssertionError("loaded a second time")


def test_loaded_by_the_first_process_only(tmp_path: Path) -> None:
    whole = several()
    first, second = shared(several, tmp_path), shared(never, tmp_path)
    for splits in (first, second):
        assert splits.describe() == whole.describe()
        assert splits.train.digest == whole.train.digest
        assert splits.validation.digest == whole.validation.digest
        assert splits.unseal_test().digest == whole.digests["test"]


def test_what_is_shared_is_read_only(tmp_path: Path) -> None:
    part = shared(several, tmp_path).train
    assert isinstance(part.x, dict)
    with pytest.raises(ValueError, match="read-only"):
        part.x["row"][0] = 0


def test_what_cannot_be_loaded_leaves_it_to_the_next(tmp_path: Path) -> None:
    def fails() -> Splits:
        raise DataError("no such file")

    with pytest.raises(DataError, match="no such file"):
        shared(fails, tmp_path)
    assert shared(several, tmp_path).digest == several().digest


def test_a_data_set_holds_its_data_once(tmp_path: Path) -> None:
    data = datasets.digits()
    splits = data.load_shared(tmp_path)
    assert data.load() is splits
    assert splits.digest == datasets.digits().load().digest


class TestTensors:
    @pytest.fixture
    def mapped(self, tmp_path: Path) -> np.ndarray:
        np.save(tmp_path / "a.npy", np.arange(6000, dtype="float32").reshape(1000, 6))
        return np.load(tmp_path / "a.npy", mmap_mode="r")

    @pytest.mark.skipif(not psutil.LINUX, reason="asks Linux what lies where in memory")
    def test_are_not_copied(self, mapped: np.ndarray, tmp_path: Path) -> None:
        tensor = as_tensor(mapped)
        if "CPU" not in tensor.device:
            pytest.skip("a GPU has memory of its own")
        address = np.frombuffer(memoryview(tensor).cast("B"), "uint8").ctypes.data
        places = [m for m in psutil.Process().memory_maps(grouped=False) if m.path.endswith("npy")]
        bounds = [[int(end, 16) for end in m.addr.split("-")] for m in places]
        assert any(low <= address < high for low, high in bounds)

    def test_of_all_types_are_what_tensorflow_makes_of_copies(self, tmp_path: Path) -> None:
        for dtype in ("uint8", "bool", "int32", "int64", "float16", "float32", "float64"):
            array = np.arange(12).reshape(4, 3).astype(dtype)
            np.save(tmp_path / f"{dtype}.npy", array)
            tensor = as_tensor(np.load(tmp_path / f"{dtype}.npy", mmap_mode="r"))
            assert tensor.dtype == tf.constant(array).dtype
            assert np.array_equal(tensor.numpy(), array)

    def test_of_a_piece_are_of_that_piece(self, mapped: np.ndarray) -> None:
        for piece in (mapped[1:], mapped[::-1], mapped[:, :3], mapped.T, mapped + 1):
            assert np.array_equal(as_tensor(piece).numpy(), piece)

"""Arrays in files that are mapped to memory: too large for it, or shared by processes; digests."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf

from search_spaces import DataError
from studies.data import (
    CrossValidation,
    Splits,
    array_digest,
    datasets,
    file_of,
    path_in,
    replaced_data,
    shared,
    spelled,
    temporary_folder,
)
from studies.training import as_tensor


@pytest.mark.parametrize("dtype", [object, "datetime64[s]", np.longdouble], ids=str)
def test_values_that_differ_between_machines_have_no_digest(dtype: Any) -> None:
    with pytest.raises(DataError, match=r"no digest that is the same on every machine.*Convert"):
        array_digest(np.zeros(3).astype(dtype))


# Large arrays


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.data.arrays.memory_mapped_files._LARGE_BYTES", 1000)
    monkeypatch.setattr("studies.data.arrays.memory_mapped_files._BLOCK_BYTES", 300)


@pytest.fixture(params=["savez", "savez_compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    random, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 100), ("test", 40)):
        arrays[f"x_{part}"] = random.normal(size=(count, 5, 2)).astype("float32")
        arrays[f"y_{part}"] = np.arange(count) % 3
    getattr(np, request.param)(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def in_files(loaded: Splits) -> list[bool]:
    parts = (loaded.train, loaded.validation, loaded.unseal_test())
    return [isinstance(p.x, np.ndarray) and file_of(p.x) is not None for p in parts]


def test_large_arrays_are_the_same_in_files(
    file: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = datasets.npz(file).load()
    request.getfixturevalue("limit")
    large = datasets.npz(file).load()
    # The validation part is small itself: 20 rows of 40 bytes.
    assert (in_files(small), in_files(large)) == ([False] * 3, [True, False, True])
    assert large.digests == small.digests and large.train.digest == small.digests["train"]
    folder = tmp_path / "shared"
    folder.mkdir()
    train: Any = shared(datasets.npz(file).load, folder).train.x
    array_file = file_of(train)
    assert array_file is not None and array_file.parent == folder
    # The bytes of the data are on disk once.
    sizes = [file.stat().st_size for file in folder.glob("*.npy")]
    assert sizes.count(array_file.stat().st_size) == 1


def test_a_users_memory_map_is_copied(limit: None, tmp_path: Path) -> None:
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype="uint8", shape=(300, 10))
    x[:] = np.arange(3000, dtype="uint8").reshape(300, 10)
    train = datasets.arrays(x, np.arange(300.0), test=None).load().train
    digest = train.digest
    x[:] = 0
    assert isinstance(train.x, np.ndarray) and file_of(train.x) is not None
    assert train.digest == digest


def test_flaws_of_large_arrays_are_found(limit: None, file: Path) -> None:
    x = np.zeros((200, 10), "float32")
    x[170, 3] = np.nan
    with pytest.raises(DataError, match=r"1 NaN .* of 2000, the first at index \(170, 3\)"):
        datasets.arrays(x, np.arange(200.0)).load()
    content = bytearray(file.read_bytes())
    place = content.index(b"x_train") + 400
    content[place : place + 200] = bytes(200)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x_train in .* can't be read"):
        datasets.npz(file).load()


def test_folders_of_killed_processes_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = (
        "import os, sys\nfrom studies.data import temporary_folder\n"
        "folder = temporary_folder()\nprint(folder.name, flush=True)\nsys.stdin.read()"
    )
    folders = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        folders.append((process, Path(process.stdout.readline().strip())))
    (killed, abandoned), (living, held) = folders
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert abandoned.exists()
    with temporary_folder() as own:
        assert sorted(tmp_path.iterdir()) == sorted([held, Path(own)])
    living.communicate()
    assert not list(tmp_path.iterdir())


# Shared by processes


def several() -> Splits:
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (50, 4, 4)).astype("uint8")
    words = np.array(["one", "two", "three"])[np.arange(50) % 3]
    x = {"image": image, "words": words, "objects": words.astype(object)}
    y = (random.normal(size=(50, 2)), random.integers(0, 3, 50))
    return datasets.arrays(x, y, sample_weight=random.uniform(1, 2, 50)).load()


def test_the_first_process_loads_and_all_map_the_same_data(tmp_path: Path) -> None:
    def fails() -> Splits:
        raise DataError("no such file")

    # If a process fails, the next one does the work.
    with pytest.raises(DataError, match="no such file"):
        shared(fails, tmp_path)
    whole = several()
    for load in (several, fails):
        mapped = shared(load, tmp_path)
        assert mapped.describe() == whole.describe()
        parts = (mapped.train, mapped.validation, mapped.unseal_test())
        assert [part.digest for part in parts] == list(whole.digests.values())
        assert isinstance(mapped.train.x, dict) and file_of(mapped.train.x["words"]) is not None
        with pytest.raises(ValueError, match="read-only"):
            mapped.train.x["image"][0] = 0
        for name in ("words", "objects"):
            texts = [text.decode() for text in as_tensor(mapped.train.x[name]).numpy()]
            assert texts == whole.train.x[name].tolist()  # type: ignore[call-overload,index]


def test_a_data_set_holds_its_data_once(tmp_path: Path) -> None:
    data = datasets.digits()
    assert data.load() is not (mapped := data.load_shared(tmp_path)) is data.load()
    assert mapped.digest == datasets.digits().load().digest


@pytest.mark.skipif(not psutil.LINUX, reason="asks Linux what lies where in memory")
def test_tensors_of_mapped_arrays_are_no_copies_and_hold_the_same_values(tmp_path: Path) -> None:
    for dtype in ("uint8", "bool", "int32", "int64", "float16", "float32", "float64"):
        array = np.arange(6000).reshape(1000, 6).astype(dtype)
        np.save(tmp_path / f"{dtype}.npy", array)
        mapped = np.load(tmp_path / f"{dtype}.npy", mmap_mode="r")
        tensor = as_tensor(mapped)
        assert tensor.dtype == tf.constant(array).dtype and np.array_equal(tensor.numpy(), array)
    for piece in (mapped[1:], mapped[::-1], mapped[:, :3], mapped.T, mapped + 1):
        assert np.array_equal(as_tensor(piece).numpy(), piece)
    if "CPU" not in tensor.device:
        pytest.skip("a GPU has memory of its own")
    address = np.frombuffer(memoryview(tensor).cast("B"), "uint8").ctypes.data
    places = [m for m in psutil.Process().memory_maps(grouped=False) if m.path.endswith("npy")]
    bounds = [[int(end, 16) for end in m.addr.split("-")] for m in places]
    assert any(low <= address < high for low, high in bounds)


def test_files_of_folds_are_removed_with_the_folds() -> None:
    """Otherwise they would add up in a notebook, which launches and loads many times."""
    x = np.arange(120.0).reshape(60, 2)
    folds = datasets.arrays(x, x[:, 0], test=None).load_folds(CrossValidation("", 3))
    folder, part = folds.folder, folds.whole.train
    assert folder.is_dir() and file_of(part.x) is not None
    del folds
    assert not folder.exists()
    assert np.array_equal(part.x, x) and np.array_equal(as_tensor(part.x).numpy(), x)


# Data and folds from the record's texts


def test_another_file_is_read_and_split_as_the_studys_own(tmp_path: Path) -> None:
    rows = "".join(f"{n},a film {n},{n % 2},{n / 7}\n" for n in range(60))
    (tmp_path / "other.csv").write_text(f"id,review,liked,price\n{rows}", encoding="utf-8")
    other, options = str(tmp_path / "other.csv"), {"drop": ["id", "review"], "seed": 5, "test": 20}
    own = datasets.table("nowhere.csv", target="price", **options)
    expected = datasets.table(other, target="price", **options).load()
    assert replaced_data(other, own).load().digest == expected.digest
    text = spelled(other, "liked")
    expected = datasets.table(other, target="liked", **options).load()
    assert replaced_data(text, own).load().digest == expected.digest
    reviews = datasets.text("nowhere.csv", text="review", target="stars")
    assert str(replaced_data(text, reviews).load().train.x[0]).startswith("a film")
    # The file has moved. The record has the study's target.
    assert spelled("/moved.csv", recorded=text) == "/moved.csv?target=liked"
    assert (spelled("", recorded=text), path_in(text)) == (text, other)
    with pytest.raises(DataError, match="Name the column to predict"):
        replaced_data(other, datasets.digits())
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="is a folder, but the study's data is no folder of im"):
        replaced_data(str(folder), datasets.digits())
    (folder / "a" / "1.txt").write_text("a film")
    assert replaced_data(str(folder), datasets.digits()).source == str(folder)

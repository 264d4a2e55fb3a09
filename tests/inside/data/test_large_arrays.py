"""Arrays that are too large to be held in memory, with a limit that suits a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from search_spaces import DataError
from studies.data import Part, Splits, datasets, shared
from studies.data.arrays import mapped as large


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_LARGE_BYTES", 1000)
    monkeypatch.setattr(large, "_BLOCK_BYTES", 300)


@pytest.fixture(params=["savez", "savez_compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    save = getattr(np, request.param)
    path = tmp_path / "data.npz"
    save(
        path,
        x_train=rng.normal(size=(100, 5, 2)).astype("float32"),
        y_train=np.arange(100) % 3,
        x_test=rng.normal(size=(40, 5, 2)).astype("float32"),
        y_test=np.arange(40) % 3,
    )
    return path


def in_file(part: Part) -> bool:
    return isinstance(part.x, np.ndarray) and large.file_of(part.x) is not None


def in_files(splits: Splits) -> list[bool]:
    return [in_file(part) for part in (splits.train, splits.validation, splits.unseal_test())]


def test_are_the_same_arrays_in_files(file: Path, request: pytest.FixtureRequest) -> None:
    small = datasets.npz(file).load()
    request.getfixturevalue("limit")
    splits = datasets.npz(file).load()
    assert in_files(small) == [False, False, False]
    # The validation part is small itself: 20 rows of 40 bytes.
    assert in_files(splits) == [True, False, True]
    assert splits.digests == small.digests
    assert splits.train.digest == small.digests["train"]


def test_go_to_the_folder_of_those_that_share_them(file: Path, limit: None, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    splits = shared(datasets.npz(file).load, folder)
    assert isinstance(splits.train.x, np.ndarray)
    written = large.file_of(splits.train.x)
    assert written is not None and written.parent == folder
    # It lies there once.
    sizes = [f for f in folder.glob("*.npy") if f.stat().st_size == written.stat().st_size]
    assert sizes == [written]


def test_of_memory_maps_are_copies(limit: None, tmp_path: Path) -> None:
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype="uint8", shape=(300, 10))
    x[:] = np.arange(3000, dtype="uint8").reshape(300, 10)
    splits = datasets.arrays(x, np.arange(300.0), test=None).load()
    digest = splits.train.digest
    x[:] = 0
    assert in_file(splits.train)
    assert splits.train.digest == digest


def test_nan_in_any_block_is_found(limit: None) -> None:
    x = np.zeros((200, 10), "float32")
    x[170, 3] = np.nan
    with pytest.raises(DataError, match=r"1 NaN value\(s\) of 2000, the first at index \(170, 3\)"):
        datasets.arrays(x, np.arange(200.0)).load()


def test_that_hold_objects_are_refused(limit: None, tmp_path: Path) -> None:
    x = np.array([{"a": i} for i in range(500)], dtype=object)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=np.arange(500.0))
    with pytest.raises(DataError, match="holds Python objects"):
        datasets.npz(tmp_path / "data.npz").load()


def test_that_are_damaged_are_refused(file: Path, limit: None) -> None:
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("x_train.npy")
    text = bytearray(file.read_bytes())
    place = entry.header_offset + 400
    text[place : place + 200] = bytes(200)
    file.write_bytes(text)
    with pytest.raises(DataError, match=r"x_train in .* is damaged"):
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
    made = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        made.append((process, Path(process.stdout.readline().strip())))
    (killed, abandoned), (living, held) = made
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert abandoned.exists()
    with large.temporary_folder() as own:
        assert sorted(tmp_path.iterdir()) == sorted([held, Path(own)])
    living.communicate()
    assert not list(tmp_path.iterdir())

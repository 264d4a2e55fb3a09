"""The empty database of a new store comes from the user's cache, if the one there is sound."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tracking.store import Store, create_store, database


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test's own, and a process that has made no database yet."""
    kept = list(database._made)
    # Making one takes seconds: a sound one is put there as a process before would have.
    folder = tmp_path / "cache"
    create_store(tmp_path / "any")
    monkeypatch.setenv("KERASTUDY_CACHE", str(folder))
    database._keep(database._made[0])
    database._made.clear()
    yield folder
    database._made[:] = kept or database._made


def _made_anew(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Notes the databases that are made instead of copied: as copies, so that it costs nothing."""
    (kept,) = database._cache().glob("mlflow-*.db")
    made: list[Path] = []
    content = kept.read_bytes()

    def make(_store: Store, path: Path) -> None:
        made.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(database, "_make", make)
    return made


def test_a_store_from_the_cache_is_mlflows_with_its_own_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made_anew(monkeypatch)
    store = create_store(tmp_path / "a store")

    client = mlflow.MlflowClient(f"sqlite:///{store.root / 'mlflow.db'}")
    assert not made
    assert client.get_experiment("0").artifact_location == f"{store.artifacts_uri}/0"
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db")) as database:
        dump = "\n".join(database.iterdump())
    assert "no-store" not in dump


@pytest.mark.parametrize("damage", ["cut", "changed", "folder", "closed"])
def test_a_damaged_or_closed_cache_is_as_none(
    damage: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made_anew(monkeypatch)
    (kept,) = cache.glob("mlflow-*.db")
    content = kept.read_bytes()
    if damage == "cut":
        kept.write_bytes(content[:-4096])
    elif damage == "changed":
        kept.write_bytes(content.replace(b"experiments", b"experimentz"))
    elif damage == "folder":
        kept.unlink()
        kept.mkdir()
    else:
        kept.unlink()
        cache.rmdir()
        cache.write_text("no folder can be made here")
    create_store(tmp_path / "store")

    assert len(made) == 1

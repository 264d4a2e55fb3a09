"""Atomic writing of files, digests of checkpoints, and errors of the file system.

A checkpoint is Keras's ``.weights.h5``, which has no checksum. The record has a digest of its
arrays. A digest of the file would not do: Keras writes layer names into it, which differ when the
same model is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from search_spaces.errors import InternalError, KerastudyError, StoreError
from tracking.records import EndedTrial

if TYPE_CHECKING:
    import h5py


@contextlib.contextmanager
def replacing(path: Path, *, keeping: bool = False) -> Iterator[Path]:
    """Yields a temporary path next to ``path``, and renames it to ``path`` at the end.

    The content is synced to disk before the renaming, so that neither a kill nor a power failure
    leaves half a file under ``path``. On an error nothing changes. If ``path`` is a device or a
    pipe, such as ``/dev/stdout``, the function yields ``path`` itself.

    With `keeping`, the replaced file is first renamed to `one_before(path)`. If the process is
    killed between the two renamings, there is no file under ``path``.
    """
    if is_device(path):
        yield path
        return
    # Keras insists on the ending '.weights.h5', so the mark is a prefix.
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        if keeping:
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, one_before(path))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Returns whether a path is a device or a pipe, such as ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()


def followed(path: Path) -> Path:
    """Resolves a symbolic link to a file, so that `replacing` keeps the link."""
    return path.resolve() if path.is_symlink() and path.is_file() else path


def one_before(path: Path) -> Path:
    """Returns the path at which `replacing` keeps the replaced file."""
    return path.with_name(f"{path.name}.before")


def remove_pieces(folder: Path, name: str | None = None) -> None:
    """Removes the partial files that killed processes left in a folder. `name` selects one file's.

    No process may be writing in the folder.
    """
    for path in folder.glob("partial-*"):
        if is_piece(path, name):
            path.unlink(missing_ok=True)


def is_piece(path: Path, name: str | None = None) -> bool:
    """Returns whether a path is a partial file of `replacing`."""
    piece = rf"partial-\d+-{'.+' if name is None else re.escape(name)}"
    return re.fullmatch(piece, path.name) is not None and path.is_file()


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, by `replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """Returns the content of a file in the user's cache folder, and makes a missing file.

    If the cache folder can't be written, `make` is called each time.
    """
    path = platformdirs.user_cache_path("kerastudy") / name
    with contextlib.suppress(OSError):
        return path.read_bytes()
    content = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)
    return content


class CheckpointError(InternalError):
    """A checkpoint can't be read, or has another digest than the recorded one."""


def checkpoint_digest(path: Path) -> str:
    """Returns the SHA-256 over the names, types, shapes and bytes of a checkpoint's arrays.

    Raises CheckpointError if the file can't be read.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _digest_in(file)
    except FileNotFoundError:
        raise CheckpointError("it is gone") from None
    # h5py raises different errors for damage in different places. A damaged length may need too
    # much memory.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise CheckpointError(f"it can't be read: {error}") from None


def _digest_in(file: h5py.File) -> str:
    import h5py
    import numpy as np

    datasets: dict[str, h5py.Dataset] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = item

    file.visititems(note)
    digest = hashlib.sha256()
    for name in sorted(datasets):
        # h5py's low-level API takes half the time of `dataset[...]`.
        array = np.empty(datasets[name].shape, datasets[name].dtype)
        datasets[name].id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        # A layer's `save_own_variables` may write texts, which h5py reads as objects.
        text = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
        digest.update(text)
    return digest.hexdigest()


def checkpoint_fault(path: Path, digest: str) -> str:
    """Returns why a checkpoint can't be used, or an empty text. It may have another digest."""
    try:
        present = checkpoint_digest(path)
    except CheckpointError as error:
        return str(error)
    return "it does not have the content that was written" if digest not in ("", present) else ""


def recorded_checkpoints(trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields the number and the digest of each training of a trial that wrote a checkpoint.

    In a cross-validated trial, only the training on all folds did. A digest may be empty.
    """
    result = trial.result
    if result.best is None or trial.state not in ("complete", "pruned"):
        return
    if not result.repeats and not result.unsaved:
        yield 0, result.checkpoint_sha256
    for repeat, each in enumerate(result.repeats):
        if not each.unsaved and each.fold is None:
            yield repeat, each.checkpoint_sha256
    if trial.whole is not None:
        yield trial.checkpoint_of, trial.whole.checkpoint_sha256


@dataclass(frozen=True)
class StudyFiles:
    """The paths of a study's files under one engine. The folder may not exist yet."""

    folder: Path

    def checkpoint(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the checkpoint of a trial's training."""
        return self.folder / f"{_stem(number, repeat)}.weights.h5"

    def state(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the training state after the last epoch."""
        return self.folder / f"{_stem(number, repeat)}.state.safetensors"

    def scores(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the scores of validation samples."""
        return self.folder / f"{_stem(number, repeat)}.scores.safetensors"


def files_of(folder: Path, engine: str) -> StudyFiles:
    """Returns the paths of the files under one engine in a study's folder."""
    return StudyFiles(folder / "checkpoints" / re.sub(r"[^\w.-]", "-", engine))


def _stem(number: int, repeat: int) -> str:
    return f"trial-{int(number):05}" + (f".repeat-{int(repeat)}" if repeat else "")


_MEND = "Recorded trials are safe. Fix this, then give the command again."


@contextlib.contextmanager
def as_store_errors() -> Iterator[None]:
    """Turns errors of the file system and of databases into `StoreError`.

    Examples are a full disk, or a database that another program has locked.
    """
    try:
        yield
    except KerastudyError:
        raise
    except OSError as error:
        where = f": {error.filename!r}" if error.filename else ""
        raise StoreError(f"{error.strerror or error}{where}. {_MEND}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "mlflow", "sqlite3"):
            raise
        raise StoreError(
            f"The store's database cannot be used: {first_cause(error)}. {_MEND}"
        ) from error


def first_cause(error: BaseException) -> str:
    """Returns the first line of the message of an error's root cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")

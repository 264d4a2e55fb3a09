"""Files that exist whole or not at all, digests of weights, and errors of the file system.

Keras's ``.weights.h5`` is an HDF5 file with no checksum of its own. The record holds a digest of
its arrays, not of the file: Keras writes the layers' names into it, which differ between builds of
a model, and the same weights must have the same digest.
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

    The content is on disk before the name points to it, so that neither a kill nor a power failure
    leaves half a file under ``path``. On an error nothing changes. A device or a pipe, such as
    ``/dev/stdout``, can't be replaced: the path yielded is then ``path`` itself.

    With `keeping`, the replaced file stays, under the name `one_before(path)`. If the process is
    killed between the two renames, only this file is left.
    """
    if is_device(path):
        yield path
        return
    # Keras asks for the ending '.weights.h5', so the mark goes in front.
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
    """Returns the file that a link names, so that the file is replaced and not the link."""
    return path.resolve() if path.is_symlink() and path.is_file() else path


def one_before(path: Path) -> Path:
    """Returns where `replacing` keeps the file that was replaced."""
    return path.with_name(f"{path.name}.before")


def remove_pieces(folder: Path, name: str | None = None) -> None:
    """Removes the partial files that killed processes left in a folder: of one file, or of all.

    No process may be writing them.
    """
    for path in folder.glob("partial-*"):
        if is_piece(path, name):
            path.unlink(missing_ok=True)


def is_piece(path: Path, name: str | None = None) -> bool:
    """Returns whether a file is a partial one that a killed process left."""
    piece = rf"partial-\d+-{'.+' if name is None else re.escape(name)}"
    return re.fullmatch(piece, path.name) is not None and path.is_file()


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """Returns the file of a name in the user's cache; makes its content if there is no such file.

    Without a home folder that can be written, the content is made each time.
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
    """A file of weights can't be read, or does not have the content that was written."""


def checkpoint_digest(path: Path) -> str:
    """Returns the SHA-256 over all arrays of a file of weights: names, types, shapes and bytes.

    Raises CheckpointError if an array can't be read: the file is damaged, or is no HDF5 file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _digest_in(file)
    except FileNotFoundError:
        raise CheckpointError("it is gone") from None
    # What h5py raises depends on the place of the damage; a damaged length may exhaust memory.
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
        # h5py's low-level API reads in half the time that selections take.
        array = np.empty(datasets[name].shape, datasets[name].dtype)
        datasets[name].id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        # An array of texts, which a layer's own `save_own_variables` may write, holds objects.
        text = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
        digest.update(text)
    return digest.hexdigest()


def check_checkpoint(path: Path, digest: str) -> None:
    """Raises CheckpointError if a file of weights can't be read, or has another digest."""
    present = checkpoint_digest(path)
    if digest and present != digest:
        raise CheckpointError("it does not have the content that was written")


def recorded_checkpoints(trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields the number and digest of each training of a trial whose weights were written.

    Of a cross-validated trial, only the training on all folds has any. A digest may be empty.
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
    """The files of a study under one engine, in a folder that may not exist yet."""

    folder: Path

    def checkpoint(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the best weights of a trial, or of one of its repeats."""
        return self.folder / f"{_stem(number, repeat)}.weights.h5"

    def state(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of a trial's state after its last epoch, if it has one."""
        return self.folder / f"{_stem(number, repeat)}.state.safetensors"

    def scores(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the scores of validation samples, if a training has them."""
        return self.folder / f"{_stem(number, repeat)}.scores.safetensors"


def files_of(folder: Path, engine: str) -> StudyFiles:
    """Returns the files under one engine of the study in a folder."""
    return StudyFiles(folder / "checkpoints" / re.sub(r"[^\w.-]", "-", engine))


def _stem(number: int, repeat: int) -> str:
    return f"trial-{int(number):05}" + (f".repeat-{int(repeat)}" if repeat else "")


_MEND = "Recorded trials are safe. Fix this, then give the command again."


@contextlib.contextmanager
def as_store_errors() -> Iterator[None]:
    """Turns errors of the file system and of databases into a `StoreError`.

    Examples are a full disk, a store that went away, or a database that another program has locked.
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
    """Returns the database's own message, without those of the libraries around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")

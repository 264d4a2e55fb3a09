"""The files of trials: checkpoints and their digests, training states and scores.

A checkpoint is a ``.weights.h5`` file of Keras, which has no checksum. So the journal has a digest
of the checkpoint's arrays. A digest of the whole file would differ when the same model is built
again, because Keras writes layer names into the file, and these change.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import InternalError
from tracking.records import EndedTrial, Rank, StudyDescription, TrialRecord, rank_of, ranked

if TYPE_CHECKING:
    import h5py


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
    # h5py raises different errors for damage in different places. With a damaged length, memory may
    # run out.
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
        # Reading into an array takes half the time of `dataset[...]`.
        array = np.empty(datasets[name].shape, datasets[name].dtype)
        datasets[name].id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        # A layer's `save_own_variables` may write texts, which h5py reads as objects.
        has_texts = array.dtype.hasobject
        digest.update(repr(array.tolist()).encode() if has_texts else array.tobytes())
    return digest.hexdigest()


def checkpoint_fault(path: Path, digest: str) -> str:
    """Returns why a checkpoint can't be used, or an empty text if it can.

    A checkpoint can't be used if the file can't be read, or has another digest than `digest`. An
    empty `digest` is not compared.
    """
    try:
        present = checkpoint_digest(path)
    except CheckpointError as error:
        return str(error)
    return "it does not have the content that was written" if digest not in ("", present) else ""


def recorded_checkpoints(trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields each checkpoint of a trial: the number of the training that wrote it, and its digest.

    In a cross-validated trial, only the training on the data of all folds writes a checkpoint. A
    checkpoint's digest may be empty.
    """
    result = trial.result
    if result.best is None or trial.state not in ("complete", "pruned"):
        return
    if not result.repeats and not result.unsaved:
        yield 0, result.checkpoint_sha256
    for number, repeat in enumerate(result.repeats):
        if not repeat.unsaved and repeat.fold is None:
            yield number, repeat.checkpoint_sha256
    if trial.whole is not None:
        yield trial.checkpoint_of, trial.whole.checkpoint_sha256


@dataclass(frozen=True)
class StudyFiles:
    """The paths of the files of trials. `folder` may not exist yet."""

    folder: Path

    def checkpoint(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the checkpoint of a trial's training."""
        return self.folder / f"{_stem(number, repeat)}.weights.h5"

    def state(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the file with a training's state after its last epoch so far."""
        return self.folder / f"{_stem(number, repeat)}.state.safetensors"

    def scores(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the file with a training's scores of its validation samples."""
        return self.folder / f"{_stem(number, repeat)}.scores.safetensors"


def files_of(folder: Path) -> StudyFiles:
    """Returns the paths of the files of trials in a study's folder."""
    return StudyFiles(folder / "checkpoints")


def _stem(number: int, repeat: int) -> str:
    return f"trial-{int(number):05}" + (f".repeat-{int(repeat)}" if repeat else "")


class Retention:
    """Removes files of finished trials as soon as nothing needs them.

    ``--keep`` says how many of the best trials keep their checkpoints. States of finished trials,
    and scores of trials without a value, are removed too.
    """

    def __init__(
        self, files: StudyFiles, description: StudyDescription, finished: Iterable[TrialRecord]
    ) -> None:
        self._files, self._description = files, description
        # The ranks of all trials with a value, best first.
        self._ranks: list[Rank] = []
        # The numbers of trials that may have a state file, of trials whose checkpoint must be
        # removed, and of trials without a value. At first there may be many files to remove, if an
        # earlier launch was killed or had a higher --keep.
        self._with_state, self._dropped, self._valueless = set[int](), set[int](), set[int]()
        for trial in finished:
            self.add(trial)

    def add(self, trial: TrialRecord) -> None:
        """Adds a finished trial, and notes which files are not needed any more."""
        self._with_state.add(trial.number)
        if trial.best is None:
            # The trial has no value, e.g. because a fold was pruned. So nothing reads its scores,
            # and they are removed.
            self._valueless.add(trial.number)
        for valued in ranked([trial], self._description.objective):
            rank, keep = rank_of(valued, self._description.objective), self._description.keep
            bisect.insort(self._ranks, rank)
            if keep is not None and len(self._ranks) > keep:
                # There is now one checkpoint too many. The worst trial loses its checkpoint: this
                # trial, or the trial that this trial has pushed out of the best ones.
                self._dropped.add(max(rank, self._ranks[keep]).number)

    def last_kept(self) -> Rank | None:
        """Returns the rank of the worst trial whose checkpoint is kept.

        Returns None if the checkpoint of any further trial would be kept.
        """
        keep = self._description.keep
        return None if keep is None or len(self._ranks) < keep else self._ranks[keep - 1]

    def tidy(self) -> None:
        """Removes the files that the study needs no more."""
        # The champion of a cross-validated study is trained once more, on all folds together. The
        # files of this training are removed like those of a repeat.
        repeats = range(self._description.trainings + bool(self._description.folds))
        for number in self._with_state:
            for repeat in repeats:
                self._files.state(number, repeat).unlink(missing_ok=True)
        self._with_state.clear()
        for number in self._dropped:
            for repeat in repeats:
                self._files.checkpoint(number, repeat).unlink(missing_ok=True)
        self._dropped.clear()
        for number in self._valueless:
            for repeat in repeats:
                self._files.scores(number, repeat).unlink(missing_ok=True)
        self._valueless.clear()

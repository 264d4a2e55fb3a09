"""Files of sample scores: one for each training, next to its checkpoint.

Sample scores are the objective of each validation sample. A file is in the safetensors format
(https://huggingface.co/docs/safetensors): it has arrays and a JSON header, and reading it runs no
code. Zeros and ones take a bit each. Other numbers take 16 bits if that is precise enough. A study
keeps the files of its best trials, up to a limit.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from search_spaces.errors import InternalError
from tracking.records import Rank
from tracking.scores.sample_scores import SampleScores
from tracking.store.files import replacing

# Half precision may change the objective by at most this share of it.
_HALF = 1e-5
# The most bytes that the files of a study under one engine may take.
_MOST_BYTES: Final = 64 * 10**6
# The header has no arrays, and no `members`: readers compute averages and pooled scores.
_LEFT_OUT = ("values", "weights", "members", "groups")


class ScoresError(InternalError):
    """Scores of samples are missing, damaged, or of other weights."""


def write_scores(path: Path, scores: Sequence[SampleScores], *, weights_sha256: str = "") -> None:
    """Writes a training's scores atomically: those after its best epoch, or after each epoch.

    `weights_sha256` is the digest of the best epoch's weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    entries = []
    for number, each in enumerate(scores):
        fields = {
            field.name: getattr(each, field.name)
            for field in dataclasses.fields(each)
            if field.name not in _LEFT_OUT
        }
        arrays[f"{number}.values"], fields["bits"] = _packed(each)
        fields["shape"] = list(np.shape(each.values))
        # Weights and groups are mostly the same in each epoch, so equal arrays are stored once.
        if each.weights is not None:
            weights = np.ascontiguousarray(each.weights, np.float32)
            fields["weights"] = _place(arrays, weights, f"{number}.weights")
        if each.groups is not None:
            fields["groups"] = _place(arrays, each.groups, f"{number}.groups")
        entries.append(fields)
    header = json.dumps({"entries": entries, "weights_sha256": weights_sha256})
    metadata = {"scores": header, "sha256": _digest(header, arrays)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        try:
            save_file(arrays, partial, metadata=metadata)
        except SafetensorError as error:
            # safetensors raises its own error if the disk is full.
            raise OSError(str(error)) from error


def read_scores(path: Path, *, weights_sha256: str = "") -> list[SampleScores]:
    """Reads a training's scores: those after its best epoch, or after each epoch.

    Raises ScoresError if the file is missing or damaged, or if its scores belong to other weights
    than `weights_sha256`. If that is empty, the weights are not compared.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = metadata["scores"]
        if metadata["sha256"] != _digest(header, arrays):
            raise ScoresError("they do not have the content that was written")
        fields = json.loads(header)
        if weights_sha256 and fields["weights_sha256"] != weights_sha256:
            raise ScoresError("they are of other weights")
        return [_entry(arrays, number, each) for number, each in enumerate(fields["entries"])]
    except FileNotFoundError:
        raise ScoresError("they are gone") from None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ScoresError(f"they can't be read: {error}") from None


def _entry(arrays: Mapping[str, np.ndarray], number: int, fields: dict[str, Any]) -> SampleScores:
    values, shape = arrays[f"{number}.values"], fields.pop("shape")
    if fields.pop("bits"):
        values = np.unpackbits(values, count=int(np.prod(shape)))
    same: dict[str, Any] = {
        name: arrays[fields.pop(name)] for name in ("weights", "groups") if name in fields
    }
    return SampleScores(values=values.reshape(shape), **same, **fields)


def _packed(scores: SampleScores) -> tuple[np.ndarray, bool]:
    """Returns the values for the file, and whether each takes a single bit."""
    values = np.asarray(scores.values)
    if values.dtype.kind in "biuf" and bool(((values == 0) | (values == 1)).all()):
        return np.packbits(values.reshape(-1).astype(bool)), True
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values), False
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(values, np.float16)
    exact = scores.value
    rounded = dataclasses.replace(scores, values=half).value
    if abs(rounded - exact) <= _HALF * abs(exact):
        return half, False
    return np.ascontiguousarray(values, np.float32), False


def _place(arrays: dict[str, np.ndarray], array: np.ndarray, name: str) -> str:
    """Returns the name of an equal stored array; stores this one by `name` if there is none."""
    kind = name.partition(".")[2]
    for other, stored in arrays.items():
        if other.endswith(kind) and np.array_equal(stored, array):
            return other
    arrays[name] = array
    return name


def _digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class KeptScores:
    """Decides which trials keep their files of scores: the study's best, up to `most` bytes.

    A trial that was dropped does not come back.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most = most
        # Each entry has a trial's rank and the size of its file. The best trial comes first.
        self._kept: list[tuple[Rank, int]] = []
        self._bytes = 0
        self._dropped: set[int] = set()
        self._told = False

    @property
    def numbers(self) -> set[int]:
        """The numbers of the trials that keep their scores."""
        return {rank.number for rank, _ in self._kept}

    def add(self, rank: Rank, size: int) -> None:
        """Adds a trial with the size of its file in bytes; without scores the size is 0."""
        if not size:
            return
        bisect.insort(self._kept, (rank, size))
        self._bytes += size
        while self._bytes > self._most:
            last, freed = self._kept.pop()
            self._bytes -= freed
            self._dropped.add(last.number)

    def dropped(self) -> set[int]:
        """Returns the trials whose files must be deleted. Each trial is returned only once."""
        dropped, self._dropped = self._dropped, set()
        return dropped

    def told(self) -> str:
        """Returns a line for the user when scores are first dropped, else an empty text."""
        if self._told or not self._dropped:
            return ""
        self._told = True
        return (
            f"the scores of validation samples reached {self._most // 10**6} MB: only those of the "
            f"best {len(self._kept)} trials are kept"
        )

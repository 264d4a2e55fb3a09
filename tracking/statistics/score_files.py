"""Files with the scores of validation samples: one for each training, next to the checkpoint.

A file is in the safetensors format (https://huggingface.co/docs/safetensors): arrays and a JSON
header, which can be read without running code. In an array of zeros and ones, each number takes one
bit. In other arrays, each number takes 32 bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import InternalError
from tracking.records import EndedTrial
from tracking.statistics.sample_scores_and_resamples import SampleScores, average, pooled
from tracking.store import StudyFiles, replacing

# These fields are not in the header: the file has the arrays as tensors, and the members (the
# trainings or folds) have files of their own.
_LEFT_OUT = ("values", "weights", "members", "groups")


class ScoresError(InternalError):
    """Scores of samples are missing or damaged, or belong to other weights."""


def write_scores(path: Path, scores: Sequence[SampleScores], *, weights_sha256: str = "") -> None:
    """Writes a training's scores to a file, atomically.

    `scores` has the scores after the best epoch only, or after several epochs. `weights_sha256` is
    the digest of the best epoch's weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    entries = []
    for number, epoch in enumerate(scores):
        fields = {
            field.name: getattr(epoch, field.name)
            for field in dataclasses.fields(epoch)
            if field.name not in _LEFT_OUT
        }
        arrays[f"{number}.values"], fields["bits"] = _packed(epoch)
        fields["shape"] = list(np.shape(epoch.values))
        # Most weights and groups are the same in each epoch, so equal arrays are stored once.
        if epoch.weights is not None:
            weights = np.ascontiguousarray(epoch.weights, np.float32)
            fields["weights"] = _place(arrays, weights, f"{number}.weights")
        if epoch.groups is not None:
            fields["groups"] = _place(arrays, epoch.groups, f"{number}.groups")
        entries.append(fields)
    header = json.dumps({"entries": entries, "weights_sha256": weights_sha256})
    metadata = {"scores": header, "sha256": _digest(header, arrays)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        try:
            save_file(arrays, partial, metadata=metadata)
        except SafetensorError as error:
            # safetensors raises its own error if, for example, the disk is full.
            raise OSError(str(error)) from error


def read_scores(path: Path, *, weights_sha256: str = "") -> list[SampleScores]:
    """Reads a training's scores.

    Raises ScoresError if the file is missing or damaged, or if the scores belong to weights with
    another digest than `weights_sha256`. With an empty `weights_sha256`, scores of any weights are
    read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = metadata["scores"]
        if metadata["sha256"] != _digest(header, arrays):
            raise ScoresError("the file does not have the content that was written")
        fields = json.loads(header)
        if weights_sha256 and fields["weights_sha256"] != weights_sha256:
            raise ScoresError("the scores belong to other weights")
        return [_entry(arrays, number, entry) for number, entry in enumerate(fields["entries"])]
    except FileNotFoundError:
        raise ScoresError("the file is gone") from None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ScoresError(f"the file can't be read: {error}") from None


def trial_scores(files: StudyFiles, trials: Iterable[EndedTrial]) -> dict[int, list[SampleScores]]:
    """Returns the scores of the validation samples of trials, by trial number.

    A trial has an entry for each epoch whose scores are recorded: the best epoch, and perhaps
    others.

    - A repeated trial has one entry, the average of its trainings at their best epochs.
    - A cross-validated trial has the out-of-fold scores of all samples, for each epoch after which
      all folds have scores.
    - Trials whose files are missing or damaged are left out.
    """
    scores: dict[int, list[SampleScores]] = {}
    for trial in trials:
        with contextlib.suppress(ScoresError):
            scores[trial.number] = scores_of(files, trial)
    return dict(sorted(scores.items()))


def scores_of(files: StudyFiles, trial: EndedTrial) -> list[SampleScores]:
    """Returns the scores of one trial, in the form of `trial_scores`.

    Raises:
        ScoresError: If a file of scores is missing or damaged.
    """
    repeats = trial.result.repeats
    if not repeats:
        digest = trial.result.weights_sha256
        return read_scores(files.scores(trial.number), weights_sha256=digest)
    scores = [
        read_scores(files.scores(trial.number, repeat), weights_sha256=fit.weights_sha256)
        for repeat, fit in enumerate(repeats)
    ]
    if not trial.result.folds:
        trainings = zip(scores, repeats, strict=True)
        return [average([best_scores(epochs, fit.best.epoch) for epochs, fit in trainings])]
    folds = [{after.epoch: after for after in epochs} for epochs in scores]
    common = set.intersection(*map(set, folds))
    if trial.epoch not in common:
        raise ScoresError(f"not all folds have scores after epoch {trial.epoch}")
    return [pooled([fold[epoch] for fold in folds]) for epoch in sorted(common)]


def best_scores(scores: list[SampleScores], epoch: int) -> SampleScores:
    """Returns the scores after an epoch; raises ScoresError if there are none."""
    for after in scores:
        if after.epoch == epoch:
            return after
    raise ScoresError(f"there are no scores after epoch {epoch}")


def _entry(arrays: Mapping[str, np.ndarray], number: int, fields: dict[str, Any]) -> SampleScores:
    values, shape = arrays[f"{number}.values"], fields.pop("shape")
    if fields.pop("bits"):
        values = np.unpackbits(values, count=int(np.prod(shape)))
    same: dict[str, Any] = {
        name: arrays[fields.pop(name)] for name in ("weights", "groups") if name in fields
    }
    return SampleScores(values=values.reshape(shape), **same, **fields)


def _packed(scores: SampleScores) -> tuple[np.ndarray, bool]:
    """Returns the values as the file has them, and whether each value takes only one bit."""
    values = np.asarray(scores.values)
    if values.dtype.kind in "biuf" and bool(((values == 0) | (values == 1)).all()):
        return np.packbits(values.reshape(-1).astype(bool)), True
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values), False
    return np.ascontiguousarray(values, np.float32), False


def _place(arrays: dict[str, np.ndarray], array: np.ndarray, name: str) -> str:
    """Returns the name of the entry of `arrays` that equals `array`.

    If no entry equals `array`, adds it under `name`.
    """
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

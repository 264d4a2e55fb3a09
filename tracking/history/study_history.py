"""Reads studies from their journals, makes tables of their trials, and deletes studies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

import contextlib
import json
import os
import shutil
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from search_spaces import argument_checks as checks
from search_spaces.errors import StoreError, StudyNotFoundError, TrackingError
from search_spaces.texts import near_match, quoted
from tracking.history.learning_curves import epoch_metrics
from tracking.journal import DELETED, FILE_NAME, Champion, Journal, JournalReader
from tracking.records import (
    CodeDescription,
    EndedTrial,
    StudyDescription,
    TrialRecord,
    finished_trials,
    latest_attempts,
    ranked,
    sha256,
)
from tracking.store import (
    Store,
    StudyFiles,
    checkpoint_fault,
    files_of,
    recorded_checkpoints,
)

ALIAS = "champion"
"""The alias of the champion's version in MLflow's registered model."""
CONFIRMED = "it won under new seeds"
"""The recorded reason if the champion was chosen because it won `kerastudy confirm`."""
PROMOTED = "promoted"
"""The recorded reason if a user promoted the champion. The user's own words may follow."""
_MOST_NAMES = 5


@dataclass(frozen=True, repr=False)
class StudyHistory:
    """A recorded study, with its trials.

    Attributes:
        store: The store with the study.
        folder: The study's folder.
        description: The study's definition.
        status: RUNNING, FINISHED, KILLED (interrupted) or FAILED. If the process of a launch was
            killed, the status is still RUNNING.
        trials: The last attempt at each trial, by number.
        registered: The saved model of the champion.
        ended_by: Why the last launch ended: ``"trials"`` (all done), ``"space"`` (everything was
            tried), ``"timeout"``, ``"stop_at"``, ``"patience"``, ``"interrupt"`` or ``"error"``.
            Empty if the launch has not ended, or was killed.
        stopped: A sentence on why the last launch ended.
        keeps: How many of the best trials keep their checkpoints: the smallest `keep` of all
            launches so far. None if all trials keep them.
        server: The MLflow server that gets a copy of the study, or empty.
        recorded_correction: The correction of the best value as JSON, or empty.
    """

    store: Store
    folder: Path
    description: StudyDescription
    status: str
    trials: tuple[TrialRecord, ...]
    registered: Champion | None = None
    ended_by: str = ""
    stopped: str = ""
    keeps: int | None = None
    server: str = ""
    recorded_correction: str = ""

    def __repr__(self) -> str:
        """Returns one line: the study's name, engine, number of trials and best trial."""
        name, engine = self.description.name, self.description.engine
        text = f"<study {name!r} ({engine}): {len(self.trials)} trials"
        return f"{text}>" if self.best is None else f"{text}, best {self.best!r}>"

    @property
    def kept(self) -> list[EndedTrial]:
        """The trials whose checkpoints are kept, the best first."""
        return ranked(self.trials, self.description.objective)[: self.keeps]

    @property
    def ended(self) -> list[EndedTrial]:
        """The trials that have a result."""
        return [trial for trial in self.trials if isinstance(trial, EndedTrial)]

    @property
    def best(self) -> EndedTrial | None:
        """The best trial in `holding`, or None."""
        return next(iter(self.holding), None)

    @property
    def champion(self) -> EndedTrial | None:
        """The champion's trial, or None."""
        return next((trial for trial in self.ended if self.is_champion(trial)), None)

    @property
    def chosen(self) -> EndedTrial | None:
        """The champion's trial. Without a champion, the best trial."""
        return self.champion or self.best

    def is_champion(self, trial: TrialRecord) -> bool:
        """Returns whether the champion is a model of this trial."""
        return self.registered is not None and trial.uuid == self.registered.trial

    @property
    def promoted(self) -> str:
        """Why the champion was chosen; empty for the best trial."""
        return "" if self.registered is None else self.registered.reason

    @property
    def champion_address(self) -> str:
        """The champion's address in MLflow's registry; empty without a champion."""
        return f"models:/{self.description.name}@{ALIAS}" if self.registered is not None else ""

    @property
    def default(self) -> EndedTrial | None:
        """The trial with the default values of the space, if it has ended."""
        number = self.description.default_trial
        return next((trial for trial in self.ended if trial.number == number), None)

    def top(self, count: int) -> list[EndedTrial]:
        """Returns the best trials of `holding`, at most `count`."""
        return self.holding[: checks.whole_number("count", count, TrackingError, least=0)]

    def leading(self, count: int) -> list[EndedTrial]:
        """Returns the champion and the best other trials, at most `count` in all."""
        champion = [self.champion] if self.champion is not None else []
        others = [trial for trial in self.holding if not self.is_champion(trial)]
        return [*champion, *others][:count]

    @cached_property
    def holding(self) -> list[EndedTrial]:
        """The trials whose value counts, the best first.

        A trial with a value does not count if a second training, by plain `model.fit`, gave another
        result.
        """
        trials = ranked(self.trials, self.description.objective)
        return [trial for trial in trials if trial.holds]

    @property
    def hardware(self) -> tuple[str, ...]:
        """The classes of hardware on which the finished trials ran."""
        finished = finished_trials(self.trials)
        return tuple(dict.fromkeys(t.spec.hardware for t in finished if t.spec.hardware))

    def counts(self) -> dict[str, int]:
        """Returns the number of trials by state."""
        counts = dict.fromkeys(("complete", "pruned", "infeasible", "running", "interrupted"), 0)
        return counts | Counter(trial.state for trial in self.trials)

    def trial(self, number: int) -> TrialRecord:
        """Returns a trial by number.

        Raises:
            StudyNotFoundError: If no trial has the number.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        numbers = f"0 to {self.trials[-1].number}" if self.trials else "none"
        raise StudyNotFoundError(
            f"The study {self.description.name!r} has no trial {number}; it has {numbers}."
        )

    @cached_property
    def files(self) -> StudyFiles:
        """The paths of the trials' checkpoints, states and scores."""
        return files_of(self.folder)

    def checkpoint_faults(self, trial: EndedTrial) -> dict[int, str]:
        """Returns the faults of a trial's lost or damaged checkpoints, by the training's number."""
        faults = {
            repeat: checkpoint_fault(self.files.checkpoint(trial.number, repeat), digest)
            for repeat, digest in recorded_checkpoints(trial)
        }
        return {repeat: fault for repeat, fault in faults.items() if fault}

    @property
    def journal(self) -> JournalReader:
        """A reader of the study's journal."""
        return JournalReader(self.folder)

    def writing(self) -> Journal:
        """Opens the journal for writing. This process must hold the study's lock."""
        return Journal(self.folder, self.description)

    def checkpoint(self, trial: TrialRecord) -> Path | None:
        """Returns the path of a trial's checkpoint, or None if the file does not exist."""
        repeat = trial.checkpoint_of if isinstance(trial, EndedTrial) else 0
        path = self.files.checkpoint(trial.number, repeat)
        return path if path.exists() else None

    def model_uri(self, trial: TrialRecord) -> str | None:
        """Returns the champion's address, if this trial is the champion."""
        return self.champion_address if self.is_champion(trial) else None

    def curve(self, trial: TrialRecord) -> dict[int, dict[str, float]]:
        """Returns a trial's metrics by epoch."""
        return epoch_metrics(self.folder, trial)


def study_names(store: Store) -> list[str]:
    """Returns the names of the store's studies, the last launched first."""
    return [header.name for _, header in store.studies()]


def read_study(store: Store, name: str) -> StudyHistory:
    """Reads a study.

    Raises:
        StudyNotFoundError: If there is no such study.
        StoreError: If the study's journal can't be read.
    """
    history = find_study(store, checks.text("name", name, StudyNotFoundError))
    if history is None:
        raise _no_study(store, name)
    return history


def _no_study(store: Store, name: str) -> StudyNotFoundError:
    names, hint = study_names(store), "It is empty."
    if names:
        hint = near_match(name, names) or f"It has {quoted(names, most=_MOST_NAMES)}."
        hint += " All are listed by: kerastudy list"
    return StudyNotFoundError(f"The store {str(store.root)!r} has no study {name!r}", hint=hint)


def find_study(store: Store, name: str) -> StudyHistory | None:
    """Does the same as `read_study`, but returns None if the study does not exist."""
    folder = store.folder_of(name)
    return None if folder is None else read_folder(store, folder)


def read_folder(store: Store, folder: Path) -> StudyHistory:
    """Reads the study in a folder of the store."""
    with JournalReader(folder).held_open() as journal:
        study, champion = journal.study(), journal.champion()
        trials = latest_attempts(journal.attempts())
        server = journal.header().address
    running = study.status == "RUNNING"
    return StudyHistory(
        store=store,
        folder=folder,
        description=study.description,
        status=study.status,
        trials=tuple(trials),
        registered=champion,
        ended_by="" if running else study.ended_by,
        stopped="" if running else study.stopped,
        keeps=study.keeps,
        server=server,
        recorded_correction=study.corrected,
    )


def refreshed(history: StudyHistory) -> StudyHistory:
    """Reads a study again from its journal."""
    return read_folder(history.store, history.folder)


def read_code(history: StudyHistory, digest: str) -> CodeDescription:
    """Returns the recorded code of the trials whose `code_digest` is `digest`.

    If the study file's text is missing or damaged, `source` is empty. Modules whose texts are
    missing or damaged are not in `texts`.
    """
    code = replace(history.description.code, source="", texts={}, modules=None)
    if not digest:
        return replace(code, digest="", source_digest="")
    own, modules = digest, dict[str, str]()
    manifest = _sound(history.journal.code([digest])).get(digest, "")
    # If a study file imports the user's modules, `digest` is the digest of a manifest: a JSON text
    # with the digests of the study file and of the modules.
    try:
        fields = json.loads(manifest)
        own, modules = str(fields["source"]), dict(fields["modules"])
    except (ValueError, KeyError, TypeError):
        pass
    texts = _sound(history.journal.code([own, *modules.values()]))
    return replace(
        code,
        source=texts.get(own, ""),
        digest=digest,
        source_digest=own,
        modules=modules or None,
        texts={place: texts[key] for place, key in modules.items() if key in texts},
    )


def _sound(texts: Mapping[str, str]) -> dict[str, str]:
    """Returns the texts that match their digests."""
    return {digest: text for digest, text in texts.items() if sha256(text) == digest}


_COLUMNS = ("number", "state", "value", "epoch", "epochs", "started", "seconds", "seed", "reason")


def trials_table(history: StudyHistory) -> pd.DataFrame:
    """Returns a table with a row for each trial of a study, by number.

    Columns are named as in Optuna's `Study.trials_dataframe`:

    - ``number``, ``state``, ``value`` (the objective at the best epoch), ``epoch`` (the best epoch,
      from 1), ``epochs`` (how many were trained), ``started`` (UTC), ``seconds``, ``seed``,
      ``reason`` (why the trial is infeasible or ended early),
    - ``params_NAME`` for each hyperparameter; missing if it was not active in the trial,
    - ``metrics_NAME`` for each metric at the best epoch,
    - ``user_attrs_NAME`` for each attribute that an objective function set.
    """
    import pandas as pd

    names = history.description.space.names
    rows = [_row(trial, names) for trial in history.trials]
    further = {name for row in rows for name in row if name.startswith(("metrics_", "user_attrs_"))}
    columns = [*_COLUMNS, *(f"params_{name}" for name in names), *sorted(further)]
    table = pd.DataFrame(rows, columns=columns)
    table["started"] = pd.to_datetime(table["started"], unit="ms", utc=True)
    # "Int64" allows missing values.
    return table.astype({"epoch": "Int64", "value": "float64", "seconds": "float64"})


def _row(trial: TrialRecord, names: Iterable[str]) -> dict[str, Any]:
    result, metrics = trial.result, trial.best.metrics if trial.best is not None else {}
    noted = {} if result is None else result.user_attrs
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "epoch": trial.epoch,
        "epochs": 0 if result is None else result.epochs,
        "started": trial.started,
        "seconds": None if result is None else result.seconds,
        "seed": trial.spec.seed,
        "reason": "" if result is None else result.reason,
        **{f"params_{name}": trial.params.get(name) for name in names},
        **{f"metrics_{name}": value for name, value in metrics.items()},
        **{f"user_attrs_{key}": value for key, value in noted.items()},
    }


@dataclass(frozen=True)
class StudySize:
    """The size of a study, to show before the study is deleted."""

    name: str
    folder: Path
    trials: int
    bytes: int  # The size of all files in the folder.
    server: str  # The address of the MLflow server that has a copy of the study, or empty.


def study_size(store: Store, name: str) -> StudySize:
    """Returns the size of a study."""
    folder = store.folder_of(unicodedata.normalize("NFC", name))
    if folder is None:
        raise _no_study(store, name)
    journal = JournalReader(folder)
    header = journal.header()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return StudySize(header.name, folder, journal.trial_count(), size, header.address)


def delete_study(
    store: Store,
    size: StudySize,
    forgetting: Callable[[Store, StudySize], contextlib.AbstractContextManager[None]],
) -> None:
    """Deletes a study's folder. Raises StoreLockedError if a process runs the study.

    The folder is renamed before its files are deleted. So no process finds the study, even if the
    deletion is interrupted. The folder is renamed within the context `forgetting`, which deletes
    the study from MLflow.
    """
    with store.lock_study(size.folder, size.name):
        new_place = size.folder.with_name(f"deleted-{uuid.uuid4().hex[:8]}-{size.folder.name}")
        try:
            with forgetting(store, size):
                os.rename(size.folder / FILE_NAME, size.folder / DELETED)
                os.rename(size.folder, new_place)
            shutil.rmtree(new_place)
        except OSError as error:
            remains = new_place if new_place.exists() else size.folder
            raise StoreError(
                f"The files of the study {size.name!r} can't be deleted: {error}",
                hint=f"Delete the folder {str(remains)!r} yourself later.",
            ) from None

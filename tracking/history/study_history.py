"""Reading studies back from MLflow, with the code that their trials ran from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StoreError, StudyDeletedError, StudyNotFoundError
from tracking import tags
from tracking.history.curves import epoch_metrics
from tracking.history.trials import (
    best_trial,
    completed,
    holding,
    ranked,
    read_trials,
    with_joined,
)
from tracking.records import CodeDescription, EndedTrial, StudyDescription, TrialRecord
from tracking.runs.champion_versions import ALIAS, champion_version
from tracking.runs.parents import (
    in_trash,
    lost_parent,
    parent_runs,
    renamed_from,
    study_experiments,
)
from tracking.runs.run_contents import code_path, definition_path, digests_of_code
from tracking.runs.study_files import StudyFiles, files_of
from tracking.store.database import check_database
from tracking.store.folder import Store, known_names

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run


@dataclass(frozen=True, repr=False)
class StudyHistory:
    """A study under one engine, as recorded.

    Attributes:
        store: Where it is.
        description: Its definition.
        engines: All engines that the study was launched with, the latest last.
        experiment_id: MLflow's experiment of the study.
        parent_run_id: MLflow's parent run of the study under this engine.
        status: Status of the parent run.
        trials: Its trials by number, each as of its last attempt.
        champion_run_id: The run of the trial behind the registered champion, or empty.
        champion_engine: The engine that proposed it, or empty.
        promoted: Why it was chosen, if not as the best.
        champion_model: The name of that registered model, which is the study's unless one of the
            two was renamed; or empty.
        ended_by: Why its last launch ended, in one word: ``"trials"`` (all done), ``"space"``
            (everything was tried), ``"timeout"``, ``"stop_at"``, ``"patience"``, ``"interrupt"`` or
            ``"error"``; empty while it runs, or if it was killed.
        stopped: The same, for people to read.
        keeps: The smallest number of checkpoints that a launch kept, those of the best trials.
            None: all.
        server: The MLflow server that gets a copy, or empty.
        superseded: How many finished trainings of infeasible trials were repeated, and no longer
            count as infeasible.
    """

    store: Store
    description: StudyDescription
    engines: tuple[str, ...]
    experiment_id: str
    parent_run_id: str
    status: str
    trials: tuple[TrialRecord, ...]
    champion_run_id: str
    champion_model: str = ""
    ended_by: str = ""
    stopped: str = ""
    keeps: int | None = None
    server: str = ""
    champion_engine: str = ""
    promoted: str = ""
    superseded: int = 0

    def __repr__(self) -> str:
        """Returns one line: its name, engine, trials and best trial."""
        name, engine = self.description.name, self.description.engine
        told = f"<study {name!r} ({engine}): {len(self.trials)} trials"
        return f"{told}>" if self.best is None else f"{told}, best {self.best!r}>"

    @property
    def kept(self) -> list[EndedTrial]:
        """The trials whose checkpoints are kept, best first."""
        return ranked(self.trials, self.description.objective)[: self.keeps]

    @property
    def ended(self) -> list[EndedTrial]:
        """The trials that have a result."""
        return [trial for trial in self.trials if isinstance(trial, EndedTrial)]

    @property
    def best(self) -> EndedTrial | None:
        """The trial with the best validation epoch, without those that `model.fit` contradicts."""
        return best_trial(self.trials, self.description.objective)

    @property
    def champion(self) -> EndedTrial | None:
        """The trial behind the registered champion, if it is one of this engine."""
        return next((t for t in self.ended if t.run_id == self.champion_run_id), None)

    @property
    def default(self) -> EndedTrial | None:
        """The trial that has the space's defaults, if it has ended."""
        number = self.description.default_trial
        return next((trial for trial in self.ended if trial.number == number), None)

    def top(self, count: int) -> list[EndedTrial]:
        """Returns the best trials, best first, without those that `model.fit` contradicts."""
        return holding(self.trials, self.description.objective)[:count]

    def counts(self) -> dict[str, int]:
        """Returns the number of trials by state, and in total."""
        states: Counter[str] = Counter(trial.state for trial in self.trials)
        names = ("complete", "pruned", "infeasible", "running", "interrupted")
        return {**{name: states[name] for name in names}, "total": len(self.trials)}

    def trial(self, number: int) -> TrialRecord:
        """Returns a trial by number.

        Raises:
            StudyNotFoundError: If there is none.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        there = f"0 to {self.trials[-1].number}" if self.trials else "none"
        raise StudyNotFoundError(
            f"The study {self.description.name!r} has no trial {number}; it has {there}."
        )

    @cached_property
    def files(self) -> StudyFiles:
        """The folder of its trials' checkpoints and states."""
        return files_of(self.store, self.experiment_id, self.description.engine)

    def checkpoint(self, trial: TrialRecord) -> Path | None:
        """Returns the path of a trial's best weights, or None if they are not kept."""
        repeat = trial.checkpoint_of if isinstance(trial, EndedTrial) else 0
        path = self.files.checkpoint(trial.number, repeat)
        return path if path.exists() else None

    def model_uri(self, trial: TrialRecord) -> str | None:
        """Returns the address of the registered model, if this trial is the champion."""
        if trial.run_id != self.champion_run_id:
            return None
        return f"models:/{self.champion_model}@{ALIAS}"

    def curve(self, trial: TrialRecord) -> dict[int, dict[str, float]]:
        """Returns a trial's metrics by epoch."""
        return epoch_metrics(self.store, trial.run_id)


def study_names(store: Store) -> list[str]:
    """Returns the names of the store's studies, the one launched last first."""
    check_database(store.root / "mlflow.db")
    if not any((store.root / "mlartifacts").iterdir()):
        # A new store has none: MLflow need not start.
        return []
    studies = study_experiments(store)
    studies.sort(key=lambda e: int(e.tags.get(tags.LAUNCHED) or e.creation_time), reverse=True)
    return [experiment.name for experiment in studies]


def read_study(store: Store, name: str, engine: str | None = None) -> StudyHistory:
    """Reads a study, under one of its engines.

    By default that is the engine with the best trial of all, or the one that was launched last, if
    none has a value.

    Raises:
        StudyDeletedError: If it was deleted in MLflow, or its parent run was.
        StudyNotFoundError: If there is no such study, or it was not launched with this engine.
    """
    return best_of_engines(read_engines(store, name, engine))


def best_of_engines(histories: Sequence[StudyHistory]) -> StudyHistory:
    """Returns the history with the best trial; the first one, if no trial has a value."""
    best = best_trial([h.best for h in histories], histories[0].description.objective)
    return next((h for h in histories if best is not None and h.best is best), histories[0])


def read_engines(store: Store, name: str, engine: str | None = None) -> list[StudyHistory]:
    """Reads a study under each of its engines, or one; the one that was launched last first.

    Raises what `read_study` raises.
    """
    histories = find_engines(store, name, engine)
    if not histories:
        raise _not_found(store, name)
    return histories


def find_engines(store: Store, name: str, engine: str | None = None) -> list[StudyHistory]:
    """Does what `read_engines` does, but returns an empty list if there is no such study."""
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None:
        return []
    parents = _parents(store, experiment, engine)
    wanted = [engine] if parents and engine is not None else list(reversed(parents))
    return [_history(store, experiment, parents, each) for each in wanted]


def refreshed(history: StudyHistory, written: Collection[str]) -> StudyHistory:
    """Returns a study as it stands now: reads what was written, not its other trials again."""
    store, engine = history.store, history.description.engine
    experiment = store.client.get_experiment(history.experiment_id)
    parents = _parents(store, experiment, engine)
    if not parents:
        raise _not_found(store, experiment.name)
    return _history(store, experiment, parents, engine, history, written)


def read_source(history: StudyHistory, digest: str) -> str:
    """Returns the text of the study file that trials ran from, or an empty text."""
    return read_code(history, digest).source


def read_code(history: StudyHistory, digest: str) -> CodeDescription:
    """Returns the code that trials ran from, by its digest.

    Missing or damaged texts of modules are left out; that of the file itself is then empty.
    """
    code = replace(history.description.code, source="", texts={}, modules=None)
    if not digest:
        return replace(code, digest="", source_digest="")
    store = history.store
    parent = store.client.get_run(history.parent_run_id)
    own, modules = digests_of_code(store, parent, digest)
    found = {place: _read_text(store, parent, each) for place, each in modules.items()}
    return replace(
        code,
        source=_read_text(store, parent, own),
        digest=digest,
        source_digest=own,
        modules=modules or None,
        texts={place: text for place, text in found.items() if text},
    )


def _parents(store: Store, experiment: Experiment, engine: str | None) -> dict[str, Run]:
    """Returns a study's parent runs by engine, among them that of one engine; or none at all."""
    if experiment.lifecycle_stage == "deleted":
        raise StudyDeletedError(in_trash(store, experiment))
    parents = parent_runs(store, experiment.experiment_id)
    if not parents or engine not in (None, *parents):
        lost = lost_parent(store, experiment, engine)
        if lost:
            raise StudyDeletedError(lost)
        if parents:
            raise StudyNotFoundError(
                f"The study {experiment.name!r} was not launched with the engine {engine!r}, "
                f"but with {', '.join(parents)}."
            )
    return parents


def _history(
    store: Store,
    experiment: Experiment,
    parents: Mapping[str, Run],
    engine: str,
    before: StudyHistory | None = None,
    written: Collection[str] | None = None,
) -> StudyHistory:
    """Reads a study under one of its engines: all of it, or what was written since before."""
    parent = parents[engine]
    known = () if before is None else before.trials
    trials, superseded = read_trials(
        store, experiment.experiment_id, parent.info.run_id, known, written
    )
    recorded = replace(_read_description(store, parent), name=experiment.name)
    description = with_joined(recorded, trials)
    if description.discovered:
        trials = [completed(trial, description.space) for trial in trials]
    champion = champion_version(store.client, experiment.name, experiment.experiment_id)
    return StudyHistory(
        store=store,
        description=description,
        engines=tuple(parents),
        experiment_id=experiment.experiment_id,
        parent_run_id=parent.info.run_id,
        status=parent.info.status,
        trials=tuple(trials),
        champion_run_id="" if champion is None else champion.tags.get(tags.CHAMPION_RUN, ""),
        champion_model="" if champion is None else champion.name,
        champion_engine="" if champion is None else champion.tags.get(tags.ENGINE, ""),
        promoted="" if champion is None else champion.tags.get(tags.PROMOTED, ""),
        ended_by=_while_ended(parent, tags.ENDED_BY),
        stopped=_while_ended(parent, tags.STOPPED),
        keeps=tags.read_count(parent.data.tags.get(tags.KEPT), description.keep),
        server=experiment.tags.get(tags.SERVER, "").removeprefix(tags.NO_SERVER),
        superseded=superseded + (0 if before is None else before.superseded),
    )


def _not_found(store: Store, name: str) -> StudyNotFoundError:
    missing = f"The store {str(store.root)!r} has no study {name!r}."
    renamed = renamed_from(store, name)
    if renamed:
        return StudyNotFoundError(
            f"{missing} It was renamed, to {' and '.join(map(repr, renamed))}."
        )
    return StudyNotFoundError(f"{missing} {known_names(name, study_names(store))}")


def _read_description(store: Store, parent: Run) -> StudyDescription:
    path = definition_path(store, parent)
    try:
        return StudyDescription.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"The study's definition {str(path)!r} cannot be read ({error}). "
            "`kerastudy doctor --fix` makes it again from the run's tags; else restore the file "
            "from a backup, or launch the study under another name with --name."
        ) from None


def _while_ended(parent: Run, tag: str) -> str:
    # The value of the last launch stays while the next one runs.
    return "" if parent.info.status == "RUNNING" else parent.data.tags.get(tag) or ""


def _read_text(store: Store, parent: Run, digest: str) -> str:
    path = code_path(store, parent, digest)
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    # A damaged file counts as missing.
    return content.decode() if hashlib.sha256(content).hexdigest() == digest else ""

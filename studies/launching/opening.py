"""Opens a study for a launch: checks its store, takes its lock and reads its record, once.

All later steps of the launch use this record: while this process holds the study, no other changes
it.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studies.executors.executor import Executor
from studies.launching.launch_options import LaunchOptions
from studies.launching.mirroring import server_for
from studies.launching.retrying import report_infeasible
from studies.launching.starting_values import starting_values
from studies.progress import Progress
from studies.running.definitions import (
    check_complete,
    check_definition,
    check_unchanged,
    differences,
    warnings_of,
    with_defaults_of,
    with_lag,
)
from tracking.history.study_history import StudyHistory, best_of_engines, find_engines, read_study
from tracking.history.trials import with_joined
from tracking.mirror import check_free
from tracking.records import FINISHED_STATES, StudyDescription
from tracking.runs.experiments import make_experiment, take_folder
from tracking.runs.parents import check_parents, renamed_from
from tracking.runs.study_runs import StudyRuns
from tracking.store.database import check_sound
from tracking.store.folder import Store, check_writable, create_store, open_store, real_folder


@dataclass(frozen=True)
class HeldStudy:
    """A study that this process holds, as recorded.

    Attributes:
        store: Its store.
        name: Its name.
        experiment_id: MLflow's experiment of it.
        server: The MLflow server that gets it too, or None.
        before: The study under its present engine; None if it is new.
        others: The study under its other engines, the one that was launched last first.
        initial: The values that it starts with.
    """

    store: Store
    name: str
    experiment_id: str
    server: str | None
    before: StudyHistory | None
    others: Sequence[StudyHistory]
    initial: Sequence[Mapping[str, Any]]

    @property
    def known(self) -> StudyHistory | None:
        """The study under its present engine, or else under the one with the best trial."""
        return self.before or (best_of_engines(self.others) if self.others else None)

    @property
    def threads(self) -> int | None:
        """The threads of its trials, which further trials have too; None if it has no record."""
        return None if self.known is None else self.known.description.threads

    def finished(self, retry_infeasible: bool) -> int:
        """Returns how many trials need not be trained any more."""
        trials = () if self.before is None else self.before.trials
        again = "infeasible" if retry_infeasible else None
        return sum(trial.state in FINISHED_STATES and trial.state != again for trial in trials)


def check_store(place: Path) -> Store | None:
    """Opens the store in a folder to write into it; returns None if there is none yet.

    Raises:
        StoreError: If it can't be written or is damaged.
    """
    check_writable(real_folder(place))
    opened = open_store(place)
    if opened is not None:
        check_sound(opened.root / "mlflow.db")
    return opened


@contextlib.contextmanager
def held_study(
    existing: Store | None,
    description: StudyDescription,
    options: LaunchOptions,
    progress: Progress,
    prepared: Path | None = None,
) -> Iterator[HeldStudy]:
    """Holds a study while it runs, after checking everything that can be wrong with it.

    ``prepared`` is the folder that `prepare_store` made for a new store.

    Raises:
        StudyError: If the study can't run as it is defined.
        TrackingError: If it can't be recorded, or another process holds it.
    """
    name = description.name
    check_definition(description)
    progress.say_all(description.code.said)
    for warning in warnings_of(description):
        progress.say(f"warning: {warning}")
    initial = starting_values(description, existing, progress)
    server = server_for(existing, name, options.tracking_uri)
    if server is not None:
        check_free(existing, name, server)
    store = create_store(options.place, prepared)
    # The lock is that of the experiment, which may be renamed while it runs.
    experiment_id = make_experiment(store, name)
    with store.lock_study(name, experiment_id):
        histories = find_engines(store, name)
        if not histories and existing is not None:
            _report_renamed(store, name, progress)
        engine = description.engine
        before = next((h for h in histories if h.description.engine == engine), None)
        if before is None or not _any_finished(before):
            # A new parent run's trials would overwrite those of a deleted one.
            check_parents(store, experiment_id, engine)
        others = [history for history in histories if history is not before]
        yield HeldStudy(store, name, experiment_id, server, before, others, initial)


def open_runs(
    held: HeldStudy, executor: Executor, description: StudyDescription, progress: Progress
) -> tuple[StudyRuns, StudyHistory]:
    """Makes or opens a study's runs.

    Returns:
        Its runs, and the recorded study under its present engine.

    Raises:
        StudyError: If its definition has changed, or trials are missing in the record.
    """
    store, before = held.store, held.before
    description = replace(description, initial=held.initial)
    if held.known is not None:
        description, kept = with_defaults_of(description, held.known)
        if kept:
            progress.say(f"note: defaults stay as the study was begun: {', '.join(kept)}")
    check_unchanged(held.known, description)
    take_folder(store, held.experiment_id, progress.say)
    if before is not None:
        asked = description.lag
        description = with_lag(with_joined(description, before.trials), before)
        if description.lag not in (0, asked):
            progress.say(f"proposed as by {description.lag} workers, as the study was begun")
        if differences(before.description, description) or (
            before.description.lag != description.lag
        ):
            # Nothing was finished under the old definition (see check_unchanged).
            _runs(before, before.description).close_left_over(before.trials)
            before = None
    if before is None:
        runs = StudyRuns.create(store, description, executor.environment)
        return runs, read_study(store, held.name, description.engine)
    if before.trials:
        # Its trials were numbered by it.
        description = replace(description, try_defaults=before.description.try_defaults)
    runs = _runs(before, description)
    changed = description.code.changes_since(before.description.code)
    if changed:
        progress.say(
            "warning: the study's code has changed since it was last launched "
            f"({', '.join(changed)}); trials before and after may not compare. To start a new "
            "study, give another name with --name."
        )
        report_infeasible(before.trials, progress)
    runs.write_definition()
    runs.close_left_over(before.trials)
    check_complete(before)
    return runs, before


def _report_renamed(store: Store, name: str, progress: Progress) -> None:
    """Reports that a study of this name was renamed, and that a new one begins."""
    for now in renamed_from(store, name):
        progress.say(
            f"note: the study {name!r} was renamed to {now!r} in MLflow; a new study {name!r} "
            f"begins. To resume the renamed one: --name {shlex.quote(now)}"
        )


def _any_finished(history: StudyHistory) -> bool:
    return any(trial.state in FINISHED_STATES for trial in history.trials)


def _runs(history: StudyHistory, description: StudyDescription) -> StudyRuns:
    return StudyRuns(history.store, history.experiment_id, history.parent_run_id, description)

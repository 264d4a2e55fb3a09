"""Checks the study of a launch before its first trial, locks the study, and opens its journal.

The checks compare the study's definition with its engine and with its record. While this process
has the lock, no other process changes the record. The user, the journal or the environment may name
an MLflow server that also gets the study.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyChangedError
from search_spaces.texts import counted
from studies.data import path_in
from studies.definition import (
    FACTOR,
    HYPERBAND,
    LaunchOptions,
    StudyDefinition,
    hyperband_trials,
    split_options,
)
from studies.engines import check_engine_serves
from studies.launching.values_to_start_with import starting_values
from studies.progress import Progress
from tracking.history import StudyHistory, read_folder, refreshed
from tracking.journal import FILE_NAME, OFF, Journal, JournalReader, check_sound
from tracking.mlflow import Exporter, check_server, server_of_environment
from tracking.records import FINISHED_STATES, StudyDescription, TrialRecord, option_of, settings_of
from tracking.store import (
    Store,
    check_writable,
    create_store,
    files_of,
    open_store,
    real_folder,
)


def check_definition(description: StudyDescription) -> None:
    """Raises EngineError if a study's engine or pruner can't serve the study."""
    check_engine_serves(
        description.engine, description.pruner, description.space, most_epochs(description)
    )


def warnings_of(description: StudyDescription) -> list[str]:
    """Returns the warnings that are shown before a study runs."""
    warnings = list(description.warnings)
    for name in ("epochs", "batch_size"):
        value = getattr(description, name)
        of_trainings = name in description.space and not description.objective_function
        if of_trainings and value != getattr(StudyDefinition, name):
            warnings.append(
                f"the study's {name}={value} has no effect, as each trial takes {name!r} from the "
                f"search space. To give all trials {value}, use --set {name}={value}."
            )
    engine, options = split_options(description.engine)
    if engine == HYPERBAND:
        factor = int(options.get("factor", FACTOR))
        round_of_brackets = hyperband_trials(description.epochs, factor)
        if description.trials < round_of_brackets:
            warnings.append(
                f"Hyperband needs {round_of_brackets} trials to go once through its brackets at "
                f"{description.epochs} epochs, and this study has {description.trials}: few or "
                f"none train to the end. Use --trials {round_of_brackets} or more."
            )
    return warnings


def check_unchanged(before: StudyHistory | None, now: StudyDescription) -> None:
    """Raises StudyChangedError if a study with finished trials has another definition now."""
    if before is None:
        return
    changes = differences(before.description, now)
    if changes and any(trial.state in FINISHED_STATES for trial in before.trials):
        listed = "; ".join(change.removesuffix(".") for change in changes)
        raise StudyChangedError(
            f"The study {now.name!r} is recorded with another definition: {listed}",
            hint="To resume it, undo the change. Or start a new study under another name, with "
            "--name.",
        )


def hardware_warning(before: StudyHistory | None, now: StudyDescription) -> str:
    """Returns a warning if the study has trials of another class of hardware, or "".

    Results are bit for bit the same only within a class of hardware.
    """
    other = [kind for kind in (before.hardware if before else ()) if kind != now.hardware]
    if not other or not now.hardware:
        return ""
    return (
        f"warning: trials of this study ran on other hardware ({'; '.join(other)}). This machine's "
        f"hardware ({now.hardware}) gives results with other bits. Each trial's record says its "
        "hardware."
    )


def differences(before: StudyDescription, now: StudyDescription) -> list[str]:
    """Returns the differences between two definitions, as texts.

    Only differences that make the trials incomparable are included.
    """
    changes = before.space.differences(now.space)
    if before.data.digest != now.data.digest:
        old, new = before.data.digests, now.data.digests
        parts = [part for part in {**old, **new} if old.get(part) != new.get(part)]
        why = _unlike_data(now) if before.code.digest else ""
        if code := now.code.changes_since(before.code):
            why = f", and so does the code: {', '.join(code)}"
        changes.append(f"the data differs ({', '.join(parts) or 'order'}){why}")
    for name, setting in settings_of(StudyDefinition).items():
        if setting.another_study:
            was, is_now, undo = getattr(before, name), getattr(now, name), ""
            if was != is_now:
                text = before.initial_from if name == "initial" else str(was)
                # The option --folds takes a number, not another kind of split.
                if text and setting.section and (setting.reads is not int or text.isdigit()):
                    undo = f" (to undo: {option_of(name, setting)} {shlex.quote(text)})"
                changes.append(f"{name} was {_shown(was)} and is {_shown(is_now)}{undo}")
    return changes


def most_epochs(description: StudyDescription) -> int:
    """Returns the most epochs that a trial of a study can train."""
    if "epochs" not in description.space or description.objective_function:
        return description.epochs
    values = description.space["epochs"].grid_values() or [description.epochs]
    return int(max(values))


def _unlike_data(now: StudyDescription) -> str:
    """Returns a text that says why the data may have changed although the code is the same."""
    source = path_in(now.data.override) or now.data.source
    if Path(source).exists():
        what = "folder" if Path(source).is_dir() else "file"
        return f": the {what} {source!r} has changed"
    return (
        ", though the study's file is the same: either a file that it reads, such as a CSV file, "
        "has changed, or it draws or shuffles samples without a seed"
    )


def _shown(value: object) -> str:
    metric, direction = getattr(value, "metric", None), getattr(value, "direction", None)
    return f"{direction} {metric}" if metric else repr(value)


@dataclass(frozen=True)
class LockedStudy:
    """A study that this process has locked, as it was recorded before this launch.

    Attributes:
        store: The store.
        folder: The study's folder.
        server: The MLflow server that also gets the study, or None.
        before: The record of the study; None if there is no record yet.
        initial: The hyperparameters of the study's first trials.
    """

    store: Store
    folder: Path
    server: str | None
    before: StudyHistory | None
    initial: Sequence[Mapping[str, Any]]

    @property
    def threads(self) -> int | None:
        """The number of TensorFlow's threads in the recorded trials; None if there is no record.

        New trials use the same number, because the bits of results depend on it.
        """
        return None if self.before is None else self.before.description.threads

    def finished(self, retry_infeasible: bool) -> int:
        """Returns the number of finished trials.

        With `retry_infeasible`, infeasible trials don't count, because they are trained again.
        """
        trials = () if self.before is None else self.before.trials
        again = "infeasible" if retry_infeasible else None
        return sum(trial.state in FINISHED_STATES and trial.state != again for trial in trials)


def check_store(place: Path) -> Store | None:
    """Opens the store in a folder for writing; returns None if there is no store yet."""
    check_writable(real_folder(place))
    return open_store(place)


@contextlib.contextmanager
def lock_study(
    existing: Store | None,
    description: StudyDescription,
    options: LaunchOptions,
    progress: Progress,
) -> Iterator[LockedStudy]:
    """Checks a study's definition and its store, and yields the study, locked in this context.

    Raises an error if the study's journal is damaged.
    """
    name = description.name
    check_definition(description)
    warnings = [f"warning: {warning}" for warning in warnings_of(description)]
    for message in (*description.code.said, *warnings):
        progress.say(message)
    initial = starting_values(description, existing, progress)
    server = server_for(existing, name, options.tracking_uri)
    store = create_store(options.place)
    folder = store.folder_of(name) or store.new_folder(name)
    with store.lock_study(folder, name):
        before = None
        if (folder / FILE_NAME).exists():
            check_sound(folder / FILE_NAME)
            before = read_folder(store, folder)
        yield LockedStudy(store, folder, server, before, initial)


def open_journal(
    study: LockedStudy, description: StudyDescription, progress: Progress
) -> tuple[Journal, StudyHistory]:
    """Makes or opens a study's journal. Returns the journal, and the recorded study."""
    store, before = study.store, study.before
    description = replace(description, initial=study.initial)
    check_unchanged(before, description)
    if before is not None and differences(before.description, description):
        # No trial has finished under the old definition, or `check_unchanged` would have raised
        # an error. So a new record can begin.
        before = None
    if before is None:
        journal = Journal.begin(study.folder, description)
        return journal, read_folder(store, study.folder)
    if before.trials:
        # `try_defaults` stays as it was, because otherwise the values in `initial` would get other
        # trial numbers.
        description = replace(description, try_defaults=before.description.try_defaults)
    journal = Journal(study.folder, description)
    changed = description.code.changes_since(before.description.code)
    if changed:
        progress.say(
            "warning: the study's code has changed since it was last launched "
            f"({', '.join(changed)}); trials from before and after the change may not be "
            "comparable. To start a new study, give another name with --name."
        )
        infeasible = sum(trial.state == "infeasible" for trial in before.trials)
        if infeasible:
            which = counted(infeasible, "infeasible trial")
            progress.say(f"--retry-infeasible trains {which} again")
    journal.write_definition(description)
    journal.end_left_over()
    return journal, refreshed(before)


def infeasible_as_interrupted(
    journal: Journal, recorded: Sequence[TrialRecord], progress: Progress
) -> tuple[TrialRecord, ...]:
    """Returns the recorded trials, with the infeasible ones in the state "interrupted".

    The launch then trains these trials again, with the same numbers and values. The journal keeps
    the former attempts, which count until the new attempts begin.
    """
    infeasible = {trial.number for trial in recorded if trial.state == "infeasible"}
    if infeasible:
        progress.say(f"training {counted(len(infeasible), 'infeasible trial')} again")
    files = files_of(journal.folder)
    for number in infeasible:
        for repeat in range(journal.description.trainings):
            # The study's former code may have written this state, so it is not used.
            files.state(number, repeat).unlink(missing_ok=True)
    return tuple(_interrupted(t) if t.number in infeasible else t for t in recorded)


def _interrupted(trial: TrialRecord) -> TrialRecord:
    """Returns a trial in the state "interrupted", without a result, and with 0 `losses`."""
    fields = {field.name: getattr(trial, field.name) for field in dataclasses.fields(TrialRecord)}
    return TrialRecord(**{**fields, "state": "interrupted", "result": None, "losses": 0})


def server_for(store: Store | None, name: str, choice: str | None) -> str | None:
    """Returns the address of the MLflow server that also gets a study, or None.

    `choice` is the user's choice: an address, or ``"off"`` for no server from now on. If it is
    None, the study keeps the server of its last launch. If no launch had a server, the environment
    variable ``MLFLOW_TRACKING_URI`` may name one.
    """
    if choice is not None:
        address: str | None = check_server(choice)
    else:
        folder = None if store is None else store.folder_of(name)
        address = "" if folder is None else JournalReader(folder).header().server
        address = address or server_of_environment()
    return None if address == OFF else address


def exporter_of(
    study: LockedStudy, journal: Journal, progress: Progress, *, report: bool
) -> Exporter:
    """Returns the process that exports the study to MLflow while it runs and at its end.

    The next launch uses the same MLflow server, or none if this launch has none.
    """
    recorded, server = JournalReader(study.folder).header().server, study.server or OFF
    if recorded != server and (recorded or study.server):
        journal.set_server(server)
    if study.server is not None:
        progress.say(f"this study is also sent to the MLflow server {study.server}")
    return Exporter(study.folder, progress.say, report=report)

"""Checks a study's definition: its engine, its warnings, and its changes since the last launch."""

from __future__ import annotations

from pathlib import Path

from search_spaces.errors import StudyChangedError
from studies.data import path_in
from studies.definition import (
    FACTOR,
    HYPERBAND,
    StudyDefinition,
    hyperband_trials,
    split_options,
)
from studies.engines import check_engine_serves
from tracking.history.study_history import StudyHistory
from tracking.records import FINISHED_STATES, StudyDescription, settings_of


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
            was, is_now = getattr(before, name), getattr(now, name)
            if was != is_now:
                changes.append(f"{name} was {_shown(was)} and is {_shown(is_now)}")
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

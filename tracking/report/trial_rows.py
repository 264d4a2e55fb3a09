"""The tables of a study's page: its trials, and the small print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tracking.history.reasons import reasons
from tracking.records import TrialRecord
from tracking.records.checks import REPRODUCED
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.report.formats import count, duration, number, value_text
from tracking.report.trial_data import StudyData, shown_trials

_GAP, _EPOCHS = "gap", "epochs trained"
_NUMBERS_SHOWN = 12


def table_columns(data: StudyData) -> list[str]:
    """Returns the names of the table's columns."""
    training = [data.training_metric, _GAP] if data.training_metric else []
    metric = data.history.description.objective.metric
    names = [axis.name for axis in data.axes]
    trials = data.history.trials
    epochs = ["best epoch"] if any(trial.epoch is not None for trial in trials) else []
    trained = [] if all(t.result and t.result.of_no_epoch for t in trials) else [_EPOCHS]
    reasons = ["reason"] if any(t.result and t.result.reason for t in trials) else []
    return [
        "trial",
        "state",
        metric,
        *training,
        *epochs,
        *trained,
        "time",
        *names,
        *reasons,
    ]


def table_rows(data: StudyData) -> Iterator[list[str]]:
    """Yields a row of texts for each trial, the best first; empty where there is nothing."""
    columns = table_columns(data)
    gaps = dict(zip(data.trials["trial"], data.trials["gap"], strict=True)) if data.trials else {}
    for trial in shown_trials(data):
        result, best = trial.result, trial.best
        which = ", defaults" if trial.number == data.history.description.default_trial else ""
        which += ", reproduced" if trial.verified.startswith(REPRODUCED) else ""
        row = [
            str(trial.number),
            (trial.state if trial.holds else "contradicted by model.fit") + which,
            "" if best is None else number(best.value, 5),
        ]
        if data.training_metric:
            value = None if best is None else best.metrics.get(data.training_metric)
            row.append("" if value is None else number(value, 5))
            gap = None if value is None else gaps[trial.number]
            row.append("" if gap is None else number(gap, 3))
        if "best epoch" in columns:
            row.append("" if trial.epoch is None else str(trial.epoch))
        if _EPOCHS in columns:
            row.append("" if result is None else str(result.epochs))
        row += [
            "" if result is None else duration(result.seconds),
            *(_value(trial, axis.name) for axis in data.axes),
        ]
        if columns[-1] == "reason":
            row.append("" if result is None else result.reason[:300])
        yield row


def _value(trial: TrialRecord, name: str) -> str:
    return value_text(trial.params[name]) if name in trial.params else ""


def details(data: StudyData) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns the last sections of the page: a heading, a sentence, and texts by name."""
    description, trials = data.history.description, data.history.trials
    found, of_function = description.data, description.objective_function
    best = data.ranked[0] if data.ranked else None
    folds = found.details.get("folds", ())
    listed = {
        "Data set": f"{found.name} ({found.source})" if found.source else found.name,
        **{f"{part} samples": f"{size:,}" for part, size in found.sizes.items()},
        **{
            f"Fold {place}": f"{fold['train']:,} to train, {fold['validation']:,} to validate"
            for place, fold in enumerate(folds, start=1)
        },
        **{name: value for name, value in found.details.items() if name != "folds"},
        "SHA-256 of the data": found.digest,
        **{f"SHA-256 of {part}": digest for part, digest in found.digests.items()},
    }
    crossed = f"{description.folds} folds: {description.cross_validation}"
    defined = {
        "Objective": f"{description.objective.direction} {description.objective.metric}",
        "Engine": description.engine,
        "Pruner": description.pruner,
        "Trials": f"{description.trials:,}",
        "Cross-validation": crossed if description.folds else "",
        "Repeats": None if description.folds else description.repeats,
        "Objective function": of_function,
        "Epochs": None if of_function else description.epochs,
        "Batch size": None if of_function else description.batch_size,
        "Seed": description.seed,
        "Threads per trial": description.threads,
        "Hardware": DIFFERENT_HARDWARE
        if description.hardware == ANY_HARDWARE
        else description.hardware,
    }
    # A hyperparameter may have the name of a setting.
    space = [(parameter.name, repr(parameter)) for parameter in description.space]
    digests = {
        "Study file": description.code.path or "none",
        "SHA-256 of the code": description.code.digest or "none",
        "SHA-256 of the space": description.space.digest,
    }
    ran = {
        **{name: text for name, text in (trials[-1].environment if trials else {}).items() if text},
        **(
            {f"SHA-256 of trial {best.number}'s weights": best.result.weights_sha256}
            if best
            else {}
        ),
    }
    why = [
        (
            f"{each.kind}: {count(len(each.trials), 'trial')}",
            f"{each.text} ({_numbers(each.trials)})",
        )
        for each in reasons(trials)
    ]
    parts = [
        ("Why trials ended early", "", why),
        ("Data", "", _told(listed)),
        ("Definition", "", [*_told(defined), *space, *_told(digests)]),
        ("Environment", "Of the trial that began last.", _told(ran)),
    ]
    return [part for part in parts if part[2]]


def _told(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Returns values as texts by name; what is missing is left out."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
        if value not in (None, "")
    ]


def _numbers(trials: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, trials[:_NUMBERS_SHOWN]))
    more = len(trials) - _NUMBERS_SHOWN
    return f"trial {shown}" if more <= 0 else f"trial {shown} and {more} more"

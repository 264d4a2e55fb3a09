"""The small print of a study's page: data, definition, environment, digests."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tracking.history.reasons import reasons
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

_NUMBERS_SHOWN = 12


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
        **{parameter.name: repr(parameter) for parameter in description.space},
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
        ("Definition", "", _told(defined)),
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

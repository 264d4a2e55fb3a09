"""The small print of a study's page: data, definition, environment, digests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tracking.history.reasons import reasons
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

_NUMBERS_SHOWN = 12


def details(data: StudyData) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns the last sections of the page: a heading, a sentence, and texts by name."""
    description = data.history.description
    found = description.data
    listed = [
        ("Data set", f"{found.name} ({found.source})" if found.source else found.name),
        *((f"{part} samples", f"{size:,}") for part, size in found.sizes.items()),
        *_folds(found.details.get("folds", ())),
        *(
            (name, _plain(value))
            for name, value in found.details.items()
            if value is not None and name != "folds"
        ),
        *([("SHA-256 of the data", found.digest)] if found.digest else []),
        *((f"SHA-256 of {part}", digest) for part, digest in found.digests.items()),
    ]
    defined = [
        ("Objective", f"{description.objective.direction} {description.objective.metric}"),
        ("Engine", description.engine),
        ("Pruner", description.pruner),
        ("Trials", f"{description.trials:,}"),
        *(
            [("Cross-validation", f"{description.folds} folds: {description.cross_validation}")]
            if description.folds
            else [("Repeats", str(description.repeats))]
        ),
        *(
            [("Objective function", description.objective_function)]
            if description.objective_function
            else [
                ("Epochs", str(description.epochs)),
                ("Batch size", str(description.batch_size)),
            ]
        ),
        ("Seed", str(description.seed)),
        ("Threads per trial", str(description.threads)),
        *_hardware(description.hardware),
        *((parameter.name, repr(parameter)) for parameter in description.space),
        ("Study file", description.code.path or "none"),
        ("SHA-256 of the code", description.code.digest or "none"),
        ("SHA-256 of the space", description.space.digest),
    ]
    last = data.history.trials[-1].environment if data.history.trials else {}
    ran = [(name, str(text)) for name, text in last.items() if text]
    best = data.ranked[0] if data.ranked else None
    if best is not None and best.result.weights_sha256:
        ran.append((f"SHA-256 of trial {best.number}'s weights", best.result.weights_sha256))
    why = [
        (
            f"{each.kind}: {count(len(each.trials), 'trial')}",
            f"{each.text} ({_numbers(each.trials)})",
        )
        for each in reasons(data.history.trials)
    ]
    parts = [
        ("Why trials ended early", "", why),
        ("Data", "", listed),
        ("Definition", "", defined),
        ("Environment", "Of the trial that began last.", ran),
    ]
    return [part for part in parts if part[2]]


def _folds(folds: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Returns the samples of each fold."""
    return [
        (f"Fold {place}", f"{fold['train']:,} for training, {fold['validation']:,} for validation")
        for place, fold in enumerate(folds, start=1)
    ]


def _numbers(trials: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, trials[:_NUMBERS_SHOWN]))
    more = len(trials) - _NUMBERS_SHOWN
    return f"trial {shown}" if more <= 0 else f"trial {shown} and {more} more"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hardware(name: str) -> list[tuple[str, str]]:
    """Returns the row of the class of hardware, which older records lack."""
    return [("Hardware", DIFFERENT_HARDWARE if name == ANY_HARDWARE else name)] if name else []

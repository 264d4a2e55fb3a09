"""Batch size: tuned for its value, though it decides the speed?"""

from __future__ import annotations

import statistics
from typing import Any, Final

from search_spaces.parameters.kinds import Float, Int, Parameter
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import difference, shown
from tracking.records import EndedTrial

_NAME: Final = "batch_size"
_LEAST: Final = 3
_FASTER: Final = 1.5
_MOST_SIZES: Final = 12


def batch_size(study: DiagnosedStudy) -> Finding | None:
    """Finds the largest batch size that fits and is faster.

    Deep Learning Tuning Playbook, "Choosing the batch size": "The batch size should not be treated
    as a tunable hyperparameter for validation set performance"; "often, the ideal batch size will
    be the largest batch size supported by the available hardware"; and if the throughput increases
    only up to some batch size, "we should only consider batch sizes up to that maximum".

    What fits is what trained; the throughput is that of a trial, epochs by seconds, start-up and
    checks included. Silent unless the batch size is searched, and the largest is faster than the
    smallest by half, as seconds of short trials are uncertain.

    Raises:
        TooThinError: If fewer than two batch sizes have three trials each.
    """
    parameter = next((p for p in study.varying if p.name == _NAME), None)
    if parameter is None:
        return None
    by_size = _by_size(study, parameter)
    if len(by_size) < 2:
        raise TooThinError(f"two batch sizes need {_LEAST} trials each with a value.")
    seconds = {
        size: statistics.median(t.result.seconds / max(_epochs(t), 1) for t in trials)
        for size, trials in by_size.items()
    }
    memory = {
        size: max(t.result.peak_memory_bytes for t in trials) for size, trials in by_size.items()
    }
    smallest, largest = min(seconds), max(seconds)
    # The smallest of those that are as fast as the fastest, but for a tenth.
    fastest = min(seconds.values())
    useful = min(size for size, each in seconds.items() if each <= 1.1 * fastest)
    too_large = sorted(
        {
            int(trial.params[_NAME])
            for trial in study.infeasible
            if _NAME in trial.params and "memory" in trial.result.reason
        }
    )
    evidence: dict[str, Any] = {
        "seconds per epoch": seconds,
        "peak memory in bytes": memory,
        "out of memory at": too_large,
    }
    if seconds[smallest] < _FASTER * seconds[useful]:
        return None
    fits = f"; {shown(too_large[0])} did not fit" if too_large else ""
    peak = f", {memory[useful] / 2**30:.2g} GiB at its peak" if memory[useful] else ""
    return Finding(
        "batch size",
        "hint",
        "The batch size decides the speed: fix it",
        f"An epoch takes {difference(seconds[smallest])} s at {smallest}, and "
        f"{difference(seconds[useful])} s at {useful}{peak}"
        f"{f', the largest tried being {largest}' if largest != useful else ''}{fits}.",
        f"Fix it at {useful}, and search the learning rate again: with well-tuned rates and enough "
        "steps, other sizes reach no better values.",
        evidence=evidence,
        parameter=_NAME,
        changes=Changes({_NAME: str(useful)}),
        rows=tuple(
            {"batch_size": str(size), "seconds": seconds[size], "memory": memory[size]}
            for size in sorted(seconds)
        ),
    )


def _by_size(study: DiagnosedStudy, parameter: Parameter) -> dict[int, list[EndedTrial]]:
    """Returns trials by batch size; of a range, by the value in the middle of each quarter."""
    found: dict[int, list[EndedTrial]] = {}
    for trial in study.ranked:
        if not parameter.contains(trial.params.get(_NAME)):
            continue
        size = int(trial.params[_NAME])
        if isinstance(parameter, Float | Int) and (parameter.count or 0) > _MOST_SIZES:
            quarter = min(int(parameter.to_unit(size) * 4), 3)
            size = int(parameter.from_unit((quarter + 0.5) / 4))
        found.setdefault(size, []).append(trial)
    return {size: trials for size, trials in found.items() if len(trials) >= _LEAST}


def _epochs(trial: EndedTrial) -> int:
    repeats = [repeat.epochs for repeat in trial.result.repeats] or [trial.result.epochs]
    return sum(max(epochs - trial.spec.initial_epoch, 0) for epochs in repeats)

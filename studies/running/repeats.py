"""Combines the results of a repeated trial's trainings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tracking.records import BestEpoch, Objective, Repeat, TrialResult


def combined(
    results: Sequence[TrialResult],
    seeds: Sequence[int],
    run_ids: Sequence[str],
    objective: Objective,
) -> TrialResult:
    """Returns the result of a trial that was trained several times.

    Its value is the mean of its trainings' values, each at its best epoch (as Keras Tuner's
    `executions_per_trial` has it); its best epoch and its checkpoint are those of the best. If the
    last training is not complete, the trial ends in its state.
    """
    last = results[-1]
    repeats = tuple(
        Repeat(
            seed,
            run_id,
            r.epochs,
            r.best,
            r.weights_sha256,
            r.seconds,
            r.checkpoint_sha256,
            r.unsaved,
        )
        for r, seed, run_id in zip(results, seeds, run_ids, strict=True)
        if r.best is not None
    )
    seconds = sum(result.seconds for result in results)
    valued = last.state in ("complete", "pruned")
    if not valued or not repeats:
        return TrialResult(
            last.number,
            last.state,
            epochs=max(r.epochs for r in results),
            reason=_reasons(results),
            seconds=seconds,
            joined=_all_joined(results),
            repeats=repeats,
            raised=last.raised,
            data_digest=last.data_digest,
            validation_digest=last.validation_digest,
            class_weight=last.class_weight,
            peak_memory_bytes=max(r.peak_memory_bytes for r in results),
        )
    best = min(range(len(repeats)), key=lambda i: (objective.sort_key(repeats[i].best.value), i))
    value = statistics.fmean(repeat.best.value for repeat in repeats)
    return TrialResult(
        last.number,
        last.state,
        epochs=max(r.epochs for r in results),
        best=BestEpoch(
            repeats[best].best.epoch, value, mean_metrics([r.best.metrics for r in repeats])
        ),
        weights_sha256=repeats[best].weights_sha256,
        reason=_reasons(results),
        seconds=seconds,
        model_parameters=last.model_parameters,
        trainer=last.trainer,
        trainer_reason=last.trainer_reason,
        joined=_all_joined(results),
        repeats=repeats,
        best_repeat=best,
        checkpoint_sha256=repeats[best].checkpoint_sha256,
        unsaved=repeats[best].unsaved,
        raised=last.raised,
        data_digest=last.data_digest,
        validation_digest=last.validation_digest,
        class_weight=last.class_weight,
        peak_memory_bytes=max(r.peak_memory_bytes for r in results),
    )


def mean_metrics(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each metric that all have."""
    names = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: statistics.fmean(metrics[name] for metrics in several) for name in names}


def _reasons(results: Sequence[TrialResult]) -> str:
    return "; ".join(f"in repeat {r.repeat}: {r.reason}" for r in results if r.reason)


def _all_joined(results: Sequence[TrialResult]) -> tuple[Mapping[str, object], ...]:
    return tuple({str(p["name"]): p for r in results for p in r.joined}.values())

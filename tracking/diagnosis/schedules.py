"""Whether a study changes its learning rate while it trains."""

from __future__ import annotations

from tracking.diagnosis.diagnosed import DiagnosedStudy

_SCHEDULES = ("decay_steps", "decay_rate", "schedule", "warmup", "warm_up", "cosine", "lr_decay")


def is_learning_rate(name: str) -> bool:
    """Returns whether a hyperparameter is a learning rate, by its name."""
    lower = name.lower()
    return "learning_rate" in lower or lower == "lr" or lower.startswith("lr_")


def schedule_of(study: DiagnosedStudy) -> str:
    """Returns what says that the learning rate is scheduled; empty if nothing does.

    A hyperparameter of a schedule, or the metric that Keras's callbacks `LearningRateScheduler` and
    `ReduceLROnPlateau` log.
    """
    for parameter in study.history.description.space:
        if any(word in parameter.name.lower() for word in _SCHEDULES):
            return f"the space has {parameter.name}"
    for trial in study.ranked[:1]:
        if trial.best is not None and "learning_rate" in trial.best.metrics:
            return "a callback logs learning_rate"
    return ""

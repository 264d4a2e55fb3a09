"""Choosing a study's champion, once its trials are done."""

from __future__ import annotations

from pathlib import Path

from studies.data.large import temporary_folder
from studies.errors import StudyError
from studies.executors.executor import Executor
from studies.progress import Progress
from tracking.history import read_study
from tracking.records import StudyDescription
from tracking.registry import register_champion
from tracking.selection import best_trial
from tracking.store import Store


def choose_champion(
    executor: Executor, store: Store, description: StudyDescription, progress: Progress
) -> None:
    """Registers the study's best checkpoint, over all its engines, if it is not yet."""
    objective = description.objective
    history = read_study(store, description.name, description.engine)
    best = history.best
    for engine in history.engines:
        other = (
            read_study(store, description.name, engine) if engine != description.engine else None
        )
        leader = None if other is None else best_trial([best, other.best], objective)
        if other is not None and leader is not best:
            history, best = other, leader
    if best is None or best.best is None or best.run_id == history.champion_run_id:
        return
    checkpoint = history.checkpoint(best)
    if checkpoint is None:
        progress.say(f"warning: the checkpoint of the best trial, {best.number}, is gone")
        return
    with temporary_folder() as temporary:
        folder = Path(temporary) / "champion"
        try:
            spec, epoch = best.best_training
            metrics = executor.save_champion(spec, checkpoint, history.description.space, folder)
        except StudyError as error:
            # The trials are done and recorded; that one can't be saved takes nothing from them.
            progress.say(f"warning: {error}")
            return
        found = metrics.get(objective.metric, epoch.value)
        if found != epoch.value:
            progress.say(
                f"warning: the champion's {objective.metric} is {found!r} when it is evaluated, "
                f"and was {epoch.value!r} in training"
            )
        register_champion(history, best, folder)

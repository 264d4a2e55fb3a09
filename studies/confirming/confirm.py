"""Confirms a study's choice: `kerastudy.confirm`, and what the command does."""

from __future__ import annotations

import time
from pathlib import Path

from search_spaces.errors import StudyError
from studies.champion.checkpoints import opened
from studies.confirming.plan import ConfirmOptions, make_plan
from studies.definition.settings import check_count
from studies.definition.study_definition import StudyDefinition
from studies.executors import ExecutorName
from studies.interruption import raising_interrupts
from studies.progress import NoProgress, Progress, showing
from tracking.history.confirmations import confirmation_of
from tracking.history.study_history import StudyHistory, read_study
from tracking.records.checks import Confirmation
from tracking.registry.verdicts import renew_verdict


def confirm(
    study: str | StudyDefinition,
    *,
    top: int = 8,
    seeds: int = 5,
    budget: int = 16,
    test: bool = True,
    keep: bool = False,
    store: str | Path | None = None,
    engine: str | None = None,
    executor: ExecutorName | None = None,
    workers: int | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Confirmation:
    """Checks a study's choice: how much of its best value to believe, and whether tuning paid.

    The best trials race under new seeds. Then, if the data has a sealed test part, the winner and
    the space's declared defaults are trained under further seeds, and the test part is read, once.
    Everything is recorded below the study. Call it again to resume: no training runs twice. The
    winner becomes the champion.

    Args:
        study: The study's name; or the study itself, for one of a notebook.
        top: The best trials that race, at least 2.
        seeds: Fresh seeds for the test part, at least 5.
        budget: Trainings of the race.
        test: Whether to read the test part.
        keep: Whether the present champion stays, instead of the winner.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: The engine whose trials race, if the study was launched with several; None for that
            of the best trial.
        executor: ``"in-process"``, or ``"worker"`` for processes of their own. Default: the former
            for a study of this process, unless ``workers`` is given; the latter for a name.
        workers: Trainings to run at once, each in a worker process; None: as many as suit the
            machine and the study.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress on standard error.

    Returns:
        The outcome, as it is recorded.

    Raises:
        StudyError: If there are too few trials to choose among, the budget is too small, or the
            study can't be loaded.
        TrackingError: If the store has no such study, or another process holds it.
        KeyboardInterrupt: If Ctrl-C or SIGTERM stopped it; call it again to resume.
    """
    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=test)
    where = where_trainings_run(
        executor, workers, "worker" if isinstance(study, str) else "in-process"
    )
    history, definition, _ = opened(study, store, engine, trust)
    with raising_interrupts(), showing(progress) as shown:
        return confirm_study(
            history,
            options,
            study=definition,
            keep=keep,
            in_process=where == "in-process",
            workers=workers,
            progress=shown,
        )


def confirm_study(
    history: StudyHistory,
    options: ConfirmOptions,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    keep: bool = False,
    in_process: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Confirmation:
    """Confirms a study's choice under one engine; see `confirm`.

    Args:
        history: The study.
        options: How.
        study: The study of this process, instead of the recorded code.
        data: The file with the data, if it has moved.
        keep: Whether the present champion stays.
        in_process: Whether trainings run in this process.
        workers: How many worker processes run trainings, if not.
        progress: Shows progress.
    """
    # Late: `import kerastudy` needs none of what trains.
    from studies.confirming.carrying_out import carry_out, settle
    from studies.confirming.executors import opened_executor

    progress = progress or NoProgress()
    make_plan(history, options)
    with history.store.lock_study(history.description.name, history.experiment_id):
        # As no process changes it any more.
        history = read_study(history.store, history.description.name, history.description.engine)
        plan = make_plan(history, options)
        unfinished, ended = confirmation_of(history, plan.to_json())
        if ended is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(ended.time / 1000))
            if settle(plan, ended, keep=keep):
                progress.say(f"confirmed on {when}, and nothing has changed since")
                renew_verdict(history)
                return ended
            progress.say(f"confirmed on {when}; its winner becomes the champion")
        with opened_executor(
            history,
            plan.reported,
            study=study,
            data=data,
            in_process=in_process,
            workers=workers,
            trainings=plan.trainings,
            progress=progress,
        ) as executor:
            return carry_out(plan, executor, progress, unfinished, ended, keep=keep)


def where_trainings_run(
    executor: ExecutorName | None, workers: int | None, otherwise: ExecutorName
) -> ExecutorName:
    """Returns where trainings run."""
    if executor not in (None, "in-process", "worker"):
        raise StudyError(f"executor must be 'in-process' or 'worker'. Received: {executor!r}.")
    if workers is None:
        return executor or otherwise
    check_count("workers", workers)
    if executor == "in-process":
        raise StudyError(
            "The executor 'in-process' runs one training at a time, in this process, so it takes "
            f"no number of workers. Received: {workers!r}. Leave one of the two out."
        )
    return "worker"

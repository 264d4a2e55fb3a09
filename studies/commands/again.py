"""Commands that train again: ``kerastudy reproduce`` and ``kerastudy confirm``."""

from __future__ import annotations

import dataclasses
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import (
    EXIT_NO,
    check_trusted,
    data_option,
    engine_option,
    json_option,
    print_json,
    store_option,
    tell,
    telling_errors,
    trust_option,
)
from studies.lines import wrapped

if TYPE_CHECKING:
    from studies.champion.reproduction import Reproduction
    from tracking.history.verdicts import StudyVerdict
    from tracking.records.checks import Confirmation, Racer


@click.command(
    "reproduce", short_help="Run a trial again from its record, and compare bit for bit."
)
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@engine_option
@data_option
@click.option(
    "--trainer",
    type=click.Choice(["plain", "compiled"]),
    default="plain",
    show_default=True,
    help="Train it by model.fit, or by the compiled trainer.",
)
@trust_option
@store_option
@json_option
@telling_errors
def reproduce_command(
    study: str,
    trial: int | None,
    engine: str | None,
    data: str,
    trainer: Any,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Run a trial again from its record, in a new process, and compare.

    Trains by plain model.fit, whatever trained it before: "identical" means that Keras alone gives
    these bits.

    Exits with 0 only if every metric of every epoch, and the weights of the best epoch, are
    identical; else with 1.

    \b
    kerastudy reproduce digits
    kerastudy reproduce digits --trial 7 --json
    kerastudy reproduce digits --trainer compiled
    """
    from studies.champion.reproduction import reproduce
    from studies.commands.records import history_of
    from studies.progress import showing

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    with showing() as progress:
        outcome = reproduce(history, trial, data=data, trainer=trainer, progress=progress)
    if as_json:
        print_json(
            {
                "study": outcome.study,
                "engine": outcome.engine,
                "trial": outcome.trial,
                "trainer": outcome.trainer or None,
                "identical": outcome.identical,
                "epochs": outcome.epochs,
                "max_difference": outcome.max_difference,
                "weights_sha256": {
                    "recorded": outcome.recorded_sha256,
                    "reproduced": outcome.reproduced_sha256,
                },
                "environment_differences": list(outcome.environment_differences),
                "notes": list(outcome.notes),
            }
        )
    else:
        text = reproduction_text(outcome, name_engine=len(history.engines) > 1)
        tell(text)
    sys.exit(0 if outcome.identical else EXIT_NO)


def reproduction_text(outcome: Reproduction, *, name_engine: bool = False) -> str:
    """Returns the outcome of a reproduction as text."""
    from studies.definition import trainer_in_words
    from tracking.texts import counted

    what = f"trial {outcome.trial} of {outcome.study}"
    epochs = counted(outcome.epochs, "epoch")
    if name_engine:
        what += f" ({outcome.engine})"
    if outcome.trainer:
        what += f" by {trainer_in_words(outcome.trainer)}"
    others = outcome.environment_differences
    then, now = (
        f"weights {digest[:16]}…" if digest else "no weights"
        for digest in (outcome.recorded_sha256, outcome.reproduced_sha256)
    )
    if outcome.identical:
        compared = then if outcome.recorded_sha256 else "no weights to compare"
        lines = wrapped(f"identical: {what}, {epochs}, {compared}")
        if others:
            things = "1 thing" if len(others) == 1 else f"{len(others)} things"
            lines.append(f"in an environment that differs in {things}: --json names them")
    elif not outcome.trainer:
        lines = wrapped(f"not identical: {what} was not run; {outcome.notes[-1]}")
    else:
        lines = [
            *wrapped(f"not identical: {what}, {epochs} compared"),
            f"           largest difference {outcome.max_difference}",
            f"           {then} recorded, {now} now",
        ]
    if not outcome.identical:
        lines += [line for each in others for line in wrapped(f"environment: {each}")]
    return "\n".join(lines)


@click.command("confirm", short_help="Check the choice: train the best trials again.")
@click.argument("study")
@click.option("--top", type=int, default=8, show_default=True, help="How many trials race.")
@click.option(
    "--seeds",
    type=int,
    default=5,
    show_default=True,
    help="Fresh seeds for the test part, and the most new seeds of a racer; 5 or more.",
)
@click.option(
    "--budget",
    type=int,
    default=16,
    show_default=True,
    help="Trainings of the race, in all; of a cross-validated study each is of all folds.",
)
@click.option("--no-test", is_flag=True, help="Leave the sealed test part sealed.")
@click.option("--keep", is_flag=True, help="Keep the present champion, whoever wins.")
@engine_option
@click.option(
    "--workers", type=int, help="Trainings at once, each in a process.  [default: as many as suit]"
)
@click.option(
    "--executor",
    type=click.Choice(["worker", "in-process"]),
    help="Where trainings run.  [default: worker]",
)
@data_option
@trust_option
@store_option
@json_option
@telling_errors
def confirm_command(
    study: str,
    top: int,
    seeds: int,
    budget: int,
    no_test: bool,
    keep: bool,
    engine: str | None,
    workers: int | None,
    executor: Any,
    data: str,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Check the choice: how much of the best value to believe, and whether tuning paid.

    The best value is the best of many noisy ones, so it promises too much. This corrects it, and
    the best trials race under new seeds: 8 under one, the best 4 under another, the best 2 under
    two more. Then the winner and the space's declared defaults are trained under 5 further seeds,
    and the sealed test part is read, once. After r readings of it, by evaluate too, intervals are
    of the level 1 - 0.05/r. Of a cross-validated study the race is on its folds; the test part is
    read by models that are trained on all of them.

    The winner becomes the champion, whatever the test part says: that is no ground to choose.
    Launches keep it. --keep leaves the present champion.

    Everything is recorded below the study. Stop it with Ctrl-C, and run it again to resume: no
    training runs twice. If nothing has changed since, it shows what is recorded.

    \b
    kerastudy confirm digits
    kerastudy confirm digits --top 4 --budget 8 --workers 2
    kerastudy confirm digits --no-test --json
    """
    from studies.champion.confirm import confirm_study, where_trainings_run
    from studies.champion.confirmation_plan import ConfirmOptions
    from studies.commands.records import history_of
    from studies.progress import showing
    from tracking.history.verdicts import verdict_by

    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=not no_test)
    where = where_trainings_run(executor, workers, "worker")
    check_trusted(store, trust)
    history = history_of(study, engine, store)
    with showing() as progress:
        found = confirm_study(
            history,
            options,
            data=data,
            keep=keep,
            in_process=where == "in-process",
            workers=workers,
            progress=progress,
        )
    if as_json:
        print_json({"verdict": verdict_by(history, found).text, **dataclasses.asdict(found)})
    else:
        tell(confirmation_text(found, verdict_by(history, found)))


def confirmation_text(found: Confirmation, verdict: StudyVerdict) -> str:
    """Returns a confirmation, and its verdict, as text of at most 80 columns."""
    from studies.commands.texts.tables import in_blocks

    lines = wrapped(verdict.text, indent=0)
    lines += ["", *in_blocks(_columns(found)), ""]
    for sentence in verdict.grounds:
        lines += wrapped(f"  {sentence}", indent=2)
    return "\n".join(lines)


def _columns(found: Confirmation) -> list[list[str]]:
    """Returns the race, a row for each trial, and the defaults below."""
    rows = [_racer_row(e, "winner" if e.trial == found.winner else "") for e in found.race]
    if found.default is not None and found.default.trial not in {e.trial for e in found.race}:
        rows.append(_racer_row(found.default, "defaults"))
    heading = ["trial", found.metric, "seeds", "weights", "epochs", ""]
    return [list(column) for column in zip(heading, *rows, strict=True)]


def _racer_row(racer: Racer, part: str) -> list[str]:
    values = [each for each in racer.values if each is not None]
    failed = len(racer.values) - len(values)
    without = "infeasible" if failed else ""
    return [
        "" if racer.trial < 0 else f"{racer.trial}",
        f"{statistics.fmean(values):.4g}" if values else without,
        f"{len(racer.values)}" if racer.values else "",
        f"{racer.model_parameters:,}" if racer.model_parameters else "",
        f"{racer.epochs}",
        ", ".join(filter(None, (part, f"{failed} infeasible" if failed else ""))),
    ]

"""``kerastudy confirm``."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import (
    data_option,
    json_option,
    store_option,
    tell,
    telling_errors,
)
from studies.commands.trusting import check_trusted, trust_option
from studies.lines import wrapped

if TYPE_CHECKING:
    from tracking.history.verdicts import StudyVerdict
    from tracking.records.checks import Confirmation, Racer


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
@click.option("--engine", help="Which engine's trials.  [default: that of the best trial]")
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
    data: Path | None,
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
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.confirming.confirm import confirm_study, where_trainings_run
    from studies.confirming.plan import ConfirmOptions
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
            data="" if data is None else str(data.expanduser().absolute()),
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
    rows = [_row(e, "winner" if e.trial == found.winner else "") for e in found.race]
    if found.default is not None and found.default.trial not in {e.trial for e in found.race}:
        rows.append(_row(found.default, "defaults"))
    heading = ["trial", found.metric, "seeds", "weights", "epochs", ""]
    return [list(column) for column in zip(heading, *rows, strict=True)]


def _row(racer: Racer, part: str) -> list[str]:
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

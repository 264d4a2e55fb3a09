"""``kerastudy reproduce`` and ``kerastudy confirm``."""

from __future__ import annotations

import dataclasses
import statistics
import sys
from typing import TYPE_CHECKING, Any

import click

from search_spaces.texts import number
from studies.commands.command_line import (
    EXIT_NO,
    RecordedStudy,
    answer,
    recorded_study_options,
)
from studies.terminal_text import in_blocks, wrapped

if TYPE_CHECKING:
    from studies.champion import Reproduction
    from tracking.history import StudyVerdict
    from tracking.records import Confirmation, Racer


@click.command(
    "reproduce", short_help="Run a trial again from its record, and compare bit for bit."
)
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion]")
@recorded_study_options
def reproduce_command(recorded: RecordedStudy, trial: int | None) -> None:
    """Run a trial again from its record, in a new process, and compare.

    Plain model.fit trains the trial, even if the compiled trainer trained it before. So "identical"
    means that Keras alone gives the same bits.

    Exits with 0 only if every metric of every epoch, and the weights of the best epoch, are
    identical; else with 1.

    \b
    kerastudy reproduce digits
    kerastudy reproduce digits --trial 7 --json
    """
    from studies.champion import reproduce

    with recorded.opened() as study:
        outcome = reproduce(study, trial)
    document = dataclasses.asdict(outcome)
    digests = ("recorded", "reproduced")
    document["weights_sha256"] = {name: document.pop(f"{name}_sha256") for name in digests}
    document["trainer"] = outcome.trainer or None
    answer(recorded.as_json, lambda: document, lambda: reproduction_text(outcome))
    sys.exit(0 if outcome.identical else EXIT_NO)


def reproduction_text(outcome: Reproduction) -> str:
    """Returns the outcome of a reproduction as text."""
    from search_spaces.texts import counted
    from studies.champion import trainer_in_words

    what = f"trial {outcome.trial} of {outcome.study}"
    epochs = counted(outcome.epochs, "epoch") if outcome.epochs else "its value"
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
            things = counted(len(others), "thing")
            lines.append(f"in an environment that differs in {things}: --json names them")
    else:
        lines = [
            *wrapped(f"not identical: {what}, {epochs} compared"),
            f"           {then} recorded, {now} now",
        ]
    if not outcome.identical:
        lines += [line for other in others for line in wrapped(f"environment: {other}")]
    return "\n".join(lines)


@click.command("confirm", short_help="Check the choice: train the best trials again.")
@click.argument("study")
@click.option("--top", type=click.IntRange(2), default=8, show_default=True, help="Trials to race.")
@click.option(
    "--seeds",
    type=click.IntRange(5),
    default=5,
    show_default=True,
    help="New seeds for the test part. A trial in the race gets no more than this.",
)
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Trainings in the race. In a cross-validated study, all folds together count as one.",
)
@click.option("--no-test", is_flag=True, help="Leave the sealed test part sealed.")
@click.option(
    "--workers", type=click.IntRange(1), help="Trainings at once.  [default: as many as suit]"
)
@click.option(
    "--executor",
    type=click.Choice(["worker", "in-process"]),
    help="Where trainings run.  [default: worker]",
)
@recorded_study_options
def confirm_command(
    recorded: RecordedStudy,
    top: int,
    seeds: int,
    budget: int,
    no_test: bool,
    workers: int | None,
    executor: Any,
) -> None:
    """Check the choice: how much of the best value to believe, and whether tuning paid.

    A study's best value is partly luck, as the best of many noisy values. `confirm` corrects it,
    and the best trials race under new seeds: 8 under one, the best 4 under another, the best 2
    under two more. Then the winner and the space's declared defaults are trained under 5 further
    seeds, and evaluated on the sealed test part, once. After r evaluations on the test part,
    intervals have the level 1 - 0.05/r. In a cross-validated study, the race is on the folds, and
    models that are trained on all folds are evaluated on the test part.

    The winner becomes the champion, whatever the values on the test part are. Later launches keep
    this champion, until `promote` chooses another one.

    All results are recorded with the study. After Ctrl-C, run the command again to resume: no
    training runs twice. If the study has not changed since, the command shows the record.

    \b
    kerastudy confirm digits
    kerastudy confirm digits --top 4 --budget 8 --workers 2
    kerastudy confirm digits --no-test --json
    """
    from studies.champion import ConfirmOptions, confirm_study, in_this_process
    from tracking.history import verdict_by

    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=not no_test)
    here = in_this_process(executor, workers, otherwise=False)
    with recorded.opened() as study:
        confirmation = confirm_study(study, options, in_process=here, workers=workers)
    verdict = verdict_by(study.history, confirmation)
    document = {"verdict": verdict.text, **dataclasses.asdict(confirmation)}
    answer(recorded.as_json, lambda: document, lambda: _confirmation_text(confirmation, verdict))


def _confirmation_text(confirmation: Confirmation, verdict: StudyVerdict) -> str:
    winner, default = confirmation.winner, confirmation.default
    rows = [_racer_row(r, "winner" if r.trial == winner else "") for r in confirmation.race]
    if default is not None and default.trial not in {racer.trial for racer in confirmation.race}:
        rows.append(_racer_row(default, "defaults"))
    heading = ["trial", confirmation.metric, "seeds", "weights", "epochs", ""]
    columns = [list(column) for column in zip(heading, *rows, strict=True)]
    # Sizes of models and numbers of epochs only matter if they differ.
    alike = [c for c in columns if c[0] in ("weights", "epochs") and len({*c[1:]}) == 1]
    columns = [column for column in columns if column not in alike]
    # Without this line, readers would think that the values are from the test part.
    race = "The race under new seeds, on validation samples:"
    lines = [*wrapped(verdict.text, indent=0), "", race, "", *in_blocks(columns), ""]
    for sentence in verdict.grounds:
        lines += wrapped(f"  {sentence}", indent=2)
    return "\n".join(lines)


def _racer_row(racer: Racer, role: str) -> list[str]:
    values = [value for value in racer.values if value is not None]
    failed = len(racer.values) - len(values)
    without = "infeasible" if failed else ""
    return [
        "" if racer.trial < 0 else f"{racer.trial}",
        number(statistics.fmean(values)) if values else without,
        f"{len(racer.values)}" if racer.values else "",
        f"{racer.model_parameters:,}" if racer.model_parameters else "",
        f"{racer.epochs}",
        ", ".join(filter(None, (role, f"{failed} infeasible" if failed else ""))),
    ]

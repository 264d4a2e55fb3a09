"""``kerastudy reproduce``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import (
    EXIT_NO,
    data_option,
    json_option,
    store_option,
    tell,
    telling_errors,
)
from studies.commands.trusting import check_trusted, trust_option
from studies.lines import wrapped

if TYPE_CHECKING:
    from studies.again.reproduction import Reproduction


@click.command(
    "reproduce", short_help="Run a trial again from its record, and compare bit for bit."
)
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--engine", help="Which engine's trial.  [default: that of the best trial]")
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
    data: Path | None,
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
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.again.reproduction import reproduce
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.progress import make_progress

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    progress = make_progress()
    try:
        outcome = reproduce(
            history,
            trial,
            data="" if data is None else str(data.expanduser().absolute()),
            trainer=trainer,
            progress=progress,
        )
    finally:
        progress.end()
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
    """Returns the outcome of a reproduction as text.

    Args:
        outcome: The reproduction.
        name_engine: Whether to name the engine, as where a study has several.
    """
    from studies.definition.settings import trainer_in_words
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

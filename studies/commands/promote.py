"""``kerastudy promote``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

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
    from studies.champion.promotion import Promotion


@click.command("promote", short_help="Choose another champion, or train it on more data.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--reason", default="", help="Why, kept on the registered version.")
@click.option(
    "--refit",
    is_flag=True,
    help="Train on training and validation data together, and register that as 'refit'.",
)
@click.option("--engine", help="Which engine's trial.  [default: that of the best trial]")
@data_option
@trust_option
@store_option
@json_option
@telling_errors
def promote_command(
    study: str,
    trial: int | None,
    reason: str,
    refit: bool,
    engine: str | None,
    data: Path | None,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Register the checkpoint of a trial as the study's champion.

    Earlier versions of the registered model stay. Launches keep a trial that was promoted by its
    number or with a reason, and say so if another one is better. Without both, it is the best
    trial, and launches choose the champion again. A trial whose checkpoint is gone is trained
    again, with the same bits.

    --refit trains the configuration on training and validation data together, for as many epochs
    as were best: an epoch then has more steps, in proportion to the data. That model is registered
    as models:/NAME@refit and has no validation value. Without --trial, the champion is refitted
    and stays.

    \b
    kerastudy promote digits --trial 7 --reason "half the size, nearly as good"
    kerastudy promote digits --refit
    kerastudy promote digits
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.champion.promotion import promote_trial
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.progress import showing

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    with showing() as progress:
        found = promote_trial(
            history,
            trial,
            reason=reason,
            refit=refit,
            engine=engine and history.description.engine,
            data="" if data is None else str(data.expanduser().absolute()),
            progress=progress,
        )
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        tell(promotion_text(found))


def promotion_text(found: Promotion) -> str:
    """Returns what was registered as text, of at most 80 columns."""
    from tracking.texts import counted

    lines = []
    what = f"trial {found.trial}, epoch {found.epoch}, {found.metric} {found.value:.6g}"
    if found.champion:
        lines += wrapped(f"champion: {what}, {found.champion}", indent=2)
    if found.how is not None:
        how = found.how
        lines += wrapped(
            f"refit: trial {found.trial} on {how.samples} samples, "
            f"{counted(how.epochs, 'epoch')} of "
            f"{counted(how.steps, 'step')} (the trial had {how.steps_before}), {found.refit}",
            indent=2,
        )
    lines += [line for note in found.notes for line in wrapped(f"note: {note}", indent=2)]
    return "\n".join(lines)

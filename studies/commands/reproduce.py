"""``kerastudy reproduce``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from studies.commands.main import EXIT_NO, json_option, store_option, telling_errors


@click.command("reproduce")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--engine", help="Which engine's trials, if it was launched with several.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The npz file with the data, if it has moved."
)
@store_option
@json_option
@telling_errors
def reproduce_command(
    study: str,
    trial: int | None,
    engine: str | None,
    data: Path | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Run a trial again from its record, in a new process, and compare.

    Exits with 0 only if every metric of every epoch, and the weights of the best epoch, are the
    same bit for bit; with 1 if not.

    \b
    kerastudy reproduce digits
    kerastudy reproduce digits --trial 7 --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.progress import make_progress
    from studies.reproduction import reproduce

    history = history_of(study, engine, store)
    progress = make_progress()
    try:
        outcome = reproduce(
            history,
            trial,
            data="" if data is None else str(data.expanduser().absolute()),
            progress=progress,
        )
    finally:
        progress.end()
    if as_json:
        print_json(
            {
                "study": outcome.study,
                "trial": outcome.trial,
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
        for difference in outcome.environment_differences:
            click.echo(f"environment: {difference}")
        if outcome.identical:
            click.echo(
                f"identical: trial {outcome.trial} of {outcome.study}, {outcome.epochs} epochs, "
                f"weights {outcome.recorded_sha256[:16]}…"
            )
        else:
            click.echo(
                f"not identical: trial {outcome.trial} of {outcome.study}, {outcome.epochs} "
                f"epochs compared, largest difference {outcome.max_difference}, weights "
                f"{outcome.recorded_sha256[:16]}… recorded, "
                f"{outcome.reproduced_sha256[:16] or 'none'}… now"
            )
    sys.exit(0 if outcome.identical else EXIT_NO)

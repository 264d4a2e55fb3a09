"""``kerastudy show``."""

from __future__ import annotations

from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


@click.command("show")
@click.argument("study")
@click.option("--trial", type=int, help="Show this trial in full, with each epoch's metrics.")
@click.option("--top", type=click.IntRange(min=1), help="How many of the best trials to show.")
@click.option("--all", "every", is_flag=True, help="List all trials.")
@click.option("--engine", help="Which engine's trials.  [default: that of the best trial]")
@store_option
@json_option
@telling_errors
def show_command(
    study: str,
    trial: int | None,
    top: int | None,
    every: bool,
    engine: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show a study: the verdict, its best trials, and where to look.

    The JSON document has all trials under "all".

    \b
    kerastudy show digits
    kerastudy show digits --top 20
    kerastudy show digits --all
    kerastudy show digits --trial 7
    kerastudy show digits --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json, study_document
    from studies.commands.reading import history_of
    from studies.commands.texts.study_text import study_text
    from studies.commands.texts.trial_text import full_document, trial_text

    if trial is not None and (top is not None or every):
        raise click.UsageError("--trial goes with neither --top nor --all.")
    if top is not None and every:
        raise click.UsageError("Give --top or --all, not both.")
    history = history_of(study, engine, store)
    if trial is not None:
        found = history.trial(trial)
        if as_json:
            print_json(full_document(history, found))
        else:
            tell(trial_text(history, found))
    elif as_json:
        print_json(study_document(history))
    else:
        tell(study_text(history, top=top, every=every))

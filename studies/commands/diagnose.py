"""``kerastudy diagnose``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


@click.command("diagnose", short_help="Say what the record asks for: what to search next, and why.")
@click.argument("study")
@click.option("--engine", help="Which engine's trials.  [default: that of the best trial]")
@store_option
@json_option
@telling_errors
def diagnose_command(study: str, engine: str | None, store: Path | None, as_json: bool) -> None:
    """Read Google's Deep Learning Tuning Playbook off a study's record.

    Are the best trials at an end of a range? Were there enough of them? Do they train long enough,
    overfit, differ by more than noise? Where do trials fail? What does a scientific hyperparameter
    do? Each finding has its figures, and the command that follows; the last line is the command
    that follows from all. Nothing is trained. The report has the same with charts.

    \b
    kerastudy diagnose digits
    kerastudy diagnose digits --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.commands.texts.findings_text import COLORS, diagnosis_text
    from tracking.diagnosis.diagnosing import diagnose, document
    from tracking.store.folder import default_store_path

    diagnosis = diagnose(history_of(study, engine, store), default_store_path().absolute())
    if as_json:
        print_json(document(diagnosis))
        return
    text = diagnosis_text(diagnosis)
    if not sys.stdout.isatty():
        tell(text)
        return
    # It knows what a terminal can show, and NO_COLOR.
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in text.split("\n"):
        shown, word = Text(line), line.partition(" ")[0]
        if word in COLORS:
            shown.stylize(COLORS[word], 0, len(word))
        console.print(shown)

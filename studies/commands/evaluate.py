"""``kerastudy evaluate``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
from studies.lines import cut, printable, width, wrapped

if TYPE_CHECKING:
    from studies.champion.evaluation import Reading
    from tracking.records.checks import Evaluation


@click.command("evaluate", short_help="Evaluate the champion on the sealed test part.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion's]")
@click.option("--engine", help="Which engine's trial.  [default: that of the best trial]")
@data_option
@trust_option
@store_option
@json_option
@telling_errors
def evaluate_command(
    study: str,
    trial: int | None,
    engine: str | None,
    data: Path | None,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Evaluate the champion on the sealed test part.

    Nothing else reads the test part: no trial, pruner or choice has seen it. So its value is an
    honest one, the first time. Each reading is recorded, and you are warned from the second on.

    Shows the loss and the metrics that the model was compiled with, next to those on validation
    data, with 95 % intervals: exact ones for accuracies (Clopper and Pearson), for all else
    percentiles of 1,000 bootstrap resamples of the test samples.

    Exits with 1 if the study's data has no test part.

    \b
    kerastudy evaluate digits
    kerastudy evaluate digits --trial 7 --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from search_spaces.errors import NoTestPartError
    from studies.champion.evaluation import read_test_part
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.progress import showing

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    with showing() as progress:
        try:
            reading = read_test_part(
                history,
                trial,
                engine=engine and history.description.engine,
                data="" if data is None else str(data.expanduser().absolute()),
                progress=progress,
            )
        except NoTestPartError as error:
            progress.end()
            click.echo("\n".join(wrapped(str(error), indent=0)), err=True)
            sys.exit(EXIT_NO)
        if reading.warning:
            progress.say(f"warning: {reading.warning}")
    if as_json:
        document = dataclasses.asdict(reading.evaluation)
        earlier = [dataclasses.asdict(each) for each in reading.earlier]
        print_json({**document, "earlier": earlier, "flaws": list(reading.flaws)})
    else:
        tell(evaluation_text(reading))


def evaluation_text(reading: Reading) -> str:
    """Returns a reading of a test part as text, of at most 80 columns."""
    found = reading.evaluation
    lines = [
        *(line for flaw in reading.flaws for line in wrapped(flaw, indent=2)),
        *wrapped(
            f"{found.study}: trial {found.trial}, epoch {found.epoch}, on {found.samples} sealed "
            "test samples",
            indent=2,
        ),
        *_table(found),
    ]
    if found.resamples:
        lines += wrapped(
            "intervals: exact for accuracies, else percentiles of "
            f"{found.resamples:,} bootstrap resamples",
            indent=2,
        )
    if found.note:
        lines += wrapped(f"no interval: {found.note}", indent=2)
    return "\n".join(lines)


def _table(found: Evaluation) -> list[str]:
    rows = [("", "test", "95 % interval", "validation")]
    for name, each in found.metrics.items():
        interval = "" if each.low is None else f"{each.low:.4g} to {each.high:.4g}"
        validation = "" if each.validation is None else f"{each.validation:.4g}"
        rows.append((name, f"{each.value:.4g}", interval, validation))
    names = [cut(printable(name), 36) for name, *_ in rows]
    room = max(map(width, names))
    named = [f"  {name}{' ' * (room - width(name))}" for name in names]
    return [
        f"{name}  {value:>9}  {interval:<20}  {validation:>10}".rstrip()
        for name, (_, value, interval, validation) in zip(named, rows, strict=True)
    ]

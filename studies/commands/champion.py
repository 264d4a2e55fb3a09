"""The champion: ``kerastudy predict``, ``evaluate`` and ``promote``."""

from __future__ import annotations

import dataclasses
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
from studies.lines import COLUMNS, cut, printable, width, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from studies.champion.evaluation import Reading
    from studies.champion.promotion import Promotion
    from tracking.records.checks import Evaluation

_ROWS_SHOWN = 20


@click.command("predict", short_help="Predict the samples of a file by the champion.")
@click.argument("study")
@click.option(
    "--input",
    "samples",
    type=click.Path(path_type=Path),
    required=True,
    help="An npz, npy, csv or parquet file, an image or a txt file, or a folder of such.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A csv, parquet or npz file; - for standard output.  [default: a table there]",
)
@click.option("--probabilities", is_flag=True, help="Add the probability of each class.")
@click.option(
    "--alias",
    type=click.Choice(["champion", "refit"]),
    default="champion",
    show_default=True,
    help="Which registered model.",
)
@trust_option
@store_option
@json_option
@telling_errors
def predict_command(
    study: str,
    samples: Path,
    output: Path | None,
    probabilities: bool,
    alias: Any,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Predict the samples of a file by the study's champion.

    Samples are given as they were to the study: preprocessing is a part of the model, columns are
    found by name, and further ones are ignored. Several inputs come in an npz file, by their
    names. Classes are named. No pickle is read.

    Without --output, a terminal shows the first rows; elsewhere, all are printed as CSV.

    \b
    kerastudy predict digits --input new.npy
    kerastudy predict churn --input new.csv --output churn.csv --probabilities
    kerastudy predict cats --input photos/ --json
    """
    from studies.champion.prediction import as_frame, check_output, predict_file, write_predictions
    from studies.commands.records import history_of
    from studies.lines import as_csv
    from studies.progress import waiting

    everything = output == Path("-")
    output = None if everything or output is None else output.expanduser()
    if output is not None:
        check_output(output)
    check_trusted(store, trust)
    history = history_of(study, None, store)
    with waiting("loading TensorFlow and the model"):
        # The user trusts the store.
        found = predict_file(history, samples, probabilities, alias, trust=True)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if output is not None:
        write_predictions(output, found.columns, found.files)
    if as_json:
        rows = [] if output is not None else as_frame(found.columns, found.files).to_dict("records")
        count = len(next(iter(found.columns.values())))
        written = None if output is None else str(output)
        print_json({"study": study, "samples": count, "output": written, "predictions": rows})
    elif output is not None:
        tell(f"{len(next(iter(found.columns.values())))} predictions in {str(output)!r}")
    elif sys.stdout.isatty() and not everything:
        tell(_shown_rows(as_frame(found.columns, found.files)))
    else:
        click.echo(as_csv(as_frame(found.columns, found.files)), nl=False)


def _shown_rows(table: pd.DataFrame) -> str:
    """Returns the first rows of a table, as wide as a terminal; probabilities by class."""
    named = table.rename(columns=lambda name: name.removeprefix("probability_"))
    shown = "{:.4g}" if list(named) == list(table) else "{:.3f}"
    first = named.head(_ROWS_SHOWN)
    text: str = first.to_string(line_width=COLUMNS, float_format=shown.format)
    more = len(table) - _ROWS_SHOWN
    return text + (f"\n… {more} more; --output predictions.csv writes all" if more > 0 else "")


@click.command("evaluate", short_help="Evaluate the champion on the sealed test part.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion's]")
@engine_option
@data_option
@trust_option
@store_option
@json_option
@telling_errors
def evaluate_command(
    study: str,
    trial: int | None,
    engine: str | None,
    data: str,
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
    """
    from search_spaces.errors import NoTestPartError
    from studies.champion.evaluation import read_test_part
    from studies.commands.records import history_of
    from studies.progress import showing

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    with showing() as progress:
        try:
            reading = read_test_part(
                history,
                trial,
                engine=engine and history.description.engine,
                data=data,
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


@click.command("promote", short_help="Choose another champion, or train it on more data.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--reason", default="", help="Why, kept on the registered version.")
@click.option(
    "--refit",
    is_flag=True,
    help="Train on training and validation data together, and register that as 'refit'.",
)
@engine_option
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
    data: str,
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
    """
    from studies.champion.promotion import promote_trial
    from studies.commands.records import history_of
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
            data=data,
            progress=progress,
        )
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        tell(promotion_text(found))


def promotion_text(found: Promotion) -> str:
    """Returns what was registered as text, of at most 80 columns."""
    from search_spaces.texts import counted

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

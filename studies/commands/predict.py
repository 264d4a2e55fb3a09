"""``kerastudy predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors
from studies.commands.trusting import check_trusted, trust_option
from studies.lines import COLUMNS, as_csv

if TYPE_CHECKING:
    import pandas as pd

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
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.champion.prediction import (
        as_frame,
        check_output,
        predict_file,
        write_predictions,
    )
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
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
        tell(_shown(as_frame(found.columns, found.files)))
    else:
        click.echo(as_csv(as_frame(found.columns, found.files)), nl=False)


def _shown(table: pd.DataFrame) -> str:
    """Returns the first rows of a table, as wide as a terminal; probabilities by class."""
    named = table.rename(columns=lambda name: name.removeprefix("probability_"))
    shown = "{:.4g}" if list(named) == list(table) else "{:.3f}"
    first = named.head(_ROWS_SHOWN)
    text: str = first.to_string(line_width=COLUMNS, float_format=shown.format)
    more = len(table) - _ROWS_SHOWN
    return text + (f"\n… {more} more; --output predictions.csv writes all" if more > 0 else "")

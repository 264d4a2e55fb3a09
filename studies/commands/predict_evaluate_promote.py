"""``kerastudy predict``, ``evaluate`` and ``promote``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from search_spaces.texts import number, readable, share
from studies.commands.command_line import (
    EXIT_NO,
    RecordedStudy,
    answer,
    check_trusted,
    common_options,
    history_of,
    print_json,
    recorded_study_options,
    tell,
    trust_option,
)
from studies.terminal_text import as_notes, cut, in_blocks, printable, table, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from studies.champion import Promotion, Reading

_ROWS_SHOWN = 20


@click.command("predict", short_help="Predict the samples of a file by the champion.")
@click.argument("study")
@click.option(
    "--input",
    "samples",
    type=click.Path(path_type=Path),
    required=True,
    help="An npz, npy, csv or parquet file, an image, or a folder of images or texts.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A csv file to write.  [default: show a table]",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--probabilities", is_flag=True, help="Add the probability of each class.")
@click.option("--threshold", type=float, help="Of two classes, the second from this probability.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="A column to keep; may be repeated.")
@trust_option
@common_options
def predict_command(
    study: str,
    samples: Path,
    output: Path | None,
    force: bool,
    probabilities: bool,
    threshold: float | None,
    keep: tuple[str, ...],
    trust: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Predict the samples of a file by the study's champion.

    The samples must look like the data of the study: the model preprocesses them. A csv or parquet
    file has the study's columns by their names, in any order; other columns are ignored. A model
    with several inputs needs an npz file that has, for each input, an array with the input's name.
    Classes are shown by name. Pickled objects are not loaded.

    For a table, predictions are in a column with the target's name. Beside them are the columns
    that --keep names, otherwise those that the study left out as identifiers.

    If the model was trained with class weights, --probabilities and --threshold correct for them.

    Without --output, a terminal shows the first predictions; elsewhere, all are printed as CSV.

    \b
    kerastudy predict digits --input new.npy
    kerastudy predict churn --input new.csv --output churn.csv --probabilities
    kerastudy predict churn --input new.csv --threshold 0.2 --keep customer
    kerastudy predict cats --input photos/ --json
    """
    from studies.exporting import file_for
    from studies.progress import waiting
    from studies.results import check_output, predict_file

    if output is not None:
        output = output.expanduser()
        check_output(output)
        file_for(output, "", force)
    check_trusted(store, trust)
    history = history_of(study, store)
    with waiting("loading TensorFlow and the model"):
        # `check_trusted` has checked that the user trusts the store.
        predictions = predict_file(history, samples, probabilities, threshold, keep, trust=True)
    count = len(predictions)
    if predictions.notes:
        click.echo(as_notes(predictions.notes), err=True)
    if output is not None:
        predictions.write(output)
    if as_json:
        rows = [] if output is not None else predictions.to_dataframe().to_dict("records")
        written = None if output is None else str(output)
        print_json({"study": study, "samples": count, "output": written, "predictions": rows})
    elif output is not None:
        tell(f"{count} predictions in {str(output)!r}")
    elif sys.stdout.isatty():
        tell(_first_rows(predictions.to_dataframe()))
    else:
        click.echo(predictions.to_dataframe().to_csv(index=False), nl=False)


def _first_rows(table: pd.DataFrame) -> str:
    """Returns the first rows of a table as text, without "probability_" in the heading."""
    first = table.head(_ROWS_SHOWN)
    columns = [["", *map(str, first.index)]]
    for name, values in first.items():
        short_name = str(name).removeprefix("probability_")
        text = readable if short_name == name else "{:.3f}".format
        columns.append([short_name, *map(text, values.tolist())])
    more = len(table) - _ROWS_SHOWN
    notes = [f"… {more:,} more; --output predictions.csv writes all"] if more > 0 else []
    return "\n".join([*in_blocks(columns), *notes])


@click.command("evaluate", short_help="Evaluate the champion on the sealed test part.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion's]")
@recorded_study_options
def evaluate_command(recorded: RecordedStudy, trial: int | None) -> None:
    """Evaluate the champion on the sealed test part.

    No trial, pruner or choice has read the test part. So the first evaluation says what to expect
    on new data. All evaluations are recorded. From the second evaluation on, a warning is shown,
    and the intervals get wider.

    Shows the model's loss and metrics on the test part and on the validation part. Those on the
    test part have 95 % intervals, computed as by confirm. If the data have groups, such as
    patients, the intervals are about new groups.

    If the model gives probabilities of classes, also shows how often they come true, in groups of
    samples with about the same probability, and the Brier score. These probabilities are corrected
    for class weights of the training, the metrics are not.

    Exits with 1 if the study's data has no test part.

    \b
    kerastudy evaluate digits
    kerastudy evaluate digits --trial 7 --json
    """
    from search_spaces.errors import NoTestPartError
    from studies.champion import read_test_part

    try:
        with recorded.opened() as study:
            reading = read_test_part(study, trial)
            if reading.warning:
                study.progress.say(f"warning: {reading.warning}")
    except NoTestPartError as error:
        click.echo("\n".join(wrapped(str(error), indent=0)), err=True)
        sys.exit(EXIT_NO)
    document = {
        **dataclasses.asdict(reading.evaluation),
        "earlier": [dataclasses.asdict(evaluation) for evaluation in reading.earlier],
        "flaws": list(reading.flaws),
    }
    answer(recorded.as_json, lambda: document, lambda: _evaluation_text(reading))


def _evaluation_text(reading: Reading) -> str:
    evaluation = reading.evaluation
    rows = []
    for name, measured in evaluation.metrics.items():
        validation = "" if measured.validation is None else number(measured.validation)
        rows.append([cut(name, 36), measured.text, validation])
    lines = [
        *reading.flaws,
        f"{evaluation.study}: trial {evaluation.trial}, epoch {evaluation.epoch}, on "
        f"{evaluation.samples} sealed test samples",
        *table(["", f"test ({share(evaluation.level)} interval)", "validation"], rows),
    ]
    if (guess := evaluation.guess) is not None:
        right = f"{share(guess.share)} of these samples"
        lines.append(f"baseline: always answering {printable(guess.answer)} is right in {right}")
    if (diagram := evaluation.reliability) is not None:
        rows = [[f"{b.predicted:.3f}", f"{b.observed:.3f}", str(b.samples)] for b in diagram.bins]
        lines += [diagram.text, *table(["predicted", "came true", "samples"], rows)]
    if any(e.confirmation and e.study == evaluation.study for e in reading.earlier):
        lines.append(
            "These values are of one model, the trial's checkpoint. The value of confirm is a mean "
            "over trainings under new seeds."
        )
    if evaluation.note:
        lines.append(f"no interval: {evaluation.note}")
    return "\n".join(part for line in lines for part in wrapped(line, indent=2))


@click.command("promote", short_help="Choose another champion.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--reason", default="", help="The reason, kept with the registered version.")
@recorded_study_options
def promote_command(recorded: RecordedStudy, trial: int | None, reason: str) -> None:
    """Register the checkpoint of a trial as the study's champion.

    With --trial or --reason, later launches keep this champion, and say so if another trial is
    better. Without these options, the best trial becomes the champion, and later launches may
    choose another one. If the trial's checkpoint is gone, the trial is trained again, with the same
    bits. The registered versions of earlier champions stay in MLflow.

    \b
    kerastudy promote digits --trial 7 --reason "half the size, nearly as good"
    kerastudy promote digits
    """
    from studies.champion import promote_trial

    with recorded.opened() as study:
        promotion = promote_trial(study, trial, reason=reason)
    document = dataclasses.asdict(promotion)
    answer(recorded.as_json, lambda: document, lambda: _promotion_text(promotion))


def _promotion_text(promotion: Promotion) -> str:
    lines = [
        f"champion: trial {promotion.trial}, epoch {promotion.epoch}, "
        f"{promotion.metric} {readable(promotion.value, 6)}, {promotion.champion}",
        *(f"note: {note}" for note in promotion.notes),
    ]
    return "\n".join(part for line in lines for part in wrapped(line, indent=2))

"""``kerastudy predict``, ``evaluate``, ``promote``, ``reproduce`` and ``confirm``."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import (
    EXIT_NO,
    answer,
    check_trusted,
    common_options,
    data_option,
    engine_option,
    print_json,
    tell,
    trust_option,
)
from studies.terminal_text import COLUMNS, cut, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from studies.champion import Promotion, Reading, Reproduction
    from tracking.history.study_history import StudyHistory
    from tracking.history.verdicts import StudyVerdict
    from tracking.records.evaluations import Confirmation, Racer


_ROWS_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class _Recorded:
    """The arguments that `evaluate`, `promote`, `reproduce` and `confirm` share."""

    study: str
    engine: str | None
    data: str
    trust: bool
    store: Path | None
    as_json: bool

    def history(self) -> StudyHistory:
        """Reads the study. The user must trust a store that is somebody else's."""
        from studies.commands.records import history_of

        check_trusted(self.store, self.trust)
        return history_of(self.study, self.engine, self.store)


def _of_a_trial(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `_Recorded` to a command, and passes them as one `_Recorded`."""

    @functools.wraps(command)
    def of_recorded(**arguments: Any) -> None:
        names = [field.name for field in dataclasses.fields(_Recorded)]
        command(_Recorded(**{name: arguments.pop(name) for name in names}), **arguments)

    decorated: Callable[..., None] = of_recorded
    options = (engine_option, data_option, trust_option, common_options)
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


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
@common_options
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
    from studies.champion import as_frame, check_output, predict_file, write_predictions
    from studies.commands.records import history_of
    from studies.progress import waiting
    from studies.terminal_text import as_csv

    everything = output == Path("-")
    output = None if everything or output is None else output.expanduser()
    if output is not None:
        check_output(output)
    check_trusted(store, trust)
    history = history_of(study, None, store)
    with waiting("loading TensorFlow and the model"):
        # `check_trusted` above has asked the user.
        predictions = predict_file(history, samples, probabilities, alias, trust=True)
    columns, files = predictions.columns, predictions.files
    count = len(next(iter(columns.values())))
    for note in predictions.notes:
        click.echo(f"note: {note}", err=True)
    if output is not None:
        write_predictions(output, columns, files)
    if as_json:
        rows = [] if output is not None else as_frame(columns, files).to_dict("records")
        written = None if output is None else str(output)
        print_json({"study": study, "samples": count, "output": written, "predictions": rows})
    elif output is not None:
        tell(f"{count} predictions in {str(output)!r}")
    elif sys.stdout.isatty() and not everything:
        tell(_first_rows(as_frame(columns, files)))
    else:
        click.echo(as_csv(as_frame(columns, files)), nl=False)


def _first_rows(table: pd.DataFrame) -> str:
    """Returns the first rows of a table as text, without "probability_" in the heading."""
    named = table.rename(columns=lambda name: name.removeprefix("probability_"))
    shown = "{:.4g}" if list(named) == list(table) else "{:.3f}"
    first = named.head(_ROWS_SHOWN)
    text: str = first.to_string(line_width=COLUMNS, float_format=shown.format)
    more = len(table) - _ROWS_SHOWN
    return text + (f"\n… {more} more; --output predictions.csv writes all" if more > 0 else "")


@click.command("evaluate", short_help="Evaluate the champion on the sealed test part.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion's]")
@_of_a_trial
def evaluate_command(recorded: _Recorded, trial: int | None) -> None:
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
    from studies.champion import read_test_part
    from studies.progress import showing

    history = recorded.history()
    with showing() as progress:
        try:
            reading = read_test_part(
                history,
                trial,
                engine=recorded.engine and history.description.engine,
                data=recorded.data,
                progress=progress,
            )
        except NoTestPartError as error:
            progress.end()
            click.echo("\n".join(wrapped(str(error), indent=0)), err=True)
            sys.exit(EXIT_NO)
        if reading.warning:
            progress.say(f"warning: {reading.warning}")
    document = {
        **dataclasses.asdict(reading.evaluation),
        "earlier": [dataclasses.asdict(evaluation) for evaluation in reading.earlier],
        "flaws": list(reading.flaws),
    }
    answer(recorded.as_json, lambda: document, lambda: evaluation_text(reading))


def evaluation_text(reading: Reading) -> str:
    """Returns an evaluation on the test part as text, of at most 80 columns."""
    from studies.commands.texts.tables import table

    evaluation = reading.evaluation
    rows = []
    for name, measured in evaluation.metrics.items():
        interval = "" if measured.low is None else f"{measured.low:.4g} to {measured.high:.4g}"
        validation = "" if measured.validation is None else f"{measured.validation:.4g}"
        rows.append([cut(name, 36), f"{measured.value:.4g}", interval, validation])
    lines = [
        *reading.flaws,
        f"{evaluation.study}: trial {evaluation.trial}, epoch {evaluation.epoch}, on "
        f"{evaluation.samples} sealed test samples",
        *table(["", "test", "95 % interval", "validation"], rows, breaking=()),
    ]
    if evaluation.resamples:
        lines.append(
            "intervals: exact for accuracies, else percentiles of "
            f"{evaluation.resamples:,} bootstrap resamples"
        )
    if evaluation.note:
        lines.append(f"no interval: {evaluation.note}")
    return "\n".join(part for line in lines for part in wrapped(line, indent=2))


@click.command("promote", short_help="Choose another champion, or train it on more data.")
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option("--reason", default="", help="Why, kept on the registered version.")
@click.option(
    "--refit",
    is_flag=True,
    help="Train on training and validation data together, and register that as 'refit'.",
)
@_of_a_trial
def promote_command(recorded: _Recorded, trial: int | None, reason: str, refit: bool) -> None:
    """Register the checkpoint of a trial as the study's champion.

    MLflow keeps the versions that it has of earlier champions. Launches keep a trial that was
    promoted by its number or with a reason, and say so if another one is better. Without both, it
    is the best trial, and launches choose the champion again. A trial whose checkpoint is gone is
    trained again, with the same bits.

    --refit trains the configuration on training and validation data together, for as many epochs
    as were best: an epoch then has more steps, in proportion to the data. That model is registered
    as models:/NAME@refit and has no validation value. Without --trial, the champion is refitted
    and stays.

    \b
    kerastudy promote digits --trial 7 --reason "half the size, nearly as good"
    kerastudy promote digits --refit
    kerastudy promote digits
    """
    from studies.champion import promote_trial
    from studies.progress import showing

    history = recorded.history()
    with showing() as progress:
        promotion = promote_trial(
            history,
            trial,
            reason=reason,
            refit=refit,
            engine=recorded.engine and history.description.engine,
            data=recorded.data,
            progress=progress,
        )
    document = dataclasses.asdict(promotion)
    answer(recorded.as_json, lambda: document, lambda: promotion_text(promotion))


def promotion_text(promotion: Promotion) -> str:
    """Returns the registered models as text, of at most 80 columns."""
    from search_spaces.texts import counted

    trial, how, lines = f"trial {promotion.trial}", promotion.how, []
    if promotion.champion:
        value = f"{promotion.metric} {promotion.value:.6g}"
        lines.append(f"champion: {trial}, epoch {promotion.epoch}, {value}, {promotion.champion}")
    if how is not None:
        steps = f"{counted(how.steps, 'step')} (the trial had {how.steps_before})"
        lines.append(
            f"refit: {trial} on {how.samples} samples, {counted(how.epochs, 'epoch')} of {steps}, "
            f"{promotion.refit}"
        )
    lines += [f"note: {note}" for note in promotion.notes]
    return "\n".join(part for line in lines for part in wrapped(line, indent=2))


@click.command(
    "reproduce", short_help="Run a trial again from its record, and compare bit for bit."
)
@click.argument("study")
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option(
    "--trainer",
    type=click.Choice(["plain", "compiled"]),
    default="plain",
    show_default=True,
    help="Train it by model.fit, or by the compiled trainer.",
)
@_of_a_trial
def reproduce_command(recorded: _Recorded, trial: int | None, trainer: Any) -> None:
    """Run a trial again from its record, in a new process, and compare.

    Trains by plain model.fit, whatever trained it before: "identical" means that Keras alone gives
    these bits.

    Exits with 0 only if every metric of every epoch, and the weights of the best epoch, are
    identical; else with 1.

    \b
    kerastudy reproduce digits
    kerastudy reproduce digits --trial 7 --json
    kerastudy reproduce digits --trainer compiled
    """
    from studies.champion import reproduce
    from studies.progress import showing

    history = recorded.history()
    with showing() as progress:
        outcome = reproduce(history, trial, data=recorded.data, trainer=trainer, progress=progress)
    document = dataclasses.asdict(outcome)
    digests = ("recorded", "reproduced")
    document["weights_sha256"] = {name: document.pop(f"{name}_sha256") for name in digests}
    document["trainer"] = outcome.trainer or None
    several = len(history.engines) > 1
    answer(
        recorded.as_json,
        lambda: document,
        lambda: reproduction_text(outcome, name_engine=several),
    )
    sys.exit(0 if outcome.identical else EXIT_NO)


def reproduction_text(outcome: Reproduction, *, name_engine: bool = False) -> str:
    """Returns the outcome of a reproduction as text."""
    from search_spaces.texts import counted
    from studies.champion.reproduction import trainer_in_words

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
            things = counted(len(others), "thing")
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
        lines += [line for other in others for line in wrapped(f"environment: {other}")]
    return "\n".join(lines)


@click.command("confirm", short_help="Check the choice: train the best trials again.")
@click.argument("study")
@click.option("--top", type=int, default=8, show_default=True, help="How many trials race.")
@click.option(
    "--seeds",
    type=int,
    default=5,
    show_default=True,
    help="Fresh seeds for the test part, and the most new seeds of a racer; 5 or more.",
)
@click.option(
    "--budget",
    type=int,
    default=16,
    show_default=True,
    help="Trainings of the race, in all; of a cross-validated study each is of all folds.",
)
@click.option("--no-test", is_flag=True, help="Leave the sealed test part sealed.")
@click.option("--keep", is_flag=True, help="Keep the present champion, whoever wins.")
@click.option(
    "--workers", type=int, help="Trainings at once, each in a process.  [default: as many as suit]"
)
@click.option(
    "--executor",
    type=click.Choice(["worker", "in-process"]),
    help="Where trainings run.  [default: worker]",
)
@_of_a_trial
def confirm_command(
    recorded: _Recorded,
    top: int,
    seeds: int,
    budget: int,
    no_test: bool,
    keep: bool,
    workers: int | None,
    executor: Any,
) -> None:
    """Check the choice: how much of the best value to believe, and whether tuning paid.

    The best value is the best of many noisy ones, so it promises too much. This corrects it, and
    the best trials race under new seeds: 8 under one, the best 4 under another, the best 2 under
    two more. Then the winner and the space's declared defaults are trained under 5 further seeds,
    and the sealed test part is read, once. After r readings of it, by evaluate too, intervals are
    of the level 1 - 0.05/r. Of a cross-validated study the race is on its folds; the test part is
    read by models that are trained on all of them.

    The winner becomes the champion, whatever the test part says: that is no ground to choose.
    Launches keep it. --keep leaves the present champion.

    Everything is recorded below the study. Stop it with Ctrl-C, and run it again to resume: no
    training runs twice. If nothing has changed since, it shows what is recorded.

    \b
    kerastudy confirm digits
    kerastudy confirm digits --top 4 --budget 8 --workers 2
    kerastudy confirm digits --no-test --json
    """
    from studies.champion import ConfirmOptions, confirm_study, where_trainings_run
    from studies.progress import showing
    from tracking.history.verdicts import verdict_by

    options = ConfirmOptions(top=top, seeds=seeds, budget=budget, test=not no_test)
    where = where_trainings_run(executor, workers, "worker")
    history = recorded.history()
    with showing() as progress:
        confirmation = confirm_study(
            history,
            options,
            data=recorded.data,
            keep=keep,
            in_process=where == "in-process",
            workers=workers,
            progress=progress,
        )
    verdict = verdict_by(history, confirmation)
    document = {"verdict": verdict.text, **dataclasses.asdict(confirmation)}
    answer(recorded.as_json, lambda: document, lambda: confirmation_text(confirmation, verdict))


def confirmation_text(confirmation: Confirmation, verdict: StudyVerdict) -> str:
    """Returns a confirmation and its verdict as text, of at most 80 columns."""
    from studies.commands.texts.tables import in_blocks

    winner, default = confirmation.winner, confirmation.default
    rows = [_racer_row(r, "winner" if r.trial == winner else "") for r in confirmation.race]
    if default is not None and default.trial not in {racer.trial for racer in confirmation.race}:
        rows.append(_racer_row(default, "defaults"))
    heading = ["trial", confirmation.metric, "seeds", "weights", "epochs", ""]
    columns = [list(column) for column in zip(heading, *rows, strict=True)]
    lines = [*wrapped(verdict.text, indent=0), "", *in_blocks(columns), ""]
    for sentence in verdict.grounds:
        lines += wrapped(f"  {sentence}", indent=2)
    return "\n".join(lines)


def _racer_row(racer: Racer, part: str) -> list[str]:
    values = [value for value in racer.values if value is not None]
    failed = len(racer.values) - len(values)
    without = "infeasible" if failed else ""
    return [
        "" if racer.trial < 0 else f"{racer.trial}",
        f"{statistics.fmean(values):.4g}" if values else without,
        f"{len(racer.values)}" if racer.values else "",
        f"{racer.model_parameters:,}" if racer.model_parameters else "",
        f"{racer.epochs}",
        ", ".join(filter(None, (part, f"{failed} infeasible" if failed else ""))),
    ]

"""``kerastudy launch``."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import Any, Final

import click

from studies.commands.command_line import (
    EXIT_INTERRUPTED,
    Sectioned,
    json_option,
    print_json,
    store_option,
    tell,
    telling_errors,
)
from studies.lines import wrapped

# By section of the help: the names of the options' values.
_SECTIONS: Final = {
    "What to tune": (
        *("ranges", "only", "start_with", "name", "data", "column", "direction", "dry_run"),
    ),
    "Budget": (
        *("trials", "epochs", "repeats", "folds", "timeout", "trial_timeout", "stop_at"),
        *("patience", "at_the_end"),
    ),
    "Search": ("engine", "pruner", "seed"),
    "Where it runs": (
        *("store", "workers", "executor", "address", "cpus_per_trial", "gpus_per_trial"),
        "tracking_uri",
    ),
    "Advanced": ("deterministic", "keep", "verify", "retry_infeasible", "any_hardware"),
    "Output": ("report", "quiet", "as_json"),
}

# Options of a launch; the others are settings of the study.
_OF_LAUNCH: Final = (
    *("store", "executor", "workers", "at_the_end", "tracking_uri", "verify", "retry_infeasible"),
    *("any_hardware", "report"),
)


@click.command(
    "launch",
    cls=Sectioned,
    sections=_SECTIONS,
    epilog="Launch a stopped study again to resume it.",
)
@click.argument("target", metavar="TARGET", required=False)
@click.option(
    "--set",
    "ranges",
    multiple=True,
    metavar="NAME=DOMAIN",
    help="A hyperparameter's range (LOW..HIGH), choices (A,B) or value; once for each.",
)
@click.option("--only", multiple=True, metavar="NAME,NAME", help="Vary only these; fix all others.")
@click.option(
    "--start-with",
    metavar="FILE|study:NAME",
    help="Values of the next trials: a JSON or CSV file, also one of export --as csv; or the best "
    "ten trials of another study.",
)
@click.option("--name", help="Another name for the study, which starts as a new one.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A file in place of the study's own data: npz (x_train, y_train, …), csv or parquet; or a "
    "folder of images or texts.",
)
@click.option(
    "--target", "column", metavar="COLUMN", help="The column to predict, of a table by --data."
)
@click.option(
    "--direction",
    type=click.Choice(["maximize", "minimize"]),
    help="Which way the value of an objective function is better.  [default: minimize]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be tuned; train and write nothing.")
@click.option("--trials", type=int, help="Trials in total, with those already done.")
@click.option("--epochs", type=int, help="Epochs of a trial.")
@click.option("--repeats", type=int, help="Trainings of each trial, each under its own seed.")
@click.option(
    "--folds",
    type=int,
    help="Cross-validate: train each trial on so many folds of all but the test part.",
)
@click.option("--timeout", metavar="TIME", help="Limit of this launch, such as 90s, 30m or 1h30m.")
@click.option(
    "--trial-timeout", metavar="TIME", help="Limit of a training, such as 10m; then it is cut."
)
@click.option("--stop-at", type=float, help="Value of the objective at which the study ends.")
@click.option("--patience", type=int, help="Trials without a better value after which it ends.")
@click.option(
    "--at-the-end",
    type=click.Choice(["finish", "cut"]),
    default="finish",
    show_default=True,
    help="Finish or cut running trials when time, value or patience ends it.",
)
@click.option("--engine", help="Proposes trials, such as optuna:tpe; see above.")
@click.option("--pruner", help="Stops hopeless trials, such as median; see above.")
@click.option("--seed", type=int, help="Same seed, same study.")
@store_option
@click.option(
    "--workers",
    type=int,
    help="Trials to run at once.  [default: $KERASTUDY_WORKERS, or what suits the machine]",
)
@click.option(
    "--executor",
    type=click.Choice(["worker", "in-process", "ray"]),
    help="Where trials run: in worker processes, in this one, or on a Ray cluster.  "
    "[default: worker]",
)
@click.option(
    "--address",
    help="Of the Ray cluster: auto, or HOST:PORT of its head.  [default: $RAY_ADDRESS, or a Ray of "
    "this machine alone]",
)
@click.option(
    "--cpus-per-trial",
    type=float,
    help="CPUs that Ray reserves for a trial.  [default: its threads]",
)
@click.option(
    "--gpus-per-trial",
    type=float,
    help="GPUs, or a share of one such as 0.5.  [default: 1 if the cluster has GPUs]",
)
@click.option(
    "--tracking-uri",
    help="An MLflow server that gets a copy, such as http://127.0.0.1:5000, or off.  "
    "[default: as before, or $MLFLOW_TRACKING_URI]",
)
@click.option(
    "--deterministic",
    is_flag=True,
    default=None,
    help="Make the study independent of timing, with several workers too.",
)
@click.option("--keep", help="How many checkpoints to keep (those of the best trials), or all.")
@click.option(
    "--verify",
    type=click.Choice(["full", "some", "off"]),
    default="some",
    show_default=True,
    help="Train the best trial again by model.fit before it is registered: in full, for a tenth of "
    "the launch, or not.",
)
@click.option(
    "--retry-infeasible",
    is_flag=True,
    help="Train infeasible trials again, after you mended why they failed.",
)
@click.option(
    "--any-hardware",
    is_flag=True,
    help="Resume on another kind of processor or GPU too. Bits may differ; the record says so.",
)
@click.option(
    "--report/--no-report",
    default=None,
    help="Whether to write a report of the study.  [default: unless $KERASTUDY_REPORT is off]",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the outcome alone: no progress.")
@json_option
@telling_errors
def launch_command(
    target: str | None,
    data: Path | None,
    column: str | None,
    only: tuple[str, ...],
    ranges: tuple[str, ...],
    address: str | None,
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Run a study, or resume it.

    TARGET is a study of the catalog (digits), a file (my_study.py), or a file and the variable
    that holds the study (my_study.py:wide). The file may be a script for Keras Tuner or Optuna: it
    runs up to its tuner.search(...) or study.optimize(...), which becomes the study. The variable
    may be an objective of Optuna's, a function of a trial that returns a number.

    \b
    kerastudy launch digits
    kerastudy launch digits --dry-run
    kerastudy launch my_study.py --trials 100 --pruner median
    kerastudy launch my_study.py:wide --engine quasi-random --name "first look"
    kerastudy launch digits --trials 500 --timeout 2h --stop-at 0.99
    kerastudy launch digits --engine optuna:tpe,n_startup_trials=20
    kerastudy launch digits --set l2=1e-4 --set dropout=0.1..0.5 --name narrow
    kerastudy launch digits --start-with study:narrow --name again
    kerastudy launch my_study.py --data houses.csv --target price
    kerastudy launch my_study.py --executor ray --address auto --workers 32
    kerastudy launch tune.py

    \b
    engines  optuna:tpe, optuna:random, optuna:quasi-random, optuna:cma-es,
             optuna:grid, keras-tuner:random, keras-tuner:bayesian,
             keras-tuner:hyperband, keras-tuner:grid
    pruners  none, median, percentile, successive-halving, hyperband, threshold,
             patient

    Settings of an engine or a pruner follow its name: median,n_warmup_steps=3.
    """
    if target is None:
        raise click.UsageError(
            "Missing argument 'TARGET'. For a first study: kerastudy launch digits. For the others "
            "of the catalog: kerastudy list --catalog."
        )
    from studies.user_code import resolve_target

    found = resolve_target(target)
    from search_spaces import Tailoring
    from studies.commands.records import data_to_use, definition_document, study_document
    from studies.commands.texts.study_text import definition_text, study_text, verdict_text
    from studies.running.launch import describe_target, launch_target
    from studies.running.opening import LaunchOptions

    ray = ray_options(settings["executor"], address, cpus_per_trial, gpus_per_trial)
    of_launch = {name: settings.pop(name) for name in _OF_LAUNCH}
    options = LaunchOptions(**of_launch, progress=not quiet, ray=ray)
    overrides = overrides_of(settings)
    tailoring = Tailoring.from_arguments(only, ranges)
    if not tailoring.empty:
        overrides["tailoring"] = tailoring
    other_data = data_to_use(data, column, " For a value at which the study ends, use --stop-at.")
    if dry_run:
        description = describe_target(found, options.place, overrides=overrides, data=other_data)
        if as_json:
            print_json(definition_document(description))
        else:
            tell(definition_text(description))
        return
    try:
        # What code of the user's prints in this process is no result.
        with contextlib.redirect_stdout(sys.stderr):
            history = launch_target(found, options, overrides=overrides, data=other_data)
    except KeyboardInterrupt:
        # The terminal may have hung up. A command to copy is not broken into lines.
        with contextlib.suppress(OSError):
            told = "kerastudy: interrupted; nothing is lost. To resume, give the same command:"
            between = " "
            if sys.stderr.isatty():
                told, between = "\n".join(wrapped(told, indent=2)), "\n  "
            click.echo(f"{told}{between}{_command_line()}", err=True)
        sys.exit(EXIT_INTERRUPTED)
    if as_json:
        print_json(study_document(history))
    else:
        tell(verdict_text(history) if quiet else study_text(history))


def _command_line() -> str:
    import shlex

    return shlex.join(["kerastudy", *sys.argv[1:]])


def ray_options(
    executor: str | None, address: str | None, cpus: float | None, gpus: float | None
) -> Any:
    """Returns the options of a Ray cluster; None if there are none."""
    from search_spaces.errors import StudyError
    from studies.executors.ray import RayOptions

    if executor != "ray" and (address, cpus, gpus) == (None, None, None):
        return None
    if executor != "ray":
        raise StudyError(
            "--address, --cpus-per-trial and --gpus-per-trial are those of a Ray cluster. Add "
            "--executor ray, or leave them out."
        )
    return RayOptions(address=address, cpus_per_trial=cpus, gpus_per_trial=gpus)


def overrides_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings to replace, by name. Raises StudyError where one can't be."""
    from studies.definition.settings import (
        check_count,
        check_engine,
        check_pruner,
        check_stop_at,
    )
    from tracking.store.folder import check_study_name

    overrides = {name: value for name, value in settings.items() if value is not None}
    if "folds" in overrides:
        overrides["cross_validation"] = overrides.pop("folds")
    for name in ("trials", "epochs", "repeats", "patience"):
        if name in overrides:
            check_count(name, overrides[name])
    for name, check in (
        ("engine", check_engine),
        ("pruner", check_pruner),
        ("name", check_study_name),
    ):
        if name in overrides:
            overrides[name] = check(overrides[name])
    if "stop_at" in overrides:
        check_stop_at(overrides["stop_at"])
    if "keep" in overrides:
        overrides["keep"] = _keep(overrides["keep"])
    if "start_with" in overrides:
        overrides["initial"] = overrides.pop("start_with")
    for name in ("timeout", "trial_timeout"):
        if name in overrides:
            overrides[name] = seconds_of(name.replace("_", "-"), overrides[name])
    return overrides


def seconds_of(name: str, text: str) -> float:
    """Returns the seconds of a time such as 1h30m. Raises StudyError if it is none."""
    from search_spaces.errors import StudyError

    try:
        seconds = float(text)
    except ValueError:
        # A dependency of MLflow, which the launch needs anyway.
        import pandas as pd

        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError:
            seconds = math.nan
    if not 0 < seconds < math.inf:
        raise StudyError(
            f"--{name} takes a time above 0, in seconds or such as 90s, 30m or 1h30m. "
            f"Received: {text!r}."
        )
    return seconds


def _keep(text: str) -> int | None:
    from search_spaces.errors import StudyError

    if text == "all":
        return None
    if text.isdigit() and int(text) >= 1:
        return int(text)
    raise StudyError(f"--keep takes a whole number of at least 1, or all. Received: {text!r}.")

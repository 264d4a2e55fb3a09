"""``kerastudy launch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from studies.commands.main import EXIT_INTERRUPTED, json_option, store_option, telling_errors


@click.command("launch", epilog="A study that was stopped goes on when it is launched again.")
@click.argument("target")
@click.option("--trials", type=int, help="Trials in total, those already done included.")
@click.option("--epochs", type=int, help="Epochs of a trial.")
@click.option("--batch-size", type=int, help="Samples per training step.")
@click.option("--engine", help="What proposes trials, such as optuna:tpe; see below.")
@click.option("--pruner", help="What stops hopeless trials, such as median; see below.")
@click.option("--seed", type=int, help="Same seed, same study.")
@click.option("--name", help="Another name for the study; starts it anew.")
@click.option("--keep", help="How many checkpoints to keep (those of the best trials), or all.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="An npz file (x_train, y_train, …) in place of the study's own data.",
)
@click.option(
    "--executor",
    type=click.Choice(["worker", "in-process"]),
    default="worker",
    show_default=True,
    help="Where trials run: in a worker process, or in this one.",
)
@store_option
@json_option
@telling_errors
def launch_command(
    target: str,
    store: Path | None,
    executor: Any,
    data: Path | None,
    keep: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Run a study, or go on with it.

    TARGET is a study of the catalog (digits), a file (my_study.py), or a file and the variable
    that holds the study (my_study.py:wide).

    \b
    kerastudy launch digits
    kerastudy launch my_study.py --trials 100 --pruner median
    kerastudy launch my_study.py:wide --engine optuna:quasi-random --name "wide, first look"

    \b
    engines  optuna:tpe, optuna:random, optuna:quasi-random, optuna:cma-es, optuna:grid
    pruners  none, median, percentile, successive-halving, hyperband, patient
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json, study_document, study_text
    from studies.launching import launch_target
    from studies.loading import resolve_target
    from studies.settings import check_engine, check_pruner
    from studies.study import check_count
    from tracking.names import check_study_name

    overrides = {name: value for name, value in settings.items() if value is not None}
    for name in ("trials", "epochs", "batch_size"):
        if name in overrides:
            check_count(name.replace("_", "-"), overrides[name])
    for name, check in (
        ("engine", check_engine),
        ("pruner", check_pruner),
        ("name", check_study_name),
    ):
        if name in overrides:
            overrides[name] = check(overrides[name])
    if keep is not None:
        overrides["keep"] = _keep(keep)
    try:
        history = launch_target(
            resolve_target(target),
            store=store,
            executor=executor,
            overrides=overrides,
            data="" if data is None else str(data.expanduser().absolute()),
        )
    except KeyboardInterrupt:
        click.echo(
            "kerastudy: interrupted; nothing is lost. To go on, give the same command again: "
            + _command_line(),
            err=True,
        )
        sys.exit(EXIT_INTERRUPTED)
    if as_json:
        print_json(study_document(history))
    else:
        click.echo(study_text(history))


def _keep(text: str) -> int | None:
    from studies.errors import StudyError

    if text == "all":
        return None
    if text.isdigit() and int(text) >= 1:
        return int(text)
    raise StudyError(f"--keep takes a whole number of at least 1, or all. Received: {text!r}.")


def _command_line() -> str:
    import shlex

    return shlex.join(["kerastudy", *sys.argv[1:]])

"""``kerastudy compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors
from studies.commands.texts.tables import in_blocks, states, table
from studies.lines import COLUMNS, printable, terminal_columns, wrapped

if TYPE_CHECKING:
    from tracking.history.comparison import Comparison, Reached, Standing


@click.command("compare", short_help="Compare studies, or the engines of one study.")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Which engine's trials; may be repeated.  [default: all of one study, else that of its "
    "best trial]",
)
@click.option(
    "--reach",
    type=float,
    multiple=True,
    metavar="VALUE",
    help="A value to reach: after how many trials? May be repeated.  [default: some that all do]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="Best trials whose regions are compared.  [default: a fifth of them, 3 to 10]",
)
@store_option
@json_option
@telling_errors
def compare_command(
    studies: tuple[str, ...],
    engines: tuple[str, ...],
    reach: tuple[float, ...],
    top: int | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Compare studies, or the engines of one study: how good, how soon, and where.

    They must have the same objective. Seconds are of training, summed over trials. An overlap of 0
    means disjoint regions, 1 the same region.

    \b
    kerastudy compare digits digits-wide
    kerastudy compare digits
    kerastudy compare digits --engine tpe --engine random --reach 0.95
    kerastudy compare digits digits-wide --top 5 --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import histories_of, history_of
    from tracking.history.comparison import compare

    histories = histories_of(studies, engines, store)
    if len(studies) == 1 and not engines:
        histories = [history_of(studies[0], engine, store) for engine in histories[0].engines]
    comparison = compare(histories, reach, top)
    if as_json:
        print_json(_document(comparison))
    else:
        tell(_text(comparison))


def _document(comparison: Comparison) -> dict[str, Any]:
    objective = comparison.objective
    return {
        "objective": {"metric": objective.metric, "direction": objective.direction},
        "studies": [_study(standing) for standing in comparison.standings],
        "targets": list(comparison.targets),
        "top": {
            "trials": comparison.top,
            "overlap": comparison.overlap,
            "parameters": [
                {
                    "name": parameter.name,
                    "kind": "interval" if parameter.numeric else "set",
                    "regions": [list(region) for region in parameter.regions],
                    "overlap": parameter.overlap,
                }
                for parameter in comparison.parameters
            ],
        },
        "notes": list(comparison.notes),
    }


def _study(standing: Standing) -> dict[str, Any]:
    best, description = standing.best, standing.history.description
    return {
        "study": description.name,
        "engine": description.engine,
        "best": None
        if best is None or best.best is None
        else {
            "value": best.best.value,
            "epoch": best.epoch,
            "trial": best.number,
            "params": dict(best.spec.values),
        },
        "trials": standing.history.counts(),
        "epochs": standing.epochs,
        "seconds": standing.seconds,
        "data_digest": description.data.digest,
        "reached": [
            {
                "target": reached.target,
                "trials": reached.trials,
                "epochs": reached.epochs,
                "seconds": reached.seconds,
            }
            for reached in standing.reached
        ],
    }


def _text(comparison: Comparison) -> str:
    objective = comparison.objective
    labels = [standing.label for standing in comparison.standings]
    header = ["study", "engine", "best", "epoch", "trial", "trials", "epochs", "seconds"]
    rows = [_row(standing) for standing in comparison.standings]
    narrow = terminal_columns() < COLUMNS
    if len({name for name, *_ in rows}) == 1:
        # Its engines are compared.
        header, rows = header[1:], [row[1:] for row in rows]
    lines = [
        f"objective  {objective.direction} {printable(objective.metric)}",
        "",
        # An engine is copied into other commands.
        *table(header, rows, breaking=["study", "trials", *(["engine"] if narrow else [])]),
    ]
    if comparison.targets:
        columns = [[f"to reach {objective.metric}", *(f"{t:.6g}" for t in comparison.targets)]]
        columns += [
            [standing.label, *map(_cost, standing.reached)] for standing in comparison.standings
        ]
        lines += ["", *in_blocks(columns)]
    if comparison.parameters and comparison.overlap is not None:
        found = comparison.parameters
        overlaps = [*(f"{p.overlap:.2f}" for p in found), f"{comparison.overlap:.2f}"]
        columns = [
            [f"top {comparison.top} trials", *(p.name for p in found), "mean"],
            *(
                [label, *(_region(p.regions[i], p.numeric) for p in found), ""]
                for i, label in enumerate(labels)
            ),
            ["overlap", *overlaps],
        ]
        lines += ["", *in_blocks(columns)]
    for note in comparison.notes:
        lines += ["", *wrapped(f"note: {note}", indent=6)]
    return "\n".join(lines)


def _row(standing: Standing) -> list[str]:
    counts = standing.history.counts()
    by_state = states(counts)
    trials = f"{counts['total']}: {by_state}" if by_state else "none yet"
    best = standing.best.best if standing.best is not None else None
    shown = ["no value yet", "", ""]
    if standing.best is not None and best is not None:
        epoch = standing.best.epoch
        at = "-" if epoch is None else str(epoch)
        shown = [f"{best.value:.6g}", at, str(standing.best.number)]
    description = standing.history.description
    return [
        description.name,
        description.engine,
        *shown,
        trials,
        str(standing.epochs),
        f"{standing.seconds:.1f}",
    ]


def _cost(reached: Reached) -> str:
    if reached.trials is None or reached.epochs is None or reached.seconds is None:
        return "not reached"
    trials = f"{reached.trials} trial{'' if reached.trials == 1 else 's'}"
    return f"{trials}, {reached.epochs} epochs, {reached.seconds:.1f} s"


def _region(region: tuple[Any, ...], numeric: bool) -> str:
    shown = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in region]
    return " to ".join(dict.fromkeys(shown)) if numeric else ", ".join(shown)

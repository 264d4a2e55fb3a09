"""Prints the figures as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.peers.figures import WHOLE

# Columns are narrow, so that eleven fit into 80 characters.
_COLUMNS = ("n", "s", "×", "CPU s", "×", f"{WHOLE}\ns", "×", f"{WHOLE}\nCPU s", "×", "best")


def print_table(document: Mapping[str, Any]) -> None:
    """Prints a table for each work of a document, and the meaning of its columns."""
    console = Console(highlight=False)
    systems: dict[str, str] = {}
    for work in document["works"].values():
        console.print(_table(work))
        for name, system in work["systems"].items():
            systems[name] = f"{system['title']}: {system['note']}"
            if "error" in system:
                console.print(f"{name} {system['error']}", markup=False)
        console.print()
    for name, text in systems.items():
        console.print(f"{name:13} {text}")
    console.print(
        "\nn: trials of a command. s: seconds per trial by the clock, in the steady state, after "
        "the first trials. CPU s: CPU seconds per trial, of all processes; two workers halve the "
        f"seconds, but not the CPU seconds. {WHOLE} s, {WHOLE} CPU s: of a whole command of "
        f"{WHOLE} trials, start-up included; ~ means that missing trials were added at the steady "
        "pace. ×: the figure on its left divided by kerastudy's. best: the best validation "
        "accuracy.\n"
        f"{document['machine']['cores']} cores, load {_load(document)}; blocks of each system, "
        f"in turn: {document['blocks']}; images: {document['images']}."
    )


def _table(work: Mapping[str, Any]) -> Table:
    samples = work["samples"]
    table = Table(
        title=f"{work['title']}; {samples['training']} + {samples['validation']} samples, "
        f"{work['epochs']} epochs, batches of {work['batch_size']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    table.add_column("system", no_wrap=True)
    for heading in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, system in work["systems"].items():
        table.add_row(name, *_cells(system))
    return table


def _cells(system: Mapping[str, Any]) -> list[str]:
    if "error" in system:
        return []
    steady, whole = system["steady"], system["command_of_100_trials"]
    about = "" if whole["measured"] else "~"
    ratios = system["ratios_to_kerastudy"] or {}
    return [
        str(system["trials_per_command"]),
        f"{steady['seconds_per_trial']:.2f}",
        _times(ratios.get("steady_seconds")),
        f"{steady['cpu_seconds_per_trial']:.2f}",
        _times(ratios.get("steady_cpu_seconds")),
        f"{about}{whole['seconds']:.0f}",
        _times(ratios.get("command_of_100_trials_seconds")),
        f"{about}{whole['cpu_seconds']:.0f}",
        _times(ratios.get("command_of_100_trials_cpu_seconds")),
        f"{system['best_validation_accuracy']:.3f}",
    ]


def _load(document: Mapping[str, Any]) -> str:
    """Returns how many processes wanted a core before the first command and after the last."""
    before, after = document["machine"]["load"]
    return f"{before:.1f} before and {after:.1f} after"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}"

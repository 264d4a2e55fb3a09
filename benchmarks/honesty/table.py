"""Prints the benchmark's figures as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def print_coverage(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.synthetic.coverage` in a setting."""
    print(f"{figures['setting']}, {figures['studies']} studies")
    for name, hits in figures["held"].items():
        intervals = figures["intervals"][name]
        print(
            f"    {name:<26}{hits:>5} of {intervals:>4} hold = {hits / intervals:6.1%}  "
            f"bias {figures['bias'][name]:+5.2f} ± {figures['error'][name]:.2f}  "
            f"width {figures['width'][name]:5.2f}"
        )


def print_null(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.synthetic.null_studies`."""
    unclaimed, studies = figures["no gain claimed"], figures["studies"]
    print(f"no hyperparameter matters: no gain was claimed in {unclaimed} of {studies} studies")


def print_regret(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.synthetic.regrets` in a setting."""
    print(
        f"{figures['setting']:<14} {figures['studies']:>4} studies   regret of the maximum "
        f"{figures['maximum']:.2f}, of the race {figures['race']:.2f} "
        f"(± {figures['standard error of the difference']:.2f})"
    )


def print_real(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.real`."""
    print(
        f"MNIST, {figures['studies']} studies: corrected {figures['corrected']} hold, "
        f"bias {figures['bias of the corrected']:+.2f}; confirmed {figures['confirmed']} hold; "
        f"reported, bias {figures['bias of the reported']:+.2f}"
    )


def print_small(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.small` in a setting."""
    print(f"{figures['setting']}, {figures['studies']} studies")
    for name in ("corrected", "confirmed"):
        row = figures[name]
        print(
            f"    {name:<12}{row['held']:>5} hold = {row['held'] / figures['studies']:6.1%}  "
            f"{row['width']:5.2f} of an exact width  narrowest {row['narrowest']:.3f}  "
            f"outside {row['outside']}"
        )


def print_grouped(figures: Mapping[str, Any]) -> None:
    """Prints the results of `benchmarks.honesty.grouped` in a setting."""
    studies = figures["studies"]
    print(f"{figures['setting']}, {studies} studies")
    for name in ("corrected", "confirmed", "evaluated", "gain"):
        row = figures[name]
        if not row["given"]:
            print(f"    {name:<12}no interval")
            continue
        width = "" if row["width"] is None else f"{row['width']:5.2f} of an exact width"
        print(f"    {name:<12}{row['held']:>5} of {row['given']} hold  {width}")
    print(f"    {'naive split':<12}{figures['naive']['held']:>5} of {studies} hold")

"""Judges the verdicts on studies whose truth is known.

    python -m benchmarks.honesty --part a
    python -m benchmarks.honesty --part b --data mnist.npz --studies 10
    python -m benchmarks.honesty --part a --setting "digits, TPE" --studies 100 --json

Part a simulates 1,000 studies in each of six settings, in about 20 minutes of CPU. At least 930 of
1,000 intervals shall contain the truth, and the corrected value shall be within 0.3 points of the
truth on average. Part b trains 100 small studies on MNIST; at least 90 of 100 intervals shall
contain the truth. Part c simulates 200 studies in which no hyperparameter matters; no gain shall be
claimed in at least 95 % of them. Part d simulates 300 studies, and measures the regret of the
trials that a confirmation chooses. Part e simulates 1,000 studies in each of 49 settings with few
samples, values near 1, weights or AUC. Part g simulates 1,000 studies in each of 168 settings with
samples in groups. In parts e and g, at least 930 of 1,000 intervals shall contain the truth, and be
at most 1.6 times as wide as an exact interval of one model. By default all parts but b run. Part b
needs --data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.honesty.grouped import GROUPED_SETTINGS, grouped_studies
from benchmarks.honesty.settings import SETTINGS, Setting
from benchmarks.honesty.small import SMALL_SETTINGS, small_studies
from benchmarks.honesty.synthetic import coverage, null_studies, regrets
from benchmarks.honesty.table import (
    print_coverage,
    print_grouped,
    print_null,
    print_real,
    print_regret,
    print_small,
)

_STUDIES = {"a": 1000, "b": 100, "c": 200, "d": 300, "e": 1000, "g": 1000}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=sorted(_STUDIES), help="by default a, c, d, e and g")
    parser.add_argument(
        "--studies", type=int, help="studies of each part, or in parts a and e of each setting"
    )
    parser.add_argument(
        "--setting",
        choices=[setting.name for setting in SETTINGS],
        help="one setting of parts a, c and d instead of all",
    )
    parser.add_argument("--first", type=int, default=0, help="the first study's number, in e and g")
    parser.add_argument("--data", type=Path, help="mnist.npz, for part b")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.studies is not None and options.studies < 2:
        parser.error(f"--studies must be 2 or more, not {options.studies}")
    if options.part == "b" and (options.data is None or not options.data.is_file()):
        parser.error("--part b needs --data, the path of mnist.npz")
    settings = [setting for setting in SETTINGS if options.setting in (None, setting.name)]
    figures: dict[str, Any] = {}
    for part in [options.part] if options.part else ["a", "c", "d", "e", "g"]:
        figures[part] = []
        for result, show in _played(part, options, settings):
            figures[part].append(result)
            if not options.json:
                show(result)
                sys.stdout.flush()
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()


def _played(
    part: str, options: argparse.Namespace, settings: Sequence[Setting]
) -> Iterator[tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]]:
    """Yields the figures of a part as they come, and the function that prints them."""
    studies = options.studies or _STUDIES[part]
    if part == "a":
        for setting in settings:
            yield coverage(setting, studies), print_coverage
    elif part == "b":
        from benchmarks.honesty.real import real_studies

        yield real_studies(options.data, studies), print_real
    elif part == "c":
        yield null_studies(studies, settings), print_null
    elif part == "e":
        for small in SMALL_SETTINGS:
            yield small_studies(small, studies, options.first), print_small
    elif part == "g":
        for grouped in GROUPED_SETTINGS:
            yield grouped_studies(grouped, studies, options.first), print_grouped
    else:
        for result in regrets(studies, settings):
            yield result, print_regret


if __name__ == "__main__":
    main()

"""Measures an ask of Keras Tuner's Bayesian oracle after 300 trials of 8 hyperparameters.

    python -m benchmarks.bayesian [--trials 300] [--asks 3] [--json]

The goal: at most 4 s. The more trials, the longer an ask takes: the Gaussian process solves a
system of one equation per trial, at 21 starts for its length scale and 50 for the acquisition
function.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import kerastudy as ks
from search_spaces import SearchSpace
from studies.engines import EngineSettings, make_engine
from tracking.records import (
    BestEpoch,
    EndedTrial,
    Objective,
    Proposal,
    TrialRecord,
    TrialResult,
    TrialSpec,
)

_OBJECTIVE = Objective("val_loss", "min")
_SPACE = SearchSpace(
    *(ks.Float(f"rate_{i}", 1e-4, 1.0, scale="log") for i in range(6)),
    ks.Choice("kind", ["a", "b"]),
    ks.Int("units", 4, 64),
)


def ask_cost(trials: int, asks: int) -> dict[str, float]:
    """Returns the CPU and wall seconds of an ask, after a number of trials.

    Args:
        trials: Trials that the engine is restored with.
        asks: How many asks are averaged.
    """
    engines = [
        make_engine(
            EngineSettings(
                name="benchmark",
                engine=engine,
                pruner="none",
                space=_SPACE,
                objective=_OBJECTIVE,
                epochs=1,
                seed=0,
            )
        )
        for engine in ("keras-tuner:random", "keras-tuner:bayesian")
    ]
    proposals = [engines[0].ask() for _ in range(trials)]
    engines[1].restore(
        [_record(proposal) for proposal in proposals if proposal is not None], lambda _: {}
    )
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(asks):
        proposal = engines[1].ask()
        assert proposal is not None, "the space is not finite"
        engines[1].tell(proposal.number, _result(proposal))
    return {
        "cpu": (time.process_time() - cpu) / asks,
        "wall": (time.perf_counter() - wall) / asks,
    }


def _record(proposal: Proposal) -> TrialRecord:
    spec = TrialSpec(proposal.number, 1, proposal.values, 0, 1, 32, 1, "", _OBJECTIVE)
    return EndedTrial("", spec, "complete", _result(proposal), proposal.state, {}, "", 0)


def _result(proposal: Proposal) -> TrialResult:
    values = proposal.values
    value = sum(abs(float(v) - 0.1) for name, v in values.items() if name.startswith("rate"))
    value += 0.3 * (values["kind"] == "a") + abs(values["units"] - 30) / 30
    return TrialResult(proposal.number, "complete", 1, BestEpoch(1, value, {}))


def main() -> None:
    """Prints the cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--asks", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cost = ask_cost(options.trials, options.asks)
    if options.json:
        json.dump(cost, sys.stdout, indent=2)
        return
    for name, seconds in cost.items():
        print(f"an ask after {options.trials} trials: {seconds:5.2f} s {name}")


if __name__ == "__main__":
    main()

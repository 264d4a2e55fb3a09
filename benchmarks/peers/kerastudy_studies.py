"""The works as kerastudy's users write them: a study file with a study for each."""

from __future__ import annotations

import os
from typing import Any

import kerastudy as ks
from benchmarks.peers.works import OBJECTIVE, WORKS, Parameter, Range, Whole


def _parameter(parameter: Parameter) -> Any:
    name = parameter.name
    if isinstance(parameter, Range):
        return ks.Float(
            name, parameter.low, parameter.high, scale="log" if parameter.log else "linear"
        )
    if isinstance(parameter, Whole):
        return ks.Int(name, parameter.low, parameter.high)
    return ks.Choice(name, parameter.values)


def _study(name: str) -> ks.Study:
    work = WORKS[name]
    return ks.Study(
        name,
        data=ks.datasets.npz(os.environ["KERASTUDY_BENCHMARK_DATA"], test=0),
        build=work.build,
        space=ks.SearchSpace(*map(_parameter, work.space)),
        engine="random" if work.random else "tpe",
        objective=OBJECTIVE,
        epochs=work.epochs,
        batch_size=work.batch_size,
    )


dense = _study("dense")
structures = _study("structures")
conv = _study("conv")
tabular = _study("tabular")
large = _study("large")

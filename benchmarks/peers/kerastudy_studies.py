"""The works as kerastudy's users write them: a study file with a study for each."""

import os

import kerastudy as ks
from benchmarks.peers.works import OBJECTIVE, WORKS, Range


def _study(name: str) -> ks.Study:
    work = WORKS[name]
    return ks.Study(
        name,
        data=ks.datasets.npz(os.environ["KERASTUDY_BENCHMARK_DATA"], test=0),
        build=work.build,
        space=ks.SearchSpace(
            *(
                ks.Float(
                    parameter.name,
                    parameter.low,
                    parameter.high,
                    scale="log" if parameter.log else "linear",
                )
                if isinstance(parameter, Range)
                else ks.Boolean(parameter.name)
                for parameter in work.space
            )
        ),
        objective=OBJECTIVE,
        epochs=work.epochs,
        batch_size=work.batch_size,
    )


dense = _study("dense")
conv = _study("conv")
tabular = _study("tabular")
large = _study("large")

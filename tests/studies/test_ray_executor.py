"""Where trials run: on a Ray cluster. Its nodes are processes of this machine, of one CPU each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conformance.executor import ExecutorConformance, Open
from ray_cluster import ray_cluster

from studies.executors.ray import RayOptions
from studies.executors.ray.cluster import connected
from studies.executors.ray.workers import RayPool, RayWorkers
from studies.user_code.loading import Target


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with ray_cluster(3) as found:
        yield found


@contextmanager
def on_ray(file: Path, workers: int = 1) -> Iterator[RayPool]:
    with tempfile.TemporaryDirectory() as shared, connected(RayOptions()) as there:
        started = RayWorkers(
            Target(str(file)),
            cluster=there,
            overrides={},
            data="",
            trials=None,
            threads=None,
            workers=workers,
            shared=Path(shared),
            on_output=print,
        )
        try:
            started.load()
            yield started.pool
        finally:
            started.close()


class TestRay(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return on_ray

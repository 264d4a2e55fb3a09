"""Trainings on slow nodes are begun on a second worker too: the same record, sooner (simulated)."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance.executor import Collecting
from scripted import SPACE, describe, run_study
from simulated_cluster import Node, SimulatedCluster

from studies.progress import NoProgress
from tracking.history.study_history import StudyHistory
from tracking.records import Decision, EpochResult, TrialResult, TrialSpec, TrialTask
from tracking.store.folder import create_store

EPOCHS = 8
DIFFERS = (
    "trial 1: epoch {} differs between two nodes, so it can't be reproduced; the first one counts"
)
VALUES = {"rate": 0.01, "units": 32, "kind": "a"}


def slow(name: str, seconds: float, **settings: Any) -> Node:
    return Node(name, lambda spec, epoch: seconds, **settings)


# A pool of workers.


@pytest.fixture
def cluster_of(tmp_path: Path) -> Callable[..., SimulatedCluster]:
    def made(*nodes: Node, **settings: Any) -> SimulatedCluster:
        return SimulatedCluster(describe(epochs=EPOCHS, **settings), [*nodes], tmp_path / "cluster")

    return made


def task_of(folder: Path, number: int, **fields: Any) -> TrialTask:
    objective = describe().objective
    spec = TrialSpec(number, 1, VALUES, number, EPOCHS, 32, 1, "d" * 64, objective, **fields)
    return TrialTask(spec, SPACE, folder / f"{number}.weights.h5", folder / f"{number}.state")


def train(
    cluster: SimulatedCluster,
    folder: Path,
    decide: Callable[[EpochResult], Decision] = lambda epoch: "continue",
    trials: int = 2,
) -> Collecting:
    """Trains as many trials as there are workers, until each has ended."""
    handler = Collecting(decide)
    for number in range(trials):
        cluster.submit(task_of(folder, number))
    cluster.run(handler, lambda: len(handler.results) + len(handler.lost) == trials)
    return handler


def test_each_epoch_and_the_result_are_passed_on_once(cluster_of: Any, tmp_path: Path) -> None:
    cluster = cluster_of(Node("a"), slow("c", 20.0))
    handler = train(cluster, tmp_path)
    assert [(e.number, e.epoch) for e in handler.epochs if e.number] == [
        (1, epoch) for epoch in range(1, EPOCHS + 1)
    ]
    assert [result.number for result in handler.results] == [0, 1]
    assert cluster.said == [
        "trial 1 may take 67 s more on the node c: begun on the node a too, and the first to "
        "finish counts"
    ]
    assert cluster.clock.now < 25
    # The slow worker ends its epoch, and is free again. What it has written does not count.
    cluster.run(handler, lambda: cluster.free == 2)
    assert (tmp_path / "1.state").read_bytes() == b"8 a"
    assert len(handler.results) == 2 and (tmp_path / "1.weights.h5").exists()


def test_from_the_last_state(cluster_of: Any, tmp_path: Path) -> None:
    """A node that becomes slow after four epochs."""
    trained: list[tuple[int, int]] = []

    def seconds(spec: TrialSpec, epoch: int) -> float:
        trained.append((spec.number, epoch))
        return 1.0

    tired = Node("c", lambda spec, epoch: math.inf if epoch > 4 else 1.0)
    handler = train(cluster_of(Node("a", seconds), tired), tmp_path)
    assert len(handler.results) == 2
    assert [epoch for number, epoch in trained if number == 1] == [5, 6, 7, 8]


def test_the_slow_one_may_be_first(cluster_of: Any, tmp_path: Path) -> None:
    """The other's training is then stopped."""
    waking = Node("c", lambda spec, epoch: 30.0 if epoch == 1 else 0.1)
    cluster = cluster_of(slow("a", 3.0), waking)
    handler = train(cluster, tmp_path)
    assert cluster.begun_again
    assert (tmp_path / "1.state").read_bytes() == b"8 c"
    cluster.run(handler, lambda: cluster.free == 2)
    assert (tmp_path / "1.state").read_bytes() == b"8 c"
    assert len(handler.results) == 2


@pytest.mark.parametrize("decision, state", [("prune", "pruned"), ("stop", "interrupted")])
def test_a_decision_is_kept_for_both(
    cluster_of: Any, tmp_path: Path, decision: Decision, state: str
) -> None:
    """The node that decides is the fast one's; the slow one gets the same, of that epoch."""
    asked: list[int] = []

    def decide(epoch: EpochResult) -> Decision:
        asked.extend([epoch.epoch] * epoch.number)
        return decision if (epoch.number, epoch.epoch) == (1, 3) else "continue"

    cluster = cluster_of(Node("a"), slow("c", 20.0))
    handler = train(cluster, tmp_path, decide)
    assert [(r.state, r.epochs) for r in handler.results] == [("complete", 8), (state, 3)]
    assert asked == [1, 2, 3]


@pytest.mark.parametrize("since, counts", [(1, "c"), (5, "a")])
def test_metrics_that_differ(cluster_of: Any, tmp_path: Path, since: int, counts: str) -> None:
    """The first report counts, and whose differs stops. The second node is first in epoch 5."""
    other = slow("a", 3.0, metrics=lambda value, epoch: value + 0.5 * (epoch >= since))
    cluster = cluster_of(other, Node("c", lambda spec, epoch: 25.0 if epoch == 5 else 1.0))
    handler = train(cluster, tmp_path)
    cluster.run(handler, lambda: cluster.free == 2)
    assert cluster.said[1:] == [DIFFERS.format(since)]
    assert [e.epoch for e in handler.epochs if e.number] == [*range(1, EPOCHS + 1)]
    assert len(handler.results) == 2
    assert (tmp_path / "1.state").read_bytes() == f"8 {counts}".encode()


def test_what_fails_on_the_second_node_does_not_count(cluster_of: Any, tmp_path: Path) -> None:
    fails = Node("a", fails=lambda spec, epoch: (spec.number, epoch) == (1, 4))
    handler = train(cluster_of(fails, slow("c", 20.0)), tmp_path)
    assert [result.state for result in handler.results] == ["complete", "complete"]
    assert (tmp_path / "1.state").read_bytes() == b"8 c"


def test_the_second_may_be_slow_too(cluster_of: Any, tmp_path: Path) -> None:
    """Its training is then begun on a third."""
    stuck = Node("b", lambda spec, epoch: math.inf if spec.number == 2 else 0.5)
    cluster = cluster_of(Node("a"), stuck, slow("c", math.inf))
    handler = train(cluster, tmp_path, trials=3)
    assert [re.findall("node (.)", line) for line in cluster.said] == [["c", "b"], ["c", "a"]]
    assert len(handler.results) == 3
    assert (tmp_path / "2.state").read_bytes() == b"8 a"


def test_one_of_two_dies(cluster_of: Any, tmp_path: Path) -> None:
    """Either of them: the other's training goes on, and nothing is lost."""
    for dying in "ac":
        folder = tmp_path / dying
        dies = lambda spec, epoch: (spec.number, epoch) == (1, 4)  # noqa: E731
        second = Node("a", dies=dies if dying == "a" else lambda spec, epoch: False)
        first = Node(
            "c",
            lambda spec, epoch: 7.0,
            dies=lambda spec, epoch, d=dying: d == "c" and (spec.number, epoch) == (1, 2),
        )
        cluster = SimulatedCluster(describe(epochs=EPOCHS), [second, first], folder / "cluster")
        handler = train(cluster, folder)
        assert not handler.lost and cluster.said[1].startswith("trial 1: ")
        survivor = "c" if dying == "a" else "a"
        assert (folder / "1.state").read_bytes() == f"8 {survivor}".encode()


def test_both_die(cluster_of: Any, tmp_path: Path) -> None:
    """It is lost once; and a trial that the driver cuts has no survivor."""
    cluster = cluster_of(Node("a"), slow("c", 20.0))

    def decide(epoch: EpochResult) -> Decision:
        if (epoch.number, epoch.epoch) == (1, 3):
            assert cluster.cut(1)
        return "continue"

    handler = train(cluster, tmp_path, decide)
    assert [number for number, _ in handler.lost] == [1]
    cluster.run(handler, lambda: cluster.free == 2)
    assert len(handler.lost) == 1 and len(handler.results) == 1


@pytest.mark.parametrize(
    "node, settings",
    [
        (slow("a", 6.0), {}),
        (slow("c", 6.0, hardware="y"), {}),
        (slow("c", 6.0), {"objective_function": "train"}),
        (slow("c", 6.0), {"goes_on": False}),
        (slow("c", 1.5), {}),
    ],
    ids=["one node", "other hardware", "objective function", "own fit", "hardly slower"],
)
def test_where_no_training_is_begun_twice(
    cluster_of: Any, tmp_path: Path, node: Node, settings: dict[str, Any]
) -> None:
    cluster = cluster_of(Node("a"), node, **settings)
    train(cluster, tmp_path)
    assert not cluster.said and cluster.clock.now > 12


def test_the_last_epoch_may_be_reported_twice(cluster_of: Any, tmp_path: Path) -> None:
    cluster = cluster_of(Node("a", concludes=True), goes_on=False)
    handler = train(cluster, tmp_path, trials=1)
    assert [epoch.epoch for epoch in handler.epochs] == [*range(1, EPOCHS + 1), EPOCHS]


# Whole studies.


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_store(tmp_path_factory.mktemp("empty") / "store").root


Launch = Callable[..., tuple[list[Any], SimulatedCluster]]


@pytest.fixture
def launch(empty: Path, tmp_path: Path) -> Launch:
    """Runs a study on nodes; returns its record, and the cluster at its end."""

    def launched(nodes: list[Node], **settings: Any) -> tuple[list[Any], SimulatedCluster]:
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        shutil.copytree(empty, folder / "store")
        fields = {"deterministic": True, "trials": 6, "epochs": EPOCHS, **settings}
        cluster = SimulatedCluster(describe(**fields), nodes, folder)
        history = run_study(
            cluster, progress=NoProgress(), store=folder / "store", workers=len(nodes)
        )
        cluster.close()
        return record(history), cluster

    return launched


def record(history: StudyHistory) -> list[Any]:
    return [
        (t.number, t.state, dict(t.spec.values), t.known, without_runs(t.result), t.losses)
        for t in history.trials
    ]


def without_runs(result: TrialResult | None) -> TrialResult | None:
    """Returns a result without the names of its folds' runs."""
    return result and replace(
        result, repeats=tuple(replace(each, run_id="") for each in result.repeats)
    )


@pytest.mark.parametrize(
    "settings, seconds",
    [
        ({"pruner": "median"}, math.inf),
        pytest.param({"pruner": "median"}, 20.0, marks=pytest.mark.exhaustive),
        pytest.param({"folds": 3, "trials": 4}, math.inf, marks=pytest.mark.exhaustive),
        pytest.param(
            {"engine": "keras-tuner:hyperband", "trials": 14}, 20.0, marks=pytest.mark.exhaustive
        ),
    ],
)
def test_a_study_is_the_same(launch: Launch, settings: dict[str, Any], seconds: float) -> None:
    """With a slow node, and one whose epoch never ends: without this the study would not."""
    expected, undisturbed = launch([Node("a"), Node("b"), Node("c")], **settings)
    found, cluster = launch([Node("a"), Node("b"), slow("c", seconds)], **settings)
    assert found == expected
    assert cluster.begun_again and not undisturbed.begun_again
    assert cluster.clock.now < 3 * undisturbed.clock.now


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens(launch: Launch, seed: int) -> None:
    """Speeds that change, epochs that never end on two nodes, workers that die."""
    draw = random.Random(seed)
    engine = draw.choice(["optuna:tpe", "optuna:random", "keras-tuner:hyperband"])
    pruner = draw.choice(["median", "none", "successive-halving"])
    settings = {
        "engine": engine,
        "pruner": "none" if engine == "keras-tuner:hyperband" else pruner,
        "trials": 14,
    }

    def drawn(name: str) -> Node:
        base = draw.choice([1.0, 2.0, 10.0])
        hangs, ends = draw.choice([0.0, 0.03]), draw.choice([0.0, 0.02])
        if name in "ab":
            hangs = 0.0

        def seconds(spec: TrialSpec, epoch: int) -> float:
            return math.inf if draw.random() < hangs else base * draw.uniform(0.5, 3.0)

        return Node(name, seconds, dies=lambda spec, epoch: draw.random() < ends)

    expected, _ = launch([Node(name) for name in "abcd"], **settings)
    found, cluster = launch([drawn(name) for name in "abcd"], **settings)
    assert [each[:-1] for each in found] == [each[:-1] for each in expected]
    assert not [each for each in cluster.said if "differs" in each]

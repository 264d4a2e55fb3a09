"""The conformance suite of executors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import handmade
import pytest
from study_file import DEEP, study_text

from search_spaces import BuilderError, SearchSpaceError, WorkerError
from studies.executors import Executor
from tracking.records import Decision, EpochResult, Objective, TrialResult, TrialSpec, TrialTask
from tracking.store import checkpoint_digest

STUDY_FILE = study_text(
    **DEEP,
    name='"작은 연구"',
    first="""
    if hp["units"] == 13:
        raise ValueError("unlucky")
""",
    data='ks.datasets.arrays(x, y, name="made up")',
    space="ks.SearchSpace(ks.learning_rate(), ks.dropout(), ks.units(4, 16))",
    objective='"val_loss"',
    trials="4",
    epochs="3",
    # The tests are about proposals of the engine, of which some are unlucky.
    try_defaults="False",
)
VALUES = {"learning_rate": 0.01, "dropout": 0.25, "units": 8}

Open = Callable[..., AbstractContextManager[Executor]]


def make_spec(executor: Executor, number: int = 0, epochs: int = 3, **values: object) -> TrialSpec:
    description = executor.description
    fields = {"values": {**VALUES, **values}, "epochs": epochs, "batch_size": 16}
    fields |= {"threads": description.threads, "data_digest": description.data.digest}
    return handmade.make_spec(number, objective=description.objective, **fields)


class Collecting:
    """A handler that keeps all events."""

    def __init__(
        self, decide: Callable[[EpochResult], Decision] = lambda epoch: "continue"
    ) -> None:
        self.decide = decide
        self.epochs: list[EpochResult] = []
        self.results: list[TrialResult] = []
        self.lost: list[tuple[int, str]] = []

    def on_epoch(self, epoch: EpochResult) -> Decision:
        self.epochs.append(epoch)
        return self.decide(epoch)

    def on_result(self, result: TrialResult) -> None:
        self.results.append(result)

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        self.lost.append((spec.number, str(error)))

    def run(
        self, executor: Executor, spec: TrialSpec, folder: Path, by_fit: bool = False
    ) -> TrialResult:
        path = folder / f"{spec.number}.weights.h5"
        executor.submit(TrialTask(spec, executor.description.space, path, by_fit=by_fit))
        ended = len(self.results) + len(self.lost)
        while len(self.results) + len(self.lost) == ended:
            executor.wait(self)
        return self.results[-1]

    def run_job(self, executor: Executor, fits: Sequence[TrialSpec], folder: Path) -> None:
        space = executor.description.space
        paths = [folder / f"{fit.number}-{fit.repeat}.weights.h5" for fit in fits]
        tasks = [TrialTask(fit, space, path) for fit, path in zip(fits, paths, strict=True)]
        free = executor.free
        executor.submit(*tasks)
        while executor.free < free:
            executor.wait(self)


class ExecutorConformance:
    """The tests of all executors. A subclass has a fixture `open_file`, which loads a study."""

    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def executor(
        cls, open_file: Open, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Executor]:
        file = tmp_path_factory.mktemp("연구 하나") / "my study.py"
        file.write_text(STUDY_FILE, encoding="utf-8")
        with open_file(file) as executor:
            yield executor

    def test_describes_the_study(self, executor: Executor) -> None:
        description = executor.description
        assert description.name == "작은 연구"
        assert description.space.names == ("learning_rate", "dropout", "units")
        assert description.objective == Objective("val_loss", "min")
        assert description.data.sizes == {"train": 90, "validation": 30, "test": 30}
        assert description.code.source == STUDY_FILE
        assert description.threads >= 1
        assert {"python", "tensorflow", "keras", "device"} <= set(executor.environment)

    def test_a_trial_tells_each_epoch_and_then_its_result(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        handler = Collecting()
        result = handler.run(executor, make_spec(executor), tmp_path)
        assert [e.epoch for e in handler.epochs] == [1, 2, 3]
        assert set(handler.epochs[0].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        assert (result.state, result.epochs) == ("complete", 3)
        best = min(handler.epochs, key=lambda e: (e.metrics["val_loss"], e.epoch))
        assert (result.best.epoch, dict(result.best.metrics)) == (best.epoch, dict(best.metrics))
        assert (tmp_path / "0.weights.h5").exists()
        assert executor.free >= 1

    def test_the_same_spec_gives_the_same_bits(self, executor: Executor, tmp_path: Path) -> None:
        spec = make_spec(executor, 1)
        first, again = Collecting(), Collecting()
        one = first.run(executor, spec, tmp_path)
        first.run(executor, make_spec(executor, 2, units=5), tmp_path)
        two = again.run(executor, spec, tmp_path)
        assert one.weights_sha256 == two.weights_sha256
        assert [e.metrics for e in first.epochs[:3]] == [e.metrics for e in again.epochs]

    def test_a_task_may_ask_for_fit(self, executor: Executor, tmp_path: Path) -> None:
        spec = make_spec(executor, 1)
        usual, plain = Collecting(), Collecting()
        one = usual.run(executor, spec, tmp_path)
        two = plain.run(executor, spec, tmp_path, by_fit=True)
        assert (one.trainer, two.trainer) == ("compiled", "plain")
        assert one.weights_sha256 == two.weights_sha256
        assert one.checkpoint_sha256 == two.checkpoint_sha256
        assert [e.metrics for e in usual.epochs] == [e.metrics for e in plain.epochs]
        assert usual.run(executor, spec, tmp_path).trainer == "compiled"

    def test_a_job_trains_its_fits_one_after_another(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Each fit gets the same bits as alone, and writes its files to the paths in its task."""
        fits = [replace(make_spec(executor, 6), seed=seed, repeat=seed) for seed in range(3)]
        alone = [Collecting().run(executor, fit, tmp_path) for fit in fits]
        together = Collecting()
        together.run_job(executor, fits, tmp_path)
        assert [r.weights_sha256 for r in together.results] == [r.weights_sha256 for r in alone]
        assert len({r.weights_sha256 for r in alone}) == 3
        assert [(e.repeat, e.epoch) for e in together.epochs] == [
            (repeat, epoch) for repeat in range(3) for epoch in (1, 2, 3)
        ]
        for fit, result in zip(fits, together.results, strict=True):
            path = tmp_path / f"6-{fit.repeat}.weights.h5"
            assert checkpoint_digest(path) == result.checkpoint_sha256

    @pytest.mark.parametrize(
        "decision, states",
        [("prune", ["pruned"]), ("stop", ["interrupted"]), ("end", ["complete"] * 3)],
    )
    def test_a_job_goes_on_while_its_fits_are_complete(
        self, executor: Executor, tmp_path: Path, decision: Decision, states: list[str]
    ) -> None:
        handler = Collecting(lambda epoch: decision if epoch.epoch == 2 else "continue")
        fits = [replace(make_spec(executor, 7), seed=seed, repeat=seed) for seed in range(3)]
        handler.run_job(executor, fits, tmp_path)
        assert [(r.state, r.epochs) for r in handler.results] == [(state, 2) for state in states]
        assert executor.free >= 1

    def test_a_builder_that_raises_leaves_the_executor_usable(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        handler = Collecting()
        result = handler.run(executor, make_spec(executor, 3, units=13), tmp_path)
        assert (result.state, result.reason) == (
            "infeasible",
            "the builder raised ValueError: unlucky (my study.py, line 14)",
        )
        assert handler.run(executor, make_spec(executor, 4), tmp_path).state == "complete"

    def test_saves_a_champion_with_the_trials_score(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        spec = make_spec(executor, 5)
        result = Collecting().run(executor, spec, tmp_path)
        metrics = executor.save_champion(
            spec, tmp_path / "5.weights.h5", executor.description.space, tmp_path / "champion"
        )
        assert metrics["val_loss"] == result.best.value
        assert (tmp_path / "champion" / "MLmodel").exists()

    @pytest.mark.parametrize(
        ("text", "other", "kind", "received"),
        [
            ("return model", "pass", BuilderError, "None"),
            ("trials=4", "trials=4, initial=[{'units': 'a'}]", SearchSpaceError, "'a'"),
        ],
    )
    def test_what_is_wrong_with_the_study_is_told(
        self, open_file: Open, tmp_path: Path, text: str, other: str, kind: type, received: str
    ) -> None:
        """The error has its class and its fields in each executor.

        If another machine than the driver's could not load the study, the class is WorkerError.
        """
        file = tmp_path / "wrong.py"
        file.write_text(STUDY_FILE.replace(text, other), encoding="utf-8")
        with pytest.raises((kind, WorkerError)) as raised, open_file(file):
            pass
        assert raised.value.received == received

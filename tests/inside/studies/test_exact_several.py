"""Several inputs and outputs: as `model.fit` takes them, by hand and by every trainer."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest
from exact_training import by_hand, by_trainer, leave_out_checks, spec_of
from suite import exhaustive_but
from two_sided import COUNT, MODELS, by_name, in_order, listed

from studies.training import Batches, CompiledTrainer, PlainTrainer, configure_tensorflow

VALUES = [{"rate": 0.3, "l2": 1e-3, "lr": 0.01}, {"rate": 0.1, "l2": 1e-2, "lr": 0.003}]
WEIGHTS = np.random.default_rng(7).uniform(0.0, 3.0, COUNT)


@pytest.fixture(scope="module")
def trainer() -> Iterator[CompiledTrainer]:
    configure_tensorflow(None)
    yield CompiledTrainer("compiled")


# What Keras can't weigh is refused, see test_target_checks.
WEIGHABLE = [name for name in MODELS if name != "listed, given names"]
CASES = [*((name, False) for name in MODELS), *((name, True) for name in WEIGHABLE)]
# Arrays in order, and names for places, are also given in the test below.
KEPT = [("named", True)]


@pytest.mark.parametrize(("name", "weighted"), exhaustive_but(KEPT, CASES))
def test_trains_as_by_hand(
    name: str, weighted: bool, trainer: CompiledTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (name, weighted) in KEPT:
        leave_out_checks(monkeypatch)
    build, data = MODELS[name]
    splits = data(sample_weight=WEIGHTS if weighted else None).load()
    spec, made = spec_of(), trainer.programs.made
    first, second = (functools.partial(build, hp) for hp in VALUES)
    before = by_trainer(trainer, first, splits, spec)
    wanted = by_hand(second, splits, spec)
    assert by_trainer(trainer, second, splits, spec) == wanted
    assert by_trainer(trainer, first, splits, spec) == before
    if (name, weighted) == ("named", True):
        assert by_trainer(PlainTrainer(), second, splits, spec) == wanted
    elif (name, weighted) == ("subclassed", False):
        assert by_hand(first, splits, spec) == before
    # And from its second epoch.
    assert by_trainer(trainer, second, splits, spec, wanted[0].state, 1) == wanted[1:]
    assert trainer.programs.made - made == 1, "the second used the program of the first"


@pytest.mark.exhaustive
def test_names_and_places_use_programs_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same model, given its arrays by name and in order: another graph."""
    leave_out_checks(monkeypatch)
    configure_tensorflow(None)
    trainer, spec = CompiledTrainer("compiled"), spec_of()
    kinds = [by_name().load(), in_order().load()]
    wanted = [by_trainer(PlainTrainer(), lambda: listed(VALUES[0]), s, spec) for s in kinds]
    for _ in range(2):
        assert wanted == [by_trainer(trainer, lambda: listed(VALUES[0]), s, spec) for s in kinds]
    assert trainer.programs.made == len(kinds)


def test_large_data_is_put_in_order_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = by_name(sample_weight=WEIGHTS).load()
    batches = []
    for largest in (2**20, 0):
        monkeypatch.setattr("studies.training.batches._LARGEST_WHOLE_EPOCH", largest)
        made = Batches(splits, 16)
        made.set_epoch(3, 2)
        batches.append([*made.training.take(made.training_steps).as_numpy_iterator()])
    for (x, y, weights), (again_x, again_y, again_weights) in zip(*batches, strict=True):
        for several, others in ((x, again_x), (y, again_y), (weights, again_weights)):
            assert several.keys() == others.keys()
            assert all(np.array_equal(several[name], others[name]) for name in several)

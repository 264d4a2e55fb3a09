"""The next round's space: always one that a launch accepts, and that holds the best trials."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import Planted, hill

import kerastudy as ks
from search_spaces import SearchSpace, Tailoring
from studies.launching.rounds import _tailoring
from tracking.diagnosis.diagnose import diagnose
from tracking.diagnosis.widening import between, widened

CONDITIONAL = SearchSpace(
    ks.Float("learning_rate", 1e-4, 1.0, scale="log"),
    ks.Float("dropout", 0.0, 0.5, step=0.1),
    ks.Choice("optimizer", ["adam", "sgd", "a,b"], role="scientific"),
    ks.momentum(when={"optimizer": "sgd"}, otherwise=0.0),
    ks.Choice("hidden", [(64,), (64, 32), (1,)], role="scientific"),
    ks.Int("units", 16, 256, scale="log", step=2),
    ks.Int("layers", 1, 3, role="scientific"),
    ks.Int("epochs", 4, 30),
    ks.Fixed("activation", "relu"),
)


def landscape(random: np.random.Generator, space: SearchSpace = CONDITIONAL) -> Any:
    """A random one: every hyperparameter pulls one way, or not at all."""
    pulls = {each.name: random.choice([0, 0, 0.05, -0.05, 0.3, -0.3]) for each in CONDITIONAL}

    def accuracy(values: Any) -> float:
        units = {name: space[name].to_unit(value) for name, value in values.items()}
        return 0.5 + sum(pulls[name] * unit for name, unit in units.items()) / 4

    return accuracy


def tailoring_of(options: tuple[str, ...]) -> Tailoring:
    """What options say, read as a shell and the command line do."""
    words = [shlex.split(option) for option in options]
    given = {
        option: [word[1] for word in words if word[0] == option]
        for option in ("--only", "--fix", "--set")
    }
    return Tailoring.from_arguments(given["--only"], given["--fix"], given["--set"])


@pytest.mark.parametrize("seed", range(12))
def test_it_is_accepted_and_holds_the_best_trials(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    history = Planted(
        accuracy=landscape(random),
        infeasible=lambda v: "the loss is NaN" if v["learning_rate"] > 0.2 and seed % 3 else "",
        space=CONDITIONAL,
        trials=int(random.integers(12, 160)),
        seed=seed,
        settings={"declared": CONDITIONAL.names},
    ).history(tmp_path)
    diagnosis = diagnose(history)
    tailored = tailoring_of(diagnosis.next.options).apply(CONDITIONAL)
    assert tailored == diagnosis.next.space
    # The same as Python.
    scope: dict[str, Any] = {"ks": ks, "study": _Study(CONDITIONAL)}
    exec(diagnosis.next.python, scope)
    assert scope["study"].given.get("space", CONDITIONAL) == tailored
    # What a finding asks for is there; all else keeps the best trial.
    cut = {p for each in diagnosis.findings for p in each.changes.ranges}
    assert history.best is not None
    for name, value in history.best.params.items():
        if name not in cut and name in tailored:
            assert tailored[name].contains(value), name
    assert min(tailored["epochs"].grid_values() or ()) >= 1


class _Study:
    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.given: dict[str, Any] = {}

    def launch(self, **given: Any) -> None:
        self.given = given


TAILORINGS = [
    Tailoring(fix={"units": "64"}, ranges={"learning_rate": "0.001..0.1:log"}),
    Tailoring(fix={"optimizer": "sgd"}, ranges={"momentum": "0.05..0.95"}),
    Tailoring(only=("learning_rate", "dropout", "optimizer")),
    Tailoring(only=("momentum", "learning_rate"), fix={"optimizer": "sgd", "layers": 2}),
    Tailoring(only=("hidden", "layers")),
    Tailoring(ranges={"optimizer": "adam,sgd", "momentum": "0.05..0.95"}),
]


@pytest.mark.parametrize("tailoring", TAILORINGS, ids=repr)
def test_it_goes_on_top_of_what_the_launch_tailored(tmp_path: Path, tailoring: Tailoring) -> None:
    """The study's file has another space than its record: options are for the file's."""
    for seed in range(3):
        random = np.random.default_rng(seed)
        space = tailoring.apply(CONDITIONAL)
        history = Planted(
            accuracy=landscape(random, space), space=space, trials=150, seed=seed,
            settings={"declared": CONDITIONAL.names, "tailored": tailoring.to_dict()},
        ).history(tmp_path / str(seed))  # fmt: skip
        following = diagnose(history).next
        made = tailoring_of(following.options).apply(CONDITIONAL)
        assert made.to_dict() == following.space.to_dict()
        scope: dict[str, Any] = {"ks": ks, "study": _Study(CONDITIONAL)}
        exec(following.python, scope)
        own = scope["study"].given["space"]
        assert own.to_dict() == following.space.to_dict()
        # As a launch takes it.
        assert _tailoring(own, CONDITIONAL).apply(CONDITIONAL).to_dict() == own.to_dict()


@pytest.mark.parametrize(
    ("parameter", "lower", "upper"),
    [
        (ks.learning_rate(1e-3, 1.0), "0.0001..1.0:log", "0.001..10.0:log"),
        # A rate of 0 has no other side, a share no more than 1.
        (ks.dropout(), "", "0.0..0.75:linear"),
        (ks.dropout(0.0, 0.6, step=0.1), "", "0.0..0.9:0.1:linear"),
        (ks.momentum(), "", "0.001..0.999:reverse_log"),
        (ks.Int("x", 16, 512, scale="log", step=2), "2..512:2:log", "16..4096:2:log"),
        (ks.Int("x", 3, 300, scale="log"), "1..300:log", "3..3000:log"),
        (ks.Int("x", 1, 3), "", "1..4:linear"),
        (ks.epochs(), "1..50:linear", "5..72:linear"),
        (ks.Float("x", -1, 1), "-2.0..1.0:linear", "-1.0..2.0:linear"),
        (ks.Float("x", 0.0, 1.0), "", ""),
    ],
)
def test_a_range_is_widened_in_its_scale(parameter: Any, lower: str, upper: str) -> None:
    assert (widened(parameter, "lower"), widened(parameter, "upper")) == (lower, upper)


def test_a_range_is_narrowed_outwards() -> None:
    rate = ks.learning_rate(1e-3, 1.0)
    text = between(rate, 0.331, 0.668)
    (narrowed,) = Tailoring(ranges={"learning_rate": text}).apply(SearchSpace(rate))
    assert rate.to_unit(narrowed.low) <= 0.331
    assert rate.to_unit(narrowed.high) >= 0.668
    assert between(rate, -0.2, 1.2) == ""


def test_what_overfits_keeps_its_regularization(tmp_path: Path) -> None:
    """The best epochs lie where dropout is low, as always where trials overfit."""
    overfitting = Planted(
        accuracy=lambda v: hill(v) - 0.1 * v["dropout"],
        curve=lambda value, epochs, random: value - 0.02 * np.abs(np.arange(epochs) - 6),
        training=lambda curve: np.linspace(0.8, 0.99, len(curve)),
        trials=120,
    )
    diagnosis = diagnose(overfitting.history(tmp_path / "overfitting"))
    assert "overfitting" in {each.check for each in diagnosis.findings}
    assert diagnosis.next.space["dropout"] == overfitting.space["dropout"]
    overfitting.curve = Planted().curve
    assert "dropout" in diagnose(overfitting.history(tmp_path / "sound")).next.tailoring.ranges


def test_a_sound_study_has_only_a_narrower_round(tmp_path: Path) -> None:
    following = diagnose(Planted(accuracy=hill, trials=120).history(tmp_path)).next
    assert not following.asked_for
    assert set(following.tailoring.ranges) <= {"learning_rate", "dropout"}

"""The launch that should follow, and what a study finds about a scientific hyperparameter."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import Planted, hill

import kerastudy as ks
from search_spaces import SearchSpace, Tailoring
from tracking.diagnosis import Changes, Finding, answers, diagnose, next_launch, part, wider
from tracking.records import CodeDescription

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


def rising(values: Any) -> float:
    """A landscape whose best lies beyond the upper end of the learning rate."""
    return float(0.5 + 0.1 * np.log10(values["learning_rate"] * 1e4))


IN_A_FILE = {"code": CodeDescription("/s/a.py", "study", "", "", study_name="a")}


def tailoring_of(command: str) -> Tailoring:
    """What a command says, read as a shell and the command line do."""
    words = shlex.split(command)
    given = {
        option: [value for word, value in itertools.pairwise(words) if word == option]
        for option in ("--only", "--set")
    }
    return Tailoring.from_arguments(given["--only"], given["--set"])


@pytest.mark.parametrize("seed", range(12))
def test_it_is_accepted_and_holds_the_best_trials(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    history = Planted(
        accuracy=landscape(random),
        infeasible=lambda v: "the loss is NaN" if v["learning_rate"] > 0.2 and seed % 3 else "",
        space=CONDITIONAL,
        trials=int(random.integers(12, 160)),
        seed=seed,
        settings={"declared": CONDITIONAL.names, **IN_A_FILE},
    ).history(tmp_path)
    diagnosis = diagnose(history)
    tailored = tailoring_of(diagnosis.command).apply(CONDITIONAL)
    assert tailored == diagnosis.next.space
    for finding in diagnosis.findings:
        if finding.changes.ranges:
            alone = tailoring_of(finding.command).apply(CONDITIONAL)
            assert alone == Tailoring(ranges=finding.changes.ranges).apply(CONDITIONAL)
    # What a finding asks for is there; all else keeps the best trial.
    cut = {p for each in diagnosis.findings for p in each.changes.ranges}
    assert history.best is not None
    for name, value in history.best.params.items():
        if name not in cut and name in tailored:
            assert tailored[name].contains(value), name
    assert min(tailored["epochs"].grid_values() or ()) >= 1


TAILORINGS = [
    Tailoring(ranges={"units": "64", "learning_rate": "0.001..0.1:log"}),
    Tailoring(ranges={"optimizer": "sgd", "momentum": "0.05..0.95"}),
    Tailoring(only=("learning_rate", "dropout", "optimizer")),
    Tailoring(only=("momentum", "learning_rate"), ranges={"optimizer": "sgd", "layers": "2"}),
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
            settings={"tailored": tailoring.to_dict(), **IN_A_FILE},
        ).history(tmp_path / str(seed))  # fmt: skip
        following = next_launch(history, diagnose(history).findings)
        made = tailoring_of(following.command(history, None)).apply(CONDITIONAL)
        assert made.to_dict() == following.space.to_dict()


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
    assert (wider(parameter, "lower"), wider(parameter, "upper")) == (lower, upper)


def test_a_range_is_cut_outwards() -> None:
    rate = ks.learning_rate(1e-3, 1.0)
    text = part(rate, 0.331, 0.668)
    (narrowed,) = Tailoring(ranges={"learning_rate": text}).apply(SearchSpace(rate))
    assert rate.to_unit(narrowed.low) <= 0.331
    assert rate.to_unit(narrowed.high) >= 0.668
    assert part(rate, -0.2, 1.2) == ""


def test_a_sound_study_asks_for_no_launch(tmp_path: Path) -> None:
    diagnosis = diagnose(Planted(accuracy=hill, trials=120).history(tmp_path))
    assert not diagnosis.next.reasons and not diagnosis.command


@pytest.mark.parametrize(
    ("before", "after"), [("digits", "digits-2"), ("digits-2", "digits-3"), ("-2", "-2-2")]
)
def test_the_study_after_one_is_numbered(tmp_path: Path, before: str, after: str) -> None:
    beyond = Planted(accuracy=rising, trials=60, settings={"name": before, **IN_A_FILE})
    command = diagnose(beyond.history(tmp_path)).command
    assert f"--name {after} " in command


def test_more_trials_go_on_with_the_same_study(tmp_path: Path) -> None:
    """With what its launch had changed, else it would be another."""
    tailoring = Tailoring(ranges={"units": "32", "dropout": "0.1..0.4"})
    more = Finding(
        "sufficiency",
        "hint",
        "More",
        "more.",
        changes=Changes(settings={"trials": 40}, resumes=True),
    )
    found = Planted(
        space=tailoring.apply(Planted().space),
        settings={"tailored": tailoring.to_dict(), **IN_A_FILE, "cross_validation": "4"},
    ).history(tmp_path)
    command = next_launch(found, [more]).command(found, None)
    assert command == (
        "kerastudy launch /s/a.py --name planted --set units=32 --set dropout=0.1..0.4 "
        "--trials 40 --folds 4"
    )
    # Another study has its own number of trials.
    wider = Finding("boundary", "problem", "Wider", "", changes=Changes({"dropout": "0.1..0.6"}))
    command = next_launch(found, [more, wider]).command(found, Path("a store"))
    assert command == (
        "kerastudy launch /s/a.py --name planted-2 --set units=32 --set dropout=0.1..0.6 "
        "--folds 4 --store 'a store'"
    )


def test_a_study_in_a_notebook_is_launched_in_python(tmp_path: Path) -> None:
    diagnosis = diagnose(Planted(accuracy=rising, trials=60).history(tmp_path))
    given: dict[str, Any] = {}
    study = SimpleNamespace(launch=lambda **settings: given.update(settings))
    exec(diagnosis.command, {"ks": ks, "study": study})
    assert given == {"name": "planted-2", "tailoring": diagnosis.next.tailoring}
    assert given["tailoring"].ranges["learning_rate"] == "0.0001..10.0:log"


WIDTH = ks.Choice("width", ["small", "right", "large"], role="scientific")
SPACE = SearchSpace(WIDTH, ks.Float("rate", 0.0, 1.0))
REACHED = {"small": 0.5, "right": 0.9, "large": 0.7}


def planted(**settings: Any) -> Planted:
    return Planted(
        **{
            "space": SPACE,
            "accuracy": lambda values: REACHED[values["width"]] + 0.02 * values["rate"],
            "trials": 60,
            **settings,
        }
    )


def test_an_answer_claims_no_more_than_its_intervals(tmp_path: Path) -> None:
    """Two values are alike, the third is worse: the best one leads, and only the third is worse."""
    reached = {"small": 0.5, "right": 0.9, "large": 0.9}
    history = planted(
        accuracy=lambda values: reached[values["width"]] + 0.02 * values["rate"]
    ).history(tmp_path)
    (sentence,) = answers(history).values()
    better, leads = sentence.split("; it leads ")
    assert better.split(" is better than ")[1].startswith("small by 0.4 ± ")
    assert leads.split(" by ")[0] in ("right", "large")
    gap, half = leads.split(" by ")[1].split(" without")[0].split(" ± ")
    assert float(gap) <= float(half)
    (finding,) = [each for each in diagnose(history).findings if each.check == "isolation"]
    assert finding.title == "width: small is clearly worse"
    assert finding.changes.ranges == {"width": "right,large"}


def test_without_a_scientific_hyperparameter_there_is_no_answer(tmp_path: Path) -> None:
    space = SearchSpace(ks.Choice("width", ["small", "right", "large"]), ks.Float("rate", 0.0, 1.0))
    history = planted(space=space).history(tmp_path)
    assert answers(history) == {}
    diagnosis = diagnose(history)
    assert "isolation" not in {each.check for each in diagnosis.findings}
    (missing,) = [each for each in diagnosis.unchecked if each.check == "isolation"]
    assert "no hyperparameter is scientific" in missing.reason

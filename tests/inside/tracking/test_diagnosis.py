"""The findings of a diagnosis in studies with one planted fault and in sound ones."""

import itertools
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import record_confirmation
from planted import Planted, hill, sound_curve
from scipy import stats

import kerastudy as ks
from search_spaces import SearchSpace, Tailoring
from tracking.diagnosis import (
    Changes,
    DiagnosedStudy,
    Diagnosis,
    Finding,
    answers,
    diagnose,
    next_launch,
    wider,
)
from tracking.records import CodeDescription, Racer
from tracking.statistics import SampleScores, write_scores

NAN = "the loss is NaN in epoch 1"


def log_rate(values: Any) -> float:
    return float(np.log10(values["learning_rate"]))


def at_upper_end(values: Any) -> float:
    return 0.95 - 0.1 * log_rate(values) ** 2 - 0.3 * (values["dropout"] - 0.25) ** 2


def at_lower_end(values: Any) -> float:
    return 0.85 + 0.1 * hill(values) - 0.04 * math.log2(values["units"] / 16)


def unstable(values: Any) -> float:
    return 0.95 - 0.06 * (log_rate(values) + 0.5) ** 2 - 0.05 * (values["dropout"] - 0.25) ** 2


def slow(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    return accuracy - 0.3 * np.exp(-np.arange(1, epochs + 1) / 12)


def fast(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    time = np.arange(1, epochs + 1)
    return accuracy - 0.3 * np.exp(-time / 0.8) - random.normal(0, 0.0005, epochs)


def falling(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    late = np.maximum(np.arange(1, epochs + 1) - 8, 0)
    return sound_curve(accuracy, epochs, random) - 0.006 * late


def learned(curve: np.ndarray) -> np.ndarray:
    return np.linspace(0.8, 0.99, len(curve))


def at_high_rates(values: Any) -> str:
    return NAN if values["learning_rate"] > 0.1 else ""


def by_a_bug(values: Any) -> str:
    return "the builder raised NameError: x" if int(values["dropout"] * 1e6) % 3 == 0 else ""


# The planted faults, by the check that finds them.
FAULTS: dict[str, dict[str, Any]] = {
    "boundary: upper end": {"accuracy": at_upper_end},
    "boundary: lower end": {"accuracy": at_lower_end},
    "infeasible: high rates": {"accuracy": unstable, "infeasible": at_high_rates},
    "infeasible: a bug": {"infeasible": by_a_bug, "further": lambda v: {"raised": by_a_bug(v)}},
    "too short": {"curve": slow},
    "too long": {"curve": fast, "epochs": 30},
    "overfitting": {"curve": falling, "training": learned},
    "underfitting": {"accuracy": lambda v: hill(v) - 0.3, "training": lambda c: c - 0.01},
    "trial variance: seeds": {"accuracy": lambda v: 0.9, "seeds": 3, "spread": 0.01},
    "trial variance: samples": {"accuracy": lambda v: 0.881 + 0.02 * hill(v), "samples": 100},
    "sufficiency": {"trials": 16},
    "isolation": {"accuracy": lambda v: hill(v) + 0.02 * v["batch_normalization"], "trials": 400},
}
CHANGES: dict[str, Any] = {
    "boundary: upper end": {"learning_rate": "0.0001..10.0:log"},
    "boundary: lower end": {"units": "4..256:log"},
    "infeasible: a bug": {"retry_infeasible": True},
    "too short": {"epochs": 40},
    "too long": {"epochs": 16},
    "trial variance: seeds": {"repeats": 6},
    "trial variance: samples": {"repeats": 3},
    "sufficiency": {"trials": 32},
    "isolation": {"batch_normalization": "true"},
}


def faults_in(diagnosis: Diagnosis) -> list[Finding]:
    """Returns the findings that ask for a change."""
    return [finding for finding in diagnosis.findings if finding.severity != "ok"]


def planted(folder: Path, **fault: Any) -> Diagnosis:
    return diagnose(Planted(**{"trials": 120, **fault}).history(folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(tmp_path: Path, fault: str) -> None:
    """The test also counts its figures again, and judges the change that it suggests."""
    check = fault.partition(":")[0]
    history = Planted(**{"trials": 120, **FAULTS[fault]}).history(tmp_path)
    diagnosis = diagnose(history)
    assert [finding.check for finding in faults_in(diagnosis)] == [check]
    (finding,) = faults_in(diagnosis)
    assert finding.advice or finding.command
    assert (finding.changes.ranges or finding.changes.settings) == CHANGES.get(fault, {})
    # The most severe come first.
    assert diagnosis.findings[0] is finding
    assert len(finding.title) <= 70 and finding.verdict.endswith(".")
    ranked = sorted((t for t in history.ended if t.value is not None), key=lambda t: -t.value)
    if check == "infeasible":
        failed = sum(trial.state == "infeasible" for trial in history.trials)
        assert finding.evidence["infeasible"] == failed
    elif check == "boundary":
        top = ranked[: finding.evidence["best trials"]]
        parameter = history.description.space[finding.parameter]
        units = [parameter.to_unit(trial.params[finding.parameter]) for trial in top]
        last = max(sum(u >= 0.9 for u in units), sum(u <= 0.1 for u in units))
        assert finding.evidence["of them at the end"] == last


def test_a_sound_study_has_nothing_to_mend(tmp_path: Path) -> None:
    for seed in range(3):
        diagnosis = planted(tmp_path / str(seed), seed=seed)
        checks = {finding.check for finding in diagnosis.findings}
        assert checks == {"sufficiency", "trial variance", "isolation"}
        assert not faults_in(diagnosis) and not diagnosis.unchecked
        curves = ["overfitting", "too long", "too short", "underfitting"]
        assert sorted(diagnosis.passed) == ["boundary", "infeasible", *curves]
        assert not diagnosis.next.reasons and not diagnosis.command


@pytest.mark.parametrize(("name", "passes"), [("epochs", True), ("depth", False)])
def test_the_best_trials_may_have_the_most_epochs(tmp_path: Path, name: str, passes: bool) -> None:
    """A trial of many epochs keeps its best one, so that is no reason for a wider range."""
    space = ks.SearchSpace(ks.Int(name, 5, 50), ks.dropout(0.0, 0.5))
    diagnosis = planted(tmp_path, space=space, accuracy=lambda v: 0.7 + 0.004 * v[name])
    assert ("boundary" in diagnosis.passed) == passes


@pytest.mark.parametrize(
    ("parameter", "domain"),
    [
        (ks.Int("size", 16, 128, scale="log", step=2), "16..256:2:log"),
        # Nothing lies beyond a share of 1.
        (ks.Float("size", 0.0, 1.0), ""),
    ],
)
def test_an_end_that_is_not_clearly_better_is_a_hint(
    tmp_path: Path, parameter: Any, domain: str
) -> None:
    """The ten best trials lie at the end, but so do the worst."""
    at_end: list[float] = []

    def accuracy(values: Any) -> float:
        if values["size"] < parameter.from_unit(0.9):
            return 0.8
        at_end.append(values["size"])
        return 0.9 if len(at_end) <= 10 else 0.7

    study = Planted(space=SearchSpace(parameter), accuracy=accuracy, trials=150, spread=0.0)
    diagnosis = diagnose(study.history(tmp_path))
    assert len(at_end) > 12
    found = [finding for finding in diagnosis.findings if finding.check == "boundary"]
    assert ("boundary" in diagnosis.passed, len(found)) == ((False, 1) if domain else (True, 0))
    for finding in found:
        assert (finding.severity, finding.changes.ranges) == ("hint", {"size": domain})
        end = "All of the best 10 trials lie at its upper end, 128, though not clearly better."
        assert (finding.verdict, finding.advice) == (end, f"Widen it to {domain}.")


@pytest.mark.parametrize("gain", [0.2, -0.2])
def test_a_range_that_the_best_trials_do_not_have_is_no_matter(tmp_path: Path, gain: float) -> None:
    space = ks.SearchSpace(
        ks.Boolean("use_l2"),
        ks.Float("l2", 1e-6, 1e-1, scale="log", when={"use_l2": True}, otherwise=0.0),
        ks.dropout(0.0, 0.5),
    )

    def accuracy(values: Any) -> float:
        return 0.7 + gain - 0.02 * np.log10(values["l2"]) if values["use_l2"] else 0.7

    diagnosis = planted(tmp_path, space=space, accuracy=accuracy)
    boundaries = [finding for finding in diagnosis.findings if finding.check == "boundary"]
    assert bool(boundaries) == (gain > 0)
    assert all("trials with l2 lie" in boundary.verdict for boundary in boundaries)


def early(curve: np.ndarray, number: int) -> int:
    """Returns where `EarlyStopping` with a patience of three epochs ends a trial."""
    best = np.maximum.accumulate(curve)
    stops = [end for end in range(4, len(curve)) if best[end - 1] == best[end - 4]]
    return next(iter(stops), len(curve))


def test_trials_that_early_stopping_ended_are_checked(tmp_path: Path) -> None:
    stopped: dict[str, Any] = {"pruned": early, "further": lambda v: {"state": "complete"}}
    sound = planted(tmp_path / "sound", **stopped)
    assert not faults_in(sound) and not sound.unchecked
    faults: dict[str, dict[str, Any]] = {
        "overfitting": {**FAULTS["overfitting"], "pruned": lambda c, n: 14},
        "underfitting": FAULTS["underfitting"],
        "too long": {"curve": fast, "epochs": 60, "pruned": lambda c, n: 24},
        # None of these trials stopped by itself.
        "too short": {**FAULTS["too short"], "pruned": early},
    }
    for check, fault in faults.items():
        diagnosis = planted(tmp_path / check, **{**stopped, **fault})
        assert [finding.check for finding in faults_in(diagnosis)] == [check]
    # Trials that stopped by themselves had all the epochs that they needed.
    cut = {**stopped, "curve": slow, "pruned": lambda curve, number: 12}
    assert "too short" not in {f.check for f in planted(tmp_path / "cut", **cut).findings}


@pytest.mark.parametrize(
    ("trials", "check", "parameter", "reason"),
    [
        (0, "sufficiency", "", "10 trials with a value are needed; the study has 0"),
        (3, "boundary", "learning_rate", "10 trials with a value are needed; the study has 3"),
        (8, "isolation", "batch_normalization", "at least two values need 6 trials"),
    ],
)
def test_thin_records_say_what_is_missing(
    tmp_path: Path, trials: int, check: str, parameter: str, reason: str
) -> None:
    diagnosis = planted(tmp_path, trials=trials)
    missing = {(check.check, check.parameter): check.reason for check in diagnosis.unchecked}
    assert reason in missing[check, parameter]
    assert trials == 8 or not (diagnosis.findings or diagnosis.command)


def test_without_a_scientific_hyperparameter_there_is_no_answer(tmp_path: Path) -> None:
    space = SearchSpace(p for p in Planted().space if p.role != "scientific")
    diagnosis = planted(tmp_path, space=space)
    assert answers(diagnosis.history) == {} and not faults_in(diagnosis)
    (missing,) = diagnosis.unchecked
    assert "no hyperparameter is scientific" in missing.reason


def test_all_trials_infeasible(tmp_path: Path) -> None:
    diagnosis = planted(tmp_path, infeasible=lambda values: NAN, trials=12)
    (finding,) = diagnosis.findings
    assert (finding.check, finding.severity) == ("infeasible", "problem")
    assert "12 of 12 trials" in finding.verdict


def by_hand(losses: list[float], draws: int) -> float:
    """Returns the mean of the best values of all samples of `draws` losses."""
    return float(np.mean([min(draw) for draw in itertools.combinations(losses, draws)]))


def test_isolation_is_what_numpy_computes(tmp_path: Path) -> None:
    history = Planted(trials=22).history(tmp_path)
    (finding,) = [finding for finding in diagnose(history).findings if finding.check == "isolation"]
    values: dict[str, list[float]] = {"True": [], "False": []}
    for trial in history.ended:
        values[str(trial.params["batch_normalization"])].append(-trial.value)
    draws = min(map(len, values.values())) // 3
    assert finding.evidence["best of so many trials"] == draws >= 2
    evidence, means, errors, freedoms = finding.evidence["values"], {}, {}, {}
    for name, losses in values.items():
        count = len(losses)
        without = [by_hand(losses[:i] + losses[i + 1 :], draws) for i in range(count)]
        means[name] = by_hand(losses, draws)
        errors[name] = math.sqrt((count - 1) * np.var(without))
        freedoms[name] = 2 * (count / draws - 1)
        assert evidence[name]["trials"] == count
        assert evidence[name]["best"] == -min(losses)
        assert evidence[name]["expected"] == pytest.approx(-means[name], abs=1e-12)
        assert evidence[name]["standard error"] == pytest.approx(errors[name], rel=1e-9)
    (difference,) = finding.evidence["differences"].values()
    both = sum(error**2 for error in errors.values())
    freedom = both**2 / sum(errors[name] ** 4 / freedoms[name] for name in errors)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(both)
    assert difference["by"] == pytest.approx(abs(means["True"] - means["False"]), abs=1e-12)
    assert difference["plus or minus"] == pytest.approx(half, rel=1e-9)


def test_sufficiency_is_what_numpy_computes(tmp_path: Path) -> None:
    history = Planted(trials=12).history(tmp_path)
    (finding,) = [f for f in diagnose(history).findings if f.check == "sufficiency"]
    losses = [-trial.value for trial in history.ended if trial.value is not None]
    evidence = finding.evidence
    assert evidence["gain of a doubling"] == pytest.approx(by_hand(losses, 6) - min(losses))
    assert evidence["best"] == -min(losses)
    share = -min(losses)
    assert evidence["worth having"] == pytest.approx(math.sqrt(share * (1 - share) / 5000))


def test_noise_is_that_of_samples_or_of_seeds_if_recorded(tmp_path: Path) -> None:
    history = Planted(trials=12).history(tmp_path)
    losses = np.random.default_rng(5).gamma(2.0, size=1500)
    scores = SampleScores("val_accuracy", "mean", losses, history.best.epoch)
    write_scores(history.files.scores(history.best.number), [scores])
    noise = DiagnosedStudy(history).noise
    assert noise.value == pytest.approx(losses.std() / math.sqrt(1500), rel=0.15)
    assert noise.source == "the standard error of one value"
    race = (Racer(1, (0.9, 0.92, 0.91)), Racer(0, (0.8, None, 0.81)))
    with history.writing() as journal:
        record_confirmation(journal, history.description.name, race)
    noise = DiagnosedStudy(history).noise
    pooled = np.mean([np.var([0.9, 0.92, 0.91], ddof=1), np.var([0.8, 0.81], ddof=1)])
    assert noise.value == pytest.approx(math.sqrt(pooled))
    assert noise.source == "the noise of a seed"


def test_one_way_variance_is_that_of_scipy(tmp_path: Path) -> None:
    """Noise is found where scipy's test finds no difference between trials."""
    for seed, differ in itertools.product(range(2), (0.0, 0.004)):
        history = Planted(
            accuracy=lambda v, by=differ: 0.9 + by * math.sin(9 * log_rate(v)),
            seeds=3, spread=0.01, seed=seed, trials=30,
        ).history(tmp_path / f"{seed}-{differ}")  # fmt: skip
        groups = [[repeat.best.value for repeat in t.result.repeats] for t in history.ended]
        (finding,) = [f for f in diagnose(history).findings if f.check == "trial variance"]
        assert (finding.severity == "problem") == (stats.f_oneway(*groups).pvalue > 0.05)


# The launch that should follow.


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
    """Returns a random landscape: every hyperparameter pulls one way, or not at all."""
    pulls = {p.name: random.choice([0, 0, 0.05, -0.05, 0.3, -0.3]) for p in CONDITIONAL}

    def accuracy(values: Any) -> float:
        units = {name: space[name].to_unit(value) for name, value in values.items()}
        return 0.5 + sum(pulls[name] * unit for name, unit in units.items()) / 4

    return accuracy


def rising(values: Any) -> float:
    """Returns a landscape whose best point is beyond the upper end of the learning rate."""
    return float(0.5 + 0.1 * np.log10(values["learning_rate"] * 1e4))


IN_A_FILE = {"code": CodeDescription("/s/a.py", "study", "", "", study_name="a")}


def tailoring_of(command: str) -> Tailoring:
    """Returns the tailoring in a command, read as a shell and the command line do."""
    words = shlex.split(command)
    options = {
        option: [value for word, value in itertools.pairwise(words) if word == option]
        for option in ("--only", "--set")
    }
    return Tailoring.from_arguments(options["--only"], options["--set"])


@pytest.mark.parametrize("seed", range(6))
def test_the_next_launch_is_accepted_and_holds_the_best_trials(tmp_path: Path, seed: int) -> None:
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
    # The space has each change that a finding asks for, and keeps the best trial otherwise.
    cut = {p for finding in diagnosis.findings for p in finding.changes.ranges}
    for name, value in history.best.params.items():
        if name not in cut and name in tailored:
            assert tailored[name].contains(value), name
    assert min(tailored["epochs"].grid_values() or ()) >= 1


TAILORINGS = [
    Tailoring(ranges={"units": "64", "learning_rate": "0.001..0.1:log"}),
    Tailoring(ranges={"optimizer": "sgd", "momentum": "0.05..0.95"}),
    Tailoring(only=("momentum", "learning_rate"), ranges={"optimizer": "sgd", "layers": "2"}),
    Tailoring(ranges={"optimizer": "adam,sgd", "momentum": "0.05..0.95"}),
]


@pytest.mark.parametrize("tailoring", TAILORINGS, ids=repr)
def test_the_next_launch_tailors_the_files_space(tmp_path: Path, tailoring: Tailoring) -> None:
    """The study's file has another space than its record. Options tailor the file's space."""
    random, space = np.random.default_rng(1), tailoring.apply(CONDITIONAL)
    history = Planted(
        accuracy=landscape(random, space),
        space=space,
        trials=150,
        settings={"tailored": tailoring.to_dict(), **IN_A_FILE},
    ).history(tmp_path)
    following = next_launch(history, diagnose(history).findings)
    tailored = tailoring_of(following.command(history)).apply(CONDITIONAL)
    assert tailored.to_dict() == following.space.to_dict()


@pytest.mark.parametrize(
    ("parameter", "lower", "upper"),
    [
        (ks.learning_rate(1e-3, 1.0), "0.0001..1.0:log", "0.001..10.0:log"),
        # A rate of 0 has no other side, a share no more than 1.
        (ks.dropout(), "", "0.0..0.75:linear"),
        (ks.dropout(0.0, 0.6, step=0.1), "", "0.0..0.8:0.1:linear"),
        (ks.momentum(), "", "0.001..0.999:reverse_log"),
        (ks.Int("x", 16, 512, scale="log", step=2), "4..512:2:log", "16..2048:2:log"),
        (ks.Int("x", 3, 300, scale="log"), "1..300:log", "3..3000:log"),
        (ks.Int("x", 1, 3), "", "1..4:linear"),
        (ks.epochs(), "1..50:linear", "5..72:linear"),
        (ks.Float("x", -1, 1), "-2.0..1.0:linear", "-1.0..2.0:linear"),
        (ks.Float("x", 0.0, 1.0), "", ""),
    ],
)
def test_a_range_is_widened_in_its_scale(parameter: Any, lower: str, upper: str) -> None:
    assert (wider(parameter, "lower"), wider(parameter, "upper")) == (lower, upper)


@pytest.mark.parametrize(
    ("before", "after"), [("digits", "digits-2"), ("digits-2", "digits-3"), ("-2", "-2-2")]
)
def test_the_study_after_one_is_numbered(tmp_path: Path, before: str, after: str) -> None:
    beyond = Planted(accuracy=rising, trials=60, settings={"name": before, **IN_A_FILE})
    command = diagnose(beyond.history(tmp_path)).command
    assert f"--name {after} " in command


def test_more_trials_go_on_with_the_same_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command repeats the changes of the study's launch, or it would make another study."""
    monkeypatch.setenv("KERASTUDY_STORE", str(tmp_path / "a store"))
    tailoring = Tailoring(ranges={"units": "32", "dropout": "0.1..0.4"})
    changes = Changes(settings={"trials": 40}, resumes=True)
    more = Finding("sufficiency", "hint", "More", "more.", changes=changes)
    history = Planted(
        space=tailoring.apply(Planted().space),
        settings={"tailored": tailoring.to_dict(), **IN_A_FILE, "cross_validation": "4"},
    ).history(tmp_path / "a store")
    command = next_launch(history, [more]).command(history)
    assert command == (
        "kerastudy launch /s/a.py --name planted --set units=32 --set dropout=0.1..0.4 "
        "--trials 40 --folds 4"
    )
    # Another study has its own number of trials.
    wider = Finding("boundary", "problem", "Wider", "", changes=Changes({"dropout": "0.1..0.6"}))
    monkeypatch.delenv("KERASTUDY_STORE")
    command = next_launch(history, [more, wider]).command(history)
    assert command == (
        "kerastudy launch /s/a.py --name planted-2 --set units=32 --set dropout=0.1..0.6 "
        f"--folds 4 --store '{history.store.root}'"
    )


def test_a_study_in_a_notebook_has_no_command(tmp_path: Path) -> None:
    diagnosis = diagnose(Planted(accuracy=rising, trials=60).history(tmp_path))
    assert diagnosis.next.tailoring.ranges and diagnosis.command == ""


def test_an_answer_claims_no_more_than_its_intervals(tmp_path: Path) -> None:
    """Two values are alike, and the third is worse. The answer claims only this."""
    reached = {"small": 0.5, "right, too": 0.9, "large": 0.9}
    width = ks.Choice("width", [*reached], role="scientific")
    history = Planted(
        space=SearchSpace(width, ks.Float("rate", 0.0, 1.0)),
        accuracy=lambda values: reached[values["width"]] + 0.02 * values["rate"],
        trials=60,
    ).history(tmp_path)
    (sentence,) = answers(history).values()
    match = re.fullmatch(
        r"width: '(.+)' has a better val_accuracy than 'small' \(by 0\.4\d? ± [.\d]+\)\. "
        r"No clear difference from '(.+)' \(by ([.\d]+) ± ([.\d]+)\)\. 'small' underfits\.",
        sentence,
    )
    assert match is not None, sentence
    assert {match[1], match[2]} == {"right, too", "large"} and float(match[3]) <= float(match[4])
    (finding,) = [finding for finding in diagnose(history).findings if finding.check == "isolation"]
    assert finding.title == "width: 'small' is clearly worse"
    assert finding.changes.ranges == {"width": '["right, too", "large"]'}


def test_an_answer_says_which_values_overfit(tmp_path: Path) -> None:
    """The best trial of a value decides. If a callback ended it in time, it does not overfit."""

    def curve(value: float, epochs: int, random: np.random.Generator) -> np.ndarray:
        return (falling if value > 0.9 else sound_curve)(value, epochs, random)

    reached = {1: 0.85, 64: 0.95}
    study = Planted(
        space=SearchSpace(ks.Choice("units", [*reached], role="scientific")),
        accuracy=lambda values: reached[values["units"]],
        training=learned,
        curve=curve,
        trials=24,
    )
    (sentence,) = answers(study.history(tmp_path / "whole")).values()
    assert re.search(r"\. units 64 \(by 0\.\d+ after epoch \d+\) overfits\.$", sentence), sentence
    (sentence,) = answers(replace(study, pruned=early).history(tmp_path / "stopped")).values()
    assert sentence.endswith(").")

"""What a diagnosis finds: in studies with one planted fault, in sound ones, by other arithmetic."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import Planted, hill, sound_curve
from scipy import stats

from tracking.diagnosis import (
    CHECKS,
    DiagnosedStudy,
    Diagnosis,
    Finding,
    TooThinError,
    diagnose,
    evidence,
    isolation,
)
from tracking.scores import SampleScores, write_scores

NAN = "the loss is NaN in epoch 1"


def log_rate(values: Any) -> float:
    return float(np.log10(values["learning_rate"]))


def at_upper_end(values: Any) -> float:
    return 0.95 - 0.1 * log_rate(values) ** 2 - 0.3 * (values["dropout"] - 0.25) ** 2


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


def raises(values: Any) -> bool:
    return int(values["dropout"] * 1e6) % 3 == 0


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "an optimum beyond the upper end": ("boundary", {"accuracy": at_upper_end}),
    "an optimum beyond the lower end": (
        "boundary",
        {"accuracy": lambda v: 0.85 + 0.1 * hill(v) - 0.04 * math.log2(v["units"] / 16)},
    ),
    "unstable next to the optimum": (
        "infeasible",
        {"accuracy": unstable, "infeasible": lambda v: NAN if v["learning_rate"] > 0.1 else ""},
    ),
    "too few epochs": ("too short", {"curve": slow}),
    "too many epochs": ("too long", {"curve": fast, "epochs": 30}),
    "overfitting": (
        "overfitting",
        {"curve": falling, "training": lambda curve: np.linspace(0.8, 0.99, len(curve))},
    ),
    "underfitting": (
        "underfitting",
        {"accuracy": lambda v: hill(v) - 0.3, "training": lambda curve: curve - 0.01},
    ),
    "noise between seeds": (
        "trial variance",
        {"accuracy": lambda v: 0.9, "seeds": 3, "spread": 0.01},
    ),
    "few validation samples": (
        "trial variance",
        {"accuracy": lambda v: 0.9 + 0.02 * (hill(v) - 0.95), "samples": 100},
    ),
    "failures in a region": (
        "infeasible",
        {"infeasible": lambda v: NAN if v["units"] > 90 else ""},
    ),
    "failures by a bug": (
        "infeasible",
        {
            "infeasible": lambda v: "the builder raised NameError: x" if raises(v) else "",
            "further": lambda v: {"raised": "NameError: x"} if raises(v) else {},
        },
    ),
    "too few trials": ("sufficiency", {"trials": 16}),
    "a scientific difference": (
        "isolation",
        {"accuracy": lambda v: hill(v) + 0.02 * v["batch_normalization"], "trials": 400},
    ),
}


def found(diagnosis: Diagnosis) -> list[Finding]:
    """What asks for something."""
    return [each for each in diagnosis.findings if each.severity != "ok"]


def planted(folder: Path, **fault: Any) -> Diagnosis:
    return diagnose(Planted(**{"trials": 120, **fault}).history(folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(tmp_path: Path, fault: str) -> None:
    check, settings = FAULTS[fault]
    diagnosis = planted(tmp_path, **settings)
    assert [each.check for each in found(diagnosis)] == [check]
    (finding,) = found(diagnosis)
    assert finding.advice or finding.command
    charts = {each.name: each.chart for each in CHECKS}
    assert finding.chart == charts[check]
    assert bool(finding.trials) == (finding.chart == "curves")
    assert bool(finding.rows) == (finding.chart == "intervals")
    # The most severe come first.
    assert diagnosis.findings[0] is finding


def test_a_sound_study_has_nothing_to_mend(tmp_path: Path) -> None:
    for seed in range(4):
        diagnosis = planted(tmp_path / str(seed), seed=seed)
        assert not found(diagnosis), diagnosis.findings
        assert {each.check for each in diagnosis.findings} == {
            "sufficiency", "trial variance", "isolation",
        }  # fmt: skip
        assert not diagnosis.unchecked
        assert not diagnosis.command


def early(curve: np.ndarray, number: int) -> int:
    """Where `EarlyStopping` with a patience of three epochs ends a trial."""
    best = np.maximum.accumulate(curve)
    stops = [end for end in range(4, len(curve)) if best[end - 1] == best[end - 4]]
    return next(iter(stops), len(curve))


def test_trials_that_early_stopping_ended_are_checked(tmp_path: Path) -> None:
    stopped: dict[str, Any] = {"pruned": early, "further": lambda v: {"state": "complete"}}
    sound = planted(tmp_path / "sound", **stopped)
    assert not found(sound) and not sound.unchecked
    faults: dict[str, dict[str, Any]] = {
        "overfitting": {**FAULTS["overfitting"][1], "pruned": lambda c, n: 14},
        "underfitting": FAULTS["underfitting"][1],
        "too long": {"curve": fast, "epochs": 60, "pruned": lambda c, n: 24},
        # None of them stopped by itself.
        "too short": {**FAULTS["too few epochs"][1], "pruned": early},
    }
    for check, fault in faults.items():
        diagnosis = planted(tmp_path / check, **{**stopped, **fault})
        assert [each.check for each in found(diagnosis)] == [check]
    # Those that did had all the epochs that they wanted.
    cut = {**stopped, "curve": slow, "pruned": lambda curve, number: 12}
    assert "too short" not in {each.check for each in planted(tmp_path / "cut", **cut).findings}


def test_thin_records_say_what_is_missing(tmp_path: Path) -> None:
    diagnosis = planted(tmp_path, trials=3)
    assert not diagnosis.findings
    missing = {(each.check, each.parameter): each.reason for each in diagnosis.unchecked}
    assert "10 trials with a value are needed; the study has 3" in missing["sufficiency", ""]
    assert ("boundary", "learning_rate") in missing
    assert not diagnosis.command
    for trials in (0, 1):
        assert not planted(tmp_path / str(trials), trials=trials).findings


def test_all_trials_infeasible(tmp_path: Path) -> None:
    diagnosis = planted(tmp_path, infeasible=lambda values: NAN, trials=12)
    (finding,) = diagnosis.findings
    assert (finding.check, finding.severity) == ("infeasible", "problem")
    assert "12 of 12 trials" in finding.verdict


def test_what_a_finding_changes(tmp_path: Path) -> None:
    def change(fault: str) -> Any:
        check, settings = FAULTS[fault]
        (finding,) = found(planted(tmp_path / fault, **settings))
        assert finding.check == check
        return finding.changes.ranges or finding.changes.settings

    assert change("an optimum beyond the upper end") == {"learning_rate": "0.0001..10.0:log"}
    assert change("an optimum beyond the lower end") == {"units": "4..256:log"}
    assert change("too few epochs") == {"epochs": 40}
    assert change("too few trials") == {"trials": 32}
    assert change("failures by a bug") == {"retry_infeasible": True}
    assert change("a scientific difference") == {"batch_normalization": "true"}
    low, high = change("unstable next to the optimum")["learning_rate"].split(":")[0].split("..")
    assert (float(low), 0.08 < float(high) <= 0.12) == (1e-4, True)


def by_hand(losses: list[float], draws: int) -> float:
    """The mean of the best of every sample of so many."""
    return float(np.mean([min(each) for each in itertools.combinations(losses, draws)]))


def test_isolation_is_what_numpy_computes(tmp_path: Path) -> None:
    history = Planted(trials=22).history(tmp_path)
    study = DiagnosedStudy(history)
    finding = isolation(study, history.description.space["batch_normalization"])
    values: dict[str, list[float]] = {"True": [], "False": []}
    for trial in history.ended:
        values[str(trial.params["batch_normalization"])].append(-trial.value)
    draws = min(map(len, values.values())) // 3
    assert finding.evidence["best of so many trials"] == draws >= 2
    told, means, errors, freedoms = finding.evidence["values"], {}, {}, {}
    for name, losses in values.items():
        count = len(losses)
        without = [by_hand(losses[:i] + losses[i + 1 :], draws) for i in range(count)]
        means[name] = by_hand(losses, draws)
        errors[name] = math.sqrt((count - 1) * np.var(without))
        freedoms[name] = 2 * (count / draws - 1)
        assert told[name]["trials"] == count
        assert told[name]["best"] == -min(losses)
        assert told[name]["expected"] == pytest.approx(-means[name], abs=1e-12)
        assert told[name]["standard error"] == pytest.approx(errors[name], rel=1e-9)
    (difference,) = finding.evidence["differences"].values()
    both = sum(error**2 for error in errors.values())
    freedom = both**2 / sum(errors[name] ** 4 / freedoms[name] for name in errors)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(both)
    assert difference["by"] == pytest.approx(abs(means["True"] - means["False"]), abs=1e-12)
    assert difference["plus or minus"] == pytest.approx(half, rel=1e-9)


def test_sufficiency_is_what_numpy_computes(tmp_path: Path) -> None:
    history = Planted(trials=12).history(tmp_path)
    (finding,) = [each for each in diagnose(history).findings if each.check == "sufficiency"]
    losses = [-trial.value for trial in history.ended if trial.value is not None]
    evidence = finding.evidence
    assert evidence["gain of the last doubling"] == pytest.approx(by_hand(losses, 6) - min(losses))
    assert evidence["best"] == -min(losses)
    share = -min(losses)
    assert evidence["worth having"] == pytest.approx(math.sqrt(share * (1 - share) / 5000))


def test_noise_is_that_of_samples_or_of_seeds_where_they_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = Planted(trials=12).history(tmp_path)
    assert history.best is not None and history.best.epoch is not None
    losses = np.random.default_rng(5).gamma(2.0, size=1500)
    scores = SampleScores("val_accuracy", "mean", losses, history.best.epoch)
    write_scores(history.files.scores(history.best.number), [scores])
    noise = DiagnosedStudy(history).noise
    assert noise is not None
    assert noise.value == pytest.approx(losses.std() / math.sqrt(1500), rel=0.15)
    assert noise.source == "the standard error of one value"
    raced = [SimpleNamespace(values=(0.9, 0.92, 0.91)), SimpleNamespace(values=(0.8, None, 0.81))]
    outcome = SimpleNamespace(race=raced)
    monkeypatch.setattr(evidence, "read_confirmations", lambda history: [outcome])
    noise = DiagnosedStudy(history).noise
    assert noise is not None
    pooled = np.mean([np.var([0.9, 0.92, 0.91], ddof=1), np.var([0.8, 0.81], ddof=1)])
    assert noise.value == pytest.approx(math.sqrt(pooled))
    assert noise.source == "the noise of a seed"


def test_one_way_variance_is_that_of_scipy(tmp_path: Path) -> None:
    """Noise is found where scipy's test finds no difference between trials."""
    for seed, differ in itertools.product(range(3), (0.0, 0.004)):
        history = Planted(
            accuracy=lambda v, by=differ: 0.9 + by * math.sin(9 * log_rate(v)),
            seeds=3, spread=0.01, seed=seed, trials=30,
        ).history(tmp_path / f"{seed}-{differ}")  # fmt: skip
        groups = [[each.best.value for each in t.result.repeats] for t in history.ended]
        (finding,) = [f for f in diagnose(history).findings if f.check == "trial variance"]
        assert (finding.severity == "problem") == (stats.f_oneway(*groups).pvalue > 0.05)


def test_no_finding_contradicts_the_record(tmp_path: Path) -> None:
    """Figures of findings, counted again from the trials."""
    said = set()
    for seed in range(12):
        random = np.random.default_rng(seed)
        fault = [*FAULTS.values()][seed % len(FAULTS)][1]
        settings = {**fault, "trials": int(random.integers(30, 150)), "seed": seed + 50}
        history = Planted(**settings).history(tmp_path / str(seed))
        ranked = sorted((t for t in history.ended if t.value is not None), key=lambda t: -t.value)
        best = history.best
        for each in diagnose(history).findings:
            said.add(each.check)
            evidence = each.evidence
            if each.check == "infeasible":
                failed = [t for t in history.ended if t.state == "infeasible"]
                assert evidence["infeasible"] == len(failed)
                assert sum(evidence["reasons"].values()) == len(failed)
            elif each.check == "sufficiency":
                assert evidence["best"] == best.value
                good = [t for t in ranked if t.value >= best.value - evidence["worth having"]]
                assert evidence["good trials"] == len(good)
            elif each.check == "too short":
                late = [epoch for epoch in evidence["best epochs"] if epoch > 15]
                assert evidence["of them"] <= len(late)
            elif each.check == "underfitting":
                assert 0 < evidence["measure"] < 0.9
            elif each.check == "boundary":
                top = ranked[: evidence["best trials"]]
                units = [history.description.space[each.parameter].to_unit(t.params[each.parameter])
                         for t in top]  # fmt: skip
                edge = 0.1 if len(ranked) >= 50 else 0.2
                last = max(sum(u >= 1 - edge for u in units), sum(u <= edge for u in units))
                assert evidence["of them at the end"] == last
            elif each.check == "trial variance":
                deviation = np.std([t.value for t in ranked], ddof=1)
                assert evidence["standard deviation of trials"] == pytest.approx(deviation)
            assert len(each.title) <= 70
            assert each.verdict.endswith(".")
    assert len(said) >= 8


def test_an_isolation_needs_trials(tmp_path: Path) -> None:
    history = Planted(trials=8).history(tmp_path)
    with pytest.raises(TooThinError, match="two of its values need 6 trials"):
        isolation(DiagnosedStudy(history), history.description.space["batch_normalization"])

"""The values of a study's first trials: the defaults; those of a file, or of another study."""

import json
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from doctored import Said
from optuna.exceptions import ExperimentalWarning
from scripted import SPACE as SCRIPTED
from scripted import ScriptedExecutor, describe, loss, run_study

import kerastudy as ks
from search_spaces import OptunaSpace, SearchSpace, SearchSpaceError, StudyError, StudyNotFoundError
from studies.definition import sampler_seed
from tracking.history import StudyHistory, study_names
from tracking.records import TrialSpec, ranked


def launch(folder: Path, name: str, progress: Said | None = None, **settings: Any) -> StudyHistory:
    usual = {"name": name, "try_defaults": True, "trials": 4}
    executor = ScriptedExecutor(describe(**{**usual, **settings}))
    return run_study(executor, store=folder, progress=progress)


def values(history: StudyHistory) -> list[dict[str, Any]]:
    return [dict(trial.spec.values) for trial in history.trials]


# Trial 0 has the defaults of the space, unless the study says otherwise.

SMALL = SearchSpace(
    ks.Float("rate", 0.01, 0.04, step=0.01, default=0.02),
    ks.Int("units", 8, 10),
    ks.Choice("kind", ["a", "b"], default="b"),
    ks.Choice("momentum", [0.0, 0.5], default=0.5, when={"kind": "b"}),
)
OF_SMALL = {"rate": 0.02, "units": 9, "kind": "b", "momentum": 0.5}
ONE_OF_EACH_FAMILY = ["optuna:tpe", "optuna:grid", "keras-tuner:bayesian", "keras-tuner:hyperband"]


@pytest.mark.parametrize("engine", ONE_OF_EACH_FAMILY)
def test_the_defaults_are_tried_once_under_every_engine(folder: Path, engine: str) -> None:
    grid = engine.endswith("grid")
    history = launch(folder, f"by {engine}", engine=engine, space=SMALL, trials=100 if grid else 4)
    assert values(history)[0] == OF_SMALL
    assert history.default is history.trials[0]
    tries = [
        trial.spec.values for trial in history.trials if "tuner/trial_id" not in trial.engine_state
    ]
    assert tries.count(OF_SMALL) == 1
    if grid:
        # Four rates, three numbers of units, "a" or "b" with two momentums.
        others = [configuration for configuration in SMALL.grid() if configuration != OF_SMALL]
        assert tries == [OF_SMALL, *others] and len(tries) == 4 * 3 * 3
        assert (history.ended_by, history.status) == ("space", "FINISHED")
        assert history.stopped == "all 36 configurations of the space were tried"


@pytest.mark.parametrize("conditional", [True, False])
def test_then_tpe_proposes_what_plain_optuna_does(folder: Path, conditional: bool) -> None:
    space = SCRIPTED if conditional else SearchSpace(*[p for p in SCRIPTED if not p.when])
    history = launch(folder, f"tpe {conditional}", space=space, trials=16)
    study = optuna.create_study()
    study.enqueue_trial(OptunaSpace(space).encode(space.defaults())[0])
    for trial in history.trials:
        seed = sampler_seed(0, trial.number)
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            study.sampler = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=conditional
            )
        asked = study.ask()
        assert trial.spec.values == OptunaSpace(space).suggest(asked)
        study.tell(asked, min(loss(trial.spec, epoch) for epoch in range(1, 5)))


def test_known_values_follow_and_the_defaults_are_not_trained_twice(folder: Path) -> None:
    others = [{"rate": 0.01, "units": 8, "kind": "a"}, {**OF_SMALL, "units": 10}]
    tried = values(launch(folder, "again", space=SMALL, initial=[others[0], OF_SMALL, others[1]]))
    assert tried[:3] == [OF_SMALL, *others]
    assert tried[3] not in tried[:3]


@pytest.mark.parametrize("before", [False, True])
def test_a_study_stays_as_it_was_begun(folder: Path, before: bool) -> None:
    settings = {"initial": ({"rate": 0.01, "units": 8, "kind": "a"},)}
    whole = launch(folder, f"whole {before}", try_defaults=before, trials=8, **settings)
    name = f"resumed {before}"
    launch(folder, name, try_defaults=before, trials=1, **settings)
    resumed = launch(folder, name, try_defaults=not before, trials=8, **settings)
    assert values(resumed) == values(whole)
    assert resumed.description.try_defaults is before


# Values of a file, or of another study

SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1.0, scale="log"),
    ks.Choice("kind", ["a", "b", "=c", None]),
    ks.Int("units", 4, 64),
    ks.Int("layers", 1, 4, when={"kind": "b"}),
    ks.Choice("hidden", [(64,), (64, 32)]),
    ks.Choice("sizes", [8, 16], when={"kind": ["b", None]}),
    ks.Boolean("flag"),
)
OLD: dict[str, Any] = {"trials": 24, "engine": "optuna:random", "try_defaults": False}


def begin(folder: Path, name: str, progress: Said | None = None, **settings: Any) -> StudyHistory:
    return launch(folder, name, progress, **{"space": SPACE, "trials": 12, "epochs": 2, **settings})


@pytest.fixture(scope="module")
def old(folder: Path) -> StudyHistory:
    return begin(folder, "old", **OLD)


@pytest.fixture(scope="module")
def best(old: StudyHistory) -> list[dict[str, Any]]:
    trials = ranked(old.trials, old.description.objective)
    return [dict(trial.spec.values) for trial in trials]


def test_the_best_ten_of_another_study(
    folder: Path, old: StudyHistory, best: list[dict[str, Any]]
) -> None:
    assert len({configuration["kind"] for configuration in best[:10]}) > 1
    progress = Said()
    history = begin(folder, "from old", progress, initial_from="study:old")
    assert values(history)[:11] == [SPACE.defaults(), *best[:10]]
    assert history.description.initial_from == "study:old"
    assert any(line.startswith("starts with the best 10 of ") for line in progress.lines)


def test_a_study_keeps_the_trials_that_it_was_begun_with(folder: Path) -> None:
    """They stay even if the other study has better ones by now."""
    begin(folder, "growing", **{**OLD, "trials": 4})
    begun = begin(folder, "from growing", trials=4, initial_from="study:growing")
    begin(folder, "growing", **OLD)
    again = begin(folder, "from growing", trials=6, initial_from="study:growing")
    assert len(again.description.initial) == 4
    assert again.description.initial == begun.description.initial
    assert values(again)[:4] == values(begun)


def test_values_outside_the_space_are_passed_over_and_counted(
    folder: Path, best: list[dict[str, Any]]
) -> None:
    progress = Said()
    narrower = SearchSpace(*(p for p in SPACE if p.name != "rate"), ks.Float("rate", 4e-3, 1.0))
    history = begin(folder, "narrower", progress, space=narrower, initial_from="study:old")
    expected = [configuration for configuration in best if configuration["rate"] >= 4e-3][:10]
    assert expected and values(history)[1 : 1 + len(expected)] == expected
    (line,) = [line for line in progress.lines if line.startswith("starts with")]
    assert "not in this space, for example: Float 'rate'" in line
    reason = "No trial of the study 'old' can be tried here: 24 not in"
    with pytest.raises(StudyError, match=reason):
        begin(folder, "none", space=SearchSpace(ks.Float("x", 0, 1)), initial_from="study:old")


def test_files_by_hand_are_tried_whole_and_in_order_and_not_needed_again(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "by hand.json"
    file.write_text(
        json.dumps([{"rate": 0.5, "kind": "=c", "hidden": [64, 32]}, {"rate": 0.25, "kind": None}])
    )
    for trials in (2, 3):
        history = begin(folder, "by hand", trials=trials, initial_from=str(file))
        file.unlink(missing_ok=True)
    tried = values(history)
    assert [configuration["rate"] for configuration in tried[1:]] == [0.5, 0.25]
    assert [configuration["kind"] for configuration in tried[1:]] == ["=c", None]
    assert SPACE["hidden"].opened(tried[1]["hidden"]) == (64, 32)


def test_until_a_trial_has_finished_the_definition_may_change_and_its_file_is_read_again(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "first.json"
    settings = {"name": "anew", "space": SMALL, "try_defaults": False, "trials": 2}
    file.write_text(json.dumps([OF_SMALL]))

    def interrupt(spec: TrialSpec) -> None:
        raise KeyboardInterrupt

    description = describe(**settings, initial_from=str(file))
    with pytest.raises(KeyboardInterrupt):
        run_study(ScriptedExecutor(description, before=interrupt), store=folder)
    file.write_text(json.dumps([{**OF_SMALL, "units": 10}]))
    other = {"engine": "optuna:random", "epochs": 5, "initial_from": str(file)}
    history = launch(folder, **settings, **other)
    assert values(history)[0] == {**OF_SMALL, "units": 10}
    assert history.description.engine == "optuna:random"
    assert [trial.spec.epochs for trial in history.trials] == [5, 5]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[1]", StudyError, "must be a list of values by name"),
        ("[]", StudyError, "must be a list of values by name"),
        ('{"rate": 0.5}', StudyError, "must be a list of values by name"),
        ("rate,kind\n0.5,a\n", StudyError, "cannot be read as JSON"),
        (
            '[{"rate": 0.5}, {"rate": "high"}]',
            SearchSpaceError,
            r"Values 2 of .*a\.txt.*a number.* Received: 'high'",
        ),
        ('[{"raet": 0.5}]', SearchSpaceError, "Values 1 of .*Did you mean 'rate'"),
    ],
)
def test_other_files_are_refused(
    folder: Path, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(error, match=message):
        begin(folder, "wrong", initial_from=str(tmp_path / "a.txt"))


def test_its_own_trials_and_a_study_that_is_not_there_are_refused(
    folder: Path, old: StudyHistory
) -> None:
    with pytest.raises(StudyError, match="can't start with its own trials"):
        begin(folder, "old", **OLD, initial_from="study:old")
    with pytest.raises(StudyNotFoundError, match="'nowhere'"):
        begin(folder, "from nowhere", initial_from="study:nowhere")
    assert "from nowhere" not in study_names(old.store)

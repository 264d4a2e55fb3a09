"""Cross-validated studies against plain Keras on the indices of scikit-learn's splitters."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from exact_training import set_generators
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.utils.class_weight import compute_class_weight
from stores import history_at
from study_file import DEEP, study_text
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from studies.commands import definition_text
from tracking.history import StudyHistory, fit_metrics

STUDY = study_text(
    **DEEP,
    name='"folds"',
    samples="""y = np.repeat([0, 1, 2], [50, 36, 25])
x = (random.normal(size=(111, 6)) + y[:, None] * 0.7).astype("float32")
""",
    data="ks.datasets.arrays(x, y, test=21)",
    space="ks.SearchSpace(ks.learning_rate(0.001, 0.1), ks.dropout(0.1, 0.5))",
    objective='"val_loss"',
    trials="2",
    epochs="3",
    batch_size="16",
    class_weight='"balanced"',
    cross_validation="3",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cross validation")
    (folder / "study.py").write_text(STUDY)
    options = ("--executor", "in-process", "--verify", "full", "--quiet", "--json")
    outcome = as_json(kerastudy_here(folder, "launch", "study.py", *options))
    assert outcome["best"]["verified"] == "model.fit, identical"
    return folder


@pytest.fixture(scope="module")
def history(folder: Path) -> StudyHistory:
    return history_at(folder / "kerastudy-store", "folds")


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    """The file's variables, and scikit-learn's indices of all folds and of each fold."""
    names: dict[str, Any] = {}
    exec(STUDY, names)
    y = names["y"]
    pool, _ = train_test_split(
        np.arange(111), test_size=21, train_size=90, random_state=0, stratify=y
    )
    split = StratifiedKFold(3, shuffle=True, random_state=0).split(pool, y[pool])
    folds = [(pool[train], pool[validation]) for train, validation in split]
    return {**names, "pool": pool, "folds": folds}


def trained_by_hand(
    code: dict[str, Any], params: Any, seed: int, train: Any, validation: Any, epochs: int
) -> tuple[Any, list[dict[str, float]]]:
    """Trains with Keras alone, as the README says."""
    x, y = code["x"], code["y"]
    weights = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=y[code["pool"]])
    keras.utils.set_random_seed(seed)
    model = code["build"](params)
    metrics = []
    for epoch in range(1, epochs + 1):
        order = train[ks.permutation(seed, epoch, len(train))]
        set_generators(model, seed, epoch)
        fitted = model.fit(
            x[order],
            y[order],
            class_weight=dict(enumerate(weights)),
            validation_data=None if validation is None else (x[validation], y[validation]),
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
        metrics.append({name: values[0] for name, values in fitted.history.items()})
    return model, metrics


def test_a_fold_is_model_fit_on_the_indices_of_scikit_learn(
    history: StudyHistory, code: dict[str, Any]
) -> None:
    trial = history.ended[0]
    curves = []
    for recorded, parts in zip(trial.result.repeats, code["folds"], strict=True):
        _, epochs = trained_by_hand(code, trial.params, recorded.seed, *parts, recorded.epochs)
        assert epochs == list(fit_metrics(history.folder, recorded.uuid).values())
        curves.append([metrics["val_loss"] for metrics in epochs])
    means = np.mean(curves, axis=0)
    assert trial.epoch == means.argmin() + 1
    assert trial.value == pytest.approx(means.min(), abs=1e-15)
    spread = np.std(np.array(curves)[:, means.argmin()], ddof=1)
    assert trial.result.spread == pytest.approx(spread, abs=1e-12)


def test_the_champion_is_model_fit_on_all_folds_for_the_common_best_epoch(
    folder: Path, history: StudyHistory, code: dict[str, Any]
) -> None:
    best = history.best
    model, _ = trained_by_hand(code, best.params, best.spec.seed, code["pool"], None, best.epoch)
    champion = ks.load_model("folds", store=folder / "kerastudy-store")
    for loaded, expected in zip(champion.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(loaded, expected)


def test_show_and_dry_run_tell_of_folds(folder: Path, history: StudyHistory) -> None:
    output = kerastudy_here(folder, "show", "folds", COLUMNS="80").stdout
    assert "the mean of the folds' " in " ".join(output.split())
    assert "folds      3 for each trial" in output
    lines = [line for line in output.splitlines() if not line.startswith("checkpoint")]
    assert max(map(len, lines)) <= 80
    output = kerastudy_here(folder, "show", "folds", "--trial", "0").stdout
    assert "by compiled steps, which give the same numbers" in " ".join(output.split())
    assert "\nfold 1     " in output and "\nfold 3     " in output
    # `--dry-run` shows this text.
    planned = definition_text(history.description)
    assert "trials     2 of 3 folds" in planned and "90 in folds, 21 test" in planned


def test_trials_of_folds_have_no_script_and_only_the_champion_has_a_model(
    folder: Path, history: StudyHistory
) -> None:
    best = history.best
    other = 1 - best.number
    answer = kerastudy_here(folder, "export", "folds", "--as", "script", expect=2)
    assert "is cross-validated, but a script" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    with pytest.raises(ks.errors.StudyError, match="trained on folds alone, so it has no model"):
        ks.read_study("folds", store=folder / "kerastudy-store").trial(other).load_model()


# Refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repeats": 2}, "it has repeats=2"),
        ({"class_weight": lambda hp: None}, "its class_weight is a function of hp"),
        (
            {"data": ks.datasets.batches(lambda: iter([]), lambda: iter([]))},
            "its data comes in batches",
        ),
    ],
)
def test_what_can_not_be_cross_validated(
    code: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    data = ks.datasets.arrays(code["x"], code["y"])
    usual: dict[str, Any] = {"data": data, "build": code["build"], "cross_validation": 3}
    with pytest.raises(ks.errors.StudyError, match=message):
        ks.Study("refused", **{**usual, **fields})
    with pytest.raises(ks.errors.StudyError, match="can't be given only at launch"):
        ks.Study("refused", **usual).with_overrides({"cross_validation": ks.splits.forward(3)})


def test_more_folds_than_samples_of_a_class_is_one_line(folder: Path) -> None:
    command = ("launch", "study.py", "--executor", "in-process", "--folds")
    answer = kerastudy_here(folder, *command, "23", "--name", "many", expect=2)
    assert "rarest class of y has 20 samples, fewer than 23 folds" in answer.stderr
    changed = kerastudy_here(folder, *command, "4", expect=2)
    assert "cross_validation was '3' and is '4'" in changed.stderr

"""The ready studies: each loads, trains and gives a value; one is reproduced by a new process."""

import functools
import html
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from suite import exhaustive_but
from user_commands import as_json, kerastudy_here

from search_spaces import Hyperparameters
from studies.catalog import COURSE
from studies.definition import LaunchOptions
from studies.launching import launch_target
from studies.training import begin_trial
from studies.user_code import load_study, resolve_target
from tracking.history import StudyHistory

# In the order of the course.
NAMES = [
    *("digits", "underfitting-overfitting", "same-distribution"),
    *("epochs", "batch-size", "callbacks"),
    *("binary", "metrics", "one-hot", "sparse", "regression"),
    *("linear-regression", "optimizers"),
    *("mnist", "fashion-mnist"),
    *("initializers", "regularization", "dropout", "batch-normalization", "activations"),
    *("convolutional", "text", "time-series", "tabular", "transfer"),
    "all-settings",
]
IMAGES = ("mnist", "fashion-mnist")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, and images to use for MNIST's."""
    folder = tmp_path_factory.mktemp("catalog")
    random = np.random.default_rng(0)
    y = (np.arange(300) % 10).astype("uint8")
    x = random.integers(0, 100, (300, 28, 28), "uint8") + 15 * y[:, None, None]
    np.savez(
        folder / "images.npz", x_train=x[:240], y_train=y[:240], x_test=x[240:], y_test=y[240:]
    )
    return folder


@pytest.fixture(scope="module")
def launch(folder: Path) -> Callable[[str], StudyHistory]:
    """Launches a study of the catalog with one short trial, in this process, once."""

    @functools.cache
    def launch(name: str) -> StudyHistory:
        target = resolve_target(name)
        study, _ = load_study(target)
        options = LaunchOptions(
            store=folder / "store", executor="in-process", progress=False, verify="off"
        )
        overrides = {"trials": 1} if "epochs" in study.space else {"trials": 1, "epochs": 1}
        data = str(folder / "images.npz") if name in IMAGES else ""
        return launch_target(target, options, overrides=overrides, data=data)

    return launch


def test_the_list_is_a_line_for_each_by_chapter(tmp_path: Path) -> None:
    assert as_json(kerastudy_here(tmp_path, "list", "--catalog", "--json")) == NAMES
    lines = kerastudy_here(tmp_path, "list", "--catalog", COLUMNS="80").stdout.splitlines()
    of_studies = [line for line in lines if line.startswith("  ")]
    assert [line.split()[0] for line in of_studies] == NAMES
    assert all(len(line) <= 80 and line.endswith("?") for line in of_studies)
    assert [line for line in lines if line in COURSE] == list(COURSE)


# `test_first_study` launches `digits`. The others are dense networks like it, or take longer.
@pytest.mark.parametrize("name", exhaustive_but(["linear-regression"], NAMES))
def test_each_trains_and_says_what_it_is_for(
    launch: Callable[[str], StudyHistory], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file given by --data goes before the variable.
    monkeypatch.setenv("KERASTUDY_DATA", "/nowhere/images.npz")
    history = launch(name)
    assert history.description.name == name
    assert len(history.description.notes) > 40
    assert history.description.warnings == ()
    assert math.isfinite(history.best.value)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_its_best_trial_is_reproduced_by_a_new_process(
    folder: Path, launch: Callable[[str], StudyHistory], name: str
) -> None:
    best = launch(name).best
    command = ("reproduce", name, "--store", folder / "store", "--json")
    again = as_json(kerastudy_here(folder, *command, KERASTUDY_DATA=str(folder / "images.npz")))
    assert again["identical"] is True
    assert again["epochs"] == best.spec.epochs


def test_the_report_has_the_notes_and_names_the_study(
    folder: Path, launch: Callable[[str], StudyHistory]
) -> None:
    notes, path = launch("linear-regression").description.notes, folder / "line.html"
    store = ("--store", folder / "store", "--output", path)
    kerastudy_here(folder, "report", "linear-regression", *store)
    page = html.unescape(path.read_text(encoding="utf-8"))
    assert notes in page
    # A study of the catalog is named in commands, not the path of its file.
    assert "kerastudy data linear-regression" in re.sub("<[^>]+>", "", page)


def test_a_test_part_of_another_scanner_is_found_before_any_training(tmp_path: Path) -> None:
    document = as_json(kerastudy_here(tmp_path, "data", "same-distribution", "--json"))
    (problem,) = [finding for finding in document["findings"] if finding["severity"] == "problem"]
    assert (problem["check"], problem["figures"]["part"]) == ("same distribution", "test")


def test_the_regression_predicts_in_the_unit_of_its_target() -> None:
    """An untrained model predicts about the mean of the training targets, and not about 0."""
    study, _ = load_study(resolve_target("regression"))
    train = study.data.load().train
    begin_trial(0)
    model = study.build(Hyperparameters(study.space, study.space.defaults()))
    predicted = model.predict(train.x, verbose=0)
    assert abs(predicted.mean() - train.y.mean()) < train.y.std()
    assert 100 < predicted.mean() < 200

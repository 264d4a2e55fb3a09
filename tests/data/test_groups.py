"""Rows that belong together: a table in which only the patient decides, by coin."""

import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from user_commands import as_json, kerastudy, kerastudy_here

import kerastudy as ks

PATIENTS = 400
HERE = ("--executor", "in-process", "--json")


def made_visits(seed: int = 0) -> pd.DataFrame:
    """Returns visits of patients. The inputs tell the patient, and the target is a coin of each."""
    random = np.random.default_rng(seed)
    patient = random.permutation(np.repeat(np.arange(PATIENTS), random.integers(2, 12, PATIENTS)))
    features = random.normal(size=(PATIENTS, 8))[patient]
    features += random.normal(size=features.shape) * 0.02
    frame = pd.DataFrame(features.round(4), columns=[f"f{place}" for place in range(8)])
    frame.insert(0, "patient", 1000 + patient)
    frame["sex"] = np.array(["f", "m"])[random.integers(0, 2, PATIENTS)][patient]
    frame["ill"] = np.array(["no", "yes"])[random.permutation(PATIENTS) % 2][patient]
    return frame


def test_a_table_keeps_groups_whole_and_out_of_the_inputs() -> None:
    visits = made_visits()
    visits["row"] = np.arange(len(visits)) + 0.5
    visits["visit_id"] = np.arange(len(visits))[::-1]
    visits.loc[(visits.index % 50 == 0) | (visits["patient"] == 1005), "ill"] = None
    splits = ks.datasets.table(visits, target="ill", groups="patient").load()
    table = splits.preparation.table
    assert table is not None and "patient" not in [column.name for column in table.columns]
    assert (table.target, table.identifiers) == ("ill", ("patient", "visit_id"))
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.unseal_test()}
    patients = {}
    for name, part in parts.items():
        rows = np.asarray(table.columns_in(np.asarray(part.x))["row"]).round(1)
        patients[name] = set(visits.set_index("row").loc[rows, "patient"])
        assert len(np.unique(part.groups)) == len(patients[name])
    counts = {name: len(some) for name, some in patients.items()}
    assert sum(counts.values()) == len(set.union(*patients.values()))
    assert sum(counts.values()) == PATIENTS - 1
    assert splits.describe()["groups"] == counts
    assert sum(map(len, parts.values())) == int(visits["ill"].notna().sum())


def test_rows_without_a_group_are_refused_once_rows_without_a_target_are_out() -> None:
    visits = made_visits()
    visits["patient"] = visits["patient"].astype(object)
    visits.loc[[3, 8], "patient"] = None
    visits.loc[3, "ill"] = None
    data = ks.datasets.table(visits, target="ill", groups="patient")
    with pytest.raises(ks.errors.DataError, match="lacks the group 'patient' in 1 of"):
        data.load()
    visits.loc[8, "ill"] = None
    assert sum(data.load().sizes.values()) == len(visits) - 2


def test_groups_are_not_split_in_time() -> None:
    visits = made_visits()
    visits["day"] = pd.date_range("2020-01-01", periods=len(visits)).strftime("%Y-%m-%d")
    assert "day: parts are split in time" in str(
        ks.datasets.table(visits, target="ill").load().warnings
    )
    splits = ks.datasets.table(visits, target="ill", groups="patient").load()
    assert splits.preparation.table is not None and not splits.preparation.table.time
    assert "day: no input" in splits.warnings


def kinds(count: int, rows: int = 2000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, rows)


COUNTRIES = np.array(["no", "se", "dk", "fi"])


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"patient": kinds(40)}, "patient"),
        ({"Household": kinds(12)}, "Household"),
        ({"visit_id": kinds(400)}, "visit_id"),
        ({"customer no": [f"{kind:04}" for kind in kinds(300)]}, "customer no"),
        ({"chart": [f"P-{kind:04}" for kind in kinds(300)]}, "chart"),
        ({"number": kinds(300), "born in": COUNTRIES[kinds(4, 300)[kinds(300)]]}, "number"),
        # A session may have three values, and a unique name of each row is no group.
        ({"session": kinds(3)}, None),
        ({"user": np.random.default_rng(0).permutation(2000)}, None),
        # Quantities, of which another column is a coarser form.
        ({"area": kinds(300)}, None),
        ({"minutes": kinds(600), "hours": kinds(600) // 60}, None),
        ({"fee": [f"{kind:,} kr" for kind in 1000 + kinds(300)]}, None),
        # Many people live in a place, and don't depend on each other.
        ({"zip": [f"{kind:05}" for kind in kinds(300)], "land": COUNTRIES[kinds(4)]}, None),
        (
            {
                "city": [
                    f"{'abcdefghijklmnopqrst'[kind % 20]}{'x' * (kind // 20)}"
                    for kind in kinds(300)
                ]
            },
            None,
        ),
        ({"day": pd.date_range("2020", periods=200).strftime("%Y-%m-%d")[kinds(200)]}, None),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else str(value),
)
def test_columns_that_look_like_names_of_groups(columns: dict[str, Any], named: str | None) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(2).normal(size=2000), **columns})
    frame["y"] = np.random.default_rng(3).normal(size=2000)
    data = ks.datasets.table(frame, target="y", time=False).load()
    told = [line for line in data.warnings if "rows may belong together" in line]
    assert [line.partition(":")[0] for line in told] == ([] if named is None else [named])
    assert data.preparation.table is not None and not data.preparation.groups
    inputs = [column.name for column in data.preparation.table.columns]
    assert named not in inputs
    if named is not None:
        assert f"groups={named!r}" in told[0]
        # The user's word decides.
        kept = ks.datasets.table(frame, target="y", time=False, drop=[]).load().preparation.table
        assert kept is not None and named in [column.name for column in kept.columns]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("the visits")
    made_visits().to_csv(folder / "visits.csv", index=False)
    return folder


def test_commands_tell_of_groups_and_take_them(folder: Path, tmp_path: Path) -> None:
    data = ("data", "visits.csv", "--target", "ill", "--json")
    findings = as_json(kerastudy_here(folder, *data))["findings"]
    (told,) = [finding for finding in findings if finding["check"] == "groups"]
    assert told["severity"] == "hint" and "--groups patient" in told["advice"]
    document = as_json(kerastudy_here(folder, *data, "--groups", "patient"))
    assert sum(document["groups"].values()) == PATIENTS
    titles = {finding["title"] for finding in document["findings"]}
    assert "Each group is in one part" in titles
    # Rows of a patient are alike. Rows of different patients tell the parts apart by chance only.
    assert all("look alike" in title for title in titles if "training and" in title)
    new = ("new", tmp_path / "a.py", "--data", folder / "visits.csv", "--target", "ill")
    assert "--groups patient" in " ".join(kerastudy_here(folder, *new).stderr.split())
    text = (tmp_path / "a.py").read_text(encoding="utf-8")
    assert 'drop=["patient"],' in text and '\n    # groups="patient",  # Keeps all rows' in text
    grouped = ("new", tmp_path / "b.py", *new[2:], "--groups", "patient")
    kerastudy_here(folder, *grouped)
    text = (tmp_path / "b.py").read_text(encoding="utf-8")
    assert '\n    groups="patient",' in text and "drop=[]," in text
    both = kerastudy_here(folder, *data, "--groups", "patient", "--time", "f1", expect=2)
    assert "and by groups (groups='patient')" in both.last and "pass them" in both.last
    assert (
        "no column 'nobody'" in kerastudy_here(folder, *data, "--groups", "nobody", expect=2).last
    )


STUDY = """
import os, signal
from pathlib import Path

import keras
import kerastudy as ks

data = ks.datasets.table("visits.csv", target="ill"{options})


def build(hp):
    {first}
    model = keras.Sequential(
        [
            keras.layers.Input((10,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "{name}",
    data=data,
    build=build,
    space=ks.SearchSpace(ks.learning_rate(0.001, 0.01)),
    objective="val_accuracy",
    trials=2,
    epochs={epochs},
    batch_size=64,
    {more}
)
"""
# The process is killed in the fifth model: the second fold of the second trial.
DIES = """built = Path(f"model {len(list(Path().glob('model *')))}")
    built.touch()
    if built.name == "model 4":
        os.kill(os.getpid(), signal.SIGKILL)"""


def study_text(name: str, options: str = "", more: str = "", first: str = "pass") -> str:
    # To know each patient by heart takes epochs.
    epochs = 25 if name == "rows" else 3
    return STUDY.format(name=name, options=options, more=more, first=first, epochs=epochs)


@pytest.fixture(scope="module")
def studies(folder: Path) -> Path:
    """Launched studies: of single rows, of patients, and of patients in folds, which was killed."""
    patients = ', groups="patient"'
    texts = {
        "rows": study_text("rows"),
        "patients": study_text("patients", patients),
        "folds": study_text("folds", patients, "cross_validation=3,", DIES),
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    kerastudy(folder, "launch", "folds.py", *HERE, expect=-signal.SIGKILL)
    for name in texts:
        kerastudy_here(folder, "launch", f"{name}.py", *HERE)
    return folder


def expected(document: dict[str, Any]) -> dict[str, float]:
    interval: dict[str, float] = document["verdict"]["expected"]
    return interval


def test_single_rows_promise_too_much_and_patients_do_not(studies: Path) -> None:
    shown = {
        name: as_json(kerastudy_here(studies, "show", name, "--json"))
        for name in ("rows", "patients", "folds")
    }
    assert expected(shown["rows"])["low"] > 0.85
    for name in ("patients", "folds"):
        interval = expected(shown[name])
        assert interval["low"] < 0.5 < interval["high"], name
        assert re.search(r"validation samples in \d+ groups", str(shown[name])), name


def test_the_test_part_takes_the_patient_as_drawn(studies: Path) -> None:
    metrics = as_json(kerastudy_here(studies, "evaluate", "patients", "--json"))["metrics"]
    assert metrics["accuracy"]["low"] < 0.5 < metrics["accuracy"]["high"]


def test_a_study_in_folds_of_patients_goes_on_after_a_kill_is_confirmed_and_reproduced(
    studies: Path,
) -> None:
    outcome = as_json(
        kerastudy_here(studies, "confirm", "folds", "--top", "2", "--budget", "4", *HERE)
    )
    interval = outcome["confirmed"]
    assert interval["low"] < 0.5 < interval["high"]
    # 80 patients tell as much as 80 coins: a share of 80 coins has a deviation of 0.056.
    assert interval["high"] - interval["low"] > 0.18
    same = as_json(kerastudy_here(studies, "reproduce", "folds", "--json"))
    assert same["identical"] is True


def test_from_python_with_few_groups_there_is_no_interval_but_a_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names: dict[str, Any] = {}
    exec(study_text("x"), names)
    data = ks.datasets.arrays(
        random.normal(size=(400, 10)), np.arange(400) % 2, groups=np.arange(400) // 20, test=None
    )
    study = ks.Study(
        "few",
        data=data,
        build=names["build"],
        trials=2,
        epochs=1,
        space=ks.SearchSpace(ks.learning_rate()),
        objective="val_accuracy",
    )
    results = study.launch(store=tmp_path / "store", progress=False)
    assert results.verdict.expected is None
    assert re.search(r"What to expect is unknown: .* groups", results.verdict.text)

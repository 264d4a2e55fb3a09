"""A CSV file like the tables at work: identifiers, codes, dates, gaps, free text, a rare class."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from user_commands import as_json, kerastudy_here, run

import kerastudy as ks

ROWS = 600
LAUNCH = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process")
# Runs a script where kerastudy can't be imported.
ALONE = """
import runpy, sys
sys.modules |= dict.fromkeys(("kerastudy", "search_spaces", "studies", "tracking"))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DECISIONS = {
    "codes": "the numbers of zip are categories",
    "missing": "'NA' in plan, '?' in tenure and 'not said' in stars",
    "rows": "2 of 600 lack churned, and are left out",
    "customer_id": "left out, as it is an identifier",
    "country": "left out, as it is always 'NO'",
    "signed up": "parts are split in time by it; no input",
    "last login": "no input",
}


def made_customers(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    tenure = random.integers(1, 70, ROWS).astype(str).astype(object)
    tenure[::9] = "?"
    plan = random.choice(["basic", "plus", "NA"], ROWS)
    churned = np.where((np.arange(ROWS) % 8 == 0), "yes", "no").astype(object)
    churned[[5, 77]] = None
    days = pd.date_range("2020-01-01", periods=ROWS)
    stars = random.integers(1, 50, ROWS).astype(str).astype(object)
    stars[3::50] = "not said"
    return pd.DataFrame(
        {
            "customer_id": [f"C{number:05}" for number in random.permutation(ROWS)],
            "signed up": days.strftime("%Y-%m-%d"),
            "last login": (days + pd.Timedelta(days=40)).strftime("%d/%m/%Y"),
            "zip": random.choice(["00501", "10115", "94105", "30303"], ROWS),
            "plan": plan,
            "tenure": tenure,
            "fee": [f"{fee:,.0f} kr" for fee in random.gamma(4, 400, ROWS)],
            "stars": stars,
            "country": "NO",
            "comment": [f"the {number}th call was long" for number in range(ROWS)],
            "churned": churned,
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made_customers().to_csv(tmp_path / "churn.csv", index=False)
    return tmp_path


def columns_of(data: ks.datasets.Dataset) -> dict[str, str]:
    return {column.name: column.kind for column in data.load().preparation.table.columns}


def test_each_decision_is_told_in_a_line_and_can_be_changed(folder: Path) -> None:
    data = ks.datasets.table(folder / "churn.csv", target="churned")
    decisions = dict(line.split(": ", 1) for line in data.load().warnings)
    comment = decisions.pop("comment")
    assert comment.startswith("left out, as it holds 598 different texts in 598 rows, such as 'th")
    assert comment.endswith("free text, which ks.datasets.text turns into inputs")
    assert decisions.pop("to change it").startswith("set drop, ") and decisions == DECISIONS
    # What the file says itself is not told again.
    own = ks.datasets.table(folder / "churn.csv", target="churned", time="signed up")
    assert not any(line.startswith("signed up") for line in own.load().warnings)
    kinds = {"zip": "category", "plan": "category", "tenure": "number", "fee": "number"}
    assert columns_of(data) == {**kinds, "stars": "number"}
    other = ks.datasets.table(
        folder / "churn.csv",
        target="churned",
        drop=["customer_id", "country", "comment", "plan"],
        categories=[],
        missing=["?", "not said"],
        dates=["last login"],
        time=False,
    )
    parts = [f"last login ({part}, day first)" for part in ("days", "month", "weekday")]
    numbers = dict.fromkeys(["zip", "tenure", "fee", "stars", parts[0]], "number")
    assert columns_of(other) == {**numbers, **dict.fromkeys(parts[1:], "category")}
    assert other.load().warnings == ["rows: 2 of 600 lack churned, and are left out"]


def test_a_launch_of_the_file_writes_a_study_and_its_champion_takes_such_rows(folder: Path) -> None:
    launch = ("launch", "churn.csv", "--target", "churned", *LAUNCH)
    options = ("--dates", "last login", "--drop", "plan")
    kerastudy_here(folder, *launch, *options, "--dry-run")
    assert not (folder / "churn_study.py").exists()
    answer = kerastudy_here(folder, *launch, *options, "--json")
    assert as_json(answer)["objective"] == {"metric": "val_auc", "direction": "max"}
    assert "note: customer_id: left out, as it is an identifier" in answer.stderr
    prediction = kerastudy_here(
        folder, "new", "other.py", "--data", "churn.csv", "--target", "churned"
    )
    assert "note: customer_id: left out, as it is an identifier" in prediction.stderr
    text = (folder / "churn_study.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    for line in (
        'drop=["plan", "customer_id", "country", "comment"],',
        'categories=["zip"],',
        'missing=["?", "not said"],',
        'dates=["last login"],',
        'time="signed up",',
        'class_weight=lambda hp: "balanced" if hp["balanced"] else None,',
        "batch_size=32,",
    ):
        assert f"\n    {line}" in text
    # The same command resumes the study of the file, which people may have changed.
    (folder / "churn_study.py").write_text(text + "\n# Looked at.\n", encoding="utf-8")
    again = as_json(kerastudy_here(folder, *launch, "--trials", "2", "--json"))
    assert again["trials"]["complete"] == 2
    assert re.search(
        r"; always answering no has an AUC of 0\.5 and an accuracy of 0\.8\d\d",
        again["verdict"]["text"],
    )
    message = kerastudy_here(folder, *launch, *options, expect=2).last
    assert "'churn_study.py' exists" in message and "kerastudy launch churn_study.py" in message
    # Rows in the words of the table, whose dates have the day first.
    new = made_customers(1).drop(columns="churned").iloc[9:40]
    new.loc[20, "zip"] = None
    new.to_csv(folder / "new.csv", index=False)
    options = ("--input", "new.csv", "--output", "out.csv", "--probabilities")
    kerastudy_here(folder, "predict", "churn", *options)
    rows = pd.read_csv(folder / "out.csv")
    assert list(rows["customer_id"]) == list(new["customer_id"]), "identifiers stay"
    assert {*rows["churned"]} <= {"yes", "no"}
    by_file = rows["probability_yes"].to_numpy()
    predict = ks.read_study("churn", store=folder / "kerastudy-store").predict
    # The exported model reads the file without kerastudy.
    exported = kerastudy_here(folder, "export", "churn", "--as", "keras", "--output", "churn.keras")
    assert "predict with: python churn-predict.py new.csv" in exported.stdout
    alone = run(folder, [sys.executable, "-c", ALONE, "churn-predict.py", "new.csv"])
    by_script = pd.read_csv(io.StringIO(alone.stdout))
    assert list(by_script["churned"]) == list(rows["churned"])
    assert by_script["probability_yes"].to_numpy() == pytest.approx(by_file, abs=1e-6)
    # pandas reads 00501 as 501.
    by_frame = predict(pd.read_csv(folder / "new.csv"))
    assert by_frame.ravel() == pytest.approx(by_file, abs=1e-6)
    days = pd.to_datetime(new["last login"], format="%d/%m/%Y").dt.strftime("%Y-%m-%d")
    iso = new.assign(**{"last login": days, "tenure": new["tenure"].replace("?", None)})
    assert np.array_equal(predict(iso), predict(new))
    with pytest.raises(ks.errors.DataError, match=r"'fee' holds numbers in '€'; those .* in 'kr'"):
        predict(new.assign(fee="1,200 €"))
    with pytest.raises(ks.errors.DataError, match="'last login' holds '04/13/2024', which is no"):
        predict(new.assign(**{"last login": "04/13/2024"}))


def test_the_data_of_a_file_is_shown_with_a_baseline(folder: Path) -> None:
    data = ("data", "churn.csv", "--target", "churned")
    output = kerastudy_here(folder, *data, COLUMNS="80").stdout
    assert re.search(r"^baseline always answering no is right in 8\d\.\d %", output, re.M)
    inputs = as_json(kerastudy_here(folder, *data, "--time", "no", "--drop", "zip", "--json"))[
        "inputs"
    ]
    assert "zip" not in " ".join(inputs) and inputs["signed up"] == "no input"
    message = kerastudy_here(folder, "data", "digits", "--drop", "zip", expect=2).last
    assert "are for a table as TARGET" in message

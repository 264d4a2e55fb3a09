"""Compares what `kerastudy new` writes for a table with trees and linear models of scikit-learn.

    python -m benchmarks.tables [--trials 20] [--seeds 3] [--only wine] [--json]

It uses five tables that come with scikit-learn, three classifications and two regressions. Each
seed draws a fifth of the rows as the test part. The models of scikit-learn learn from all other
rows, with their defaults: boosted trees (HistGradientBoosting) and a linear model (logistic or
ridge regression on standardized columns). The study is the file that `kerastudy new` writes, with
that test part. It validates on a fifth of the other rows, so its champion learns from four fifths
of them, and predicts the test part. The value is the accuracy, or R².
"""

from __future__ import annotations

import argparse
import contextlib
import json
import runpy
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets as bundled
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TABLES = ("breast_cancer", "wine", "digits", "diabetes", "friedman1")


def table(name: str) -> pd.DataFrame:
    """Returns a table with the column "target"."""
    if name == "friedman1":
        x, y = bundled.make_friedman1(2000, noise=1.0, random_state=0)
        return pd.DataFrame(x).add_prefix("x").assign(target=y)
    x, y = getattr(bundled, f"load_{name}")(return_X_y=True)
    return pd.DataFrame(x).add_prefix("x").assign(target=y)


def measured(name: str, seed: int, trials: int) -> dict[str, float]:
    """Returns the value of each model on the same test part."""
    frame = table(name)
    classes = frame["target"].dtype.kind == "i"
    stratify = frame["target"] if classes else None
    train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=stratify)
    score: Any = accuracy_score if classes else r2_score
    x, y = train.drop(columns="target"), train["target"]
    trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    linear = LogisticRegression(max_iter=10_000) if classes else Ridge()
    others: dict[str, Any] = {
        "trees": trees(random_state=seed),
        "linear": make_pipeline(StandardScaler(), linear),
    }
    values = {
        model_name: float(
            score(test["target"], model.fit(x, y).predict(test.drop(columns="target")))
        )
        for model_name, model in others.items()
    }
    # MLflow's exporter may still write when the folder is deleted.
    temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with temporary as folder, contextlib.chdir(folder):
        train.to_csv("train.csv", index=False)
        test.to_csv("test.csv", index=False)
        values["study"] = by_study(test["target"], score, trials)
    return values


def by_study(y: Any, score: Any, trials: int) -> float:
    """Launches the study that `kerastudy new` writes, and returns its champion's value."""
    import kerastudy as ks
    from studies.new_study_file import write_study

    write_study(Path("study.py"), data=Path("train.csv"), target="target")
    file = Path("study.py")
    text = file.read_text().replace('target="target",', 'target="target", test="test.csv",')
    file.write_text(text)
    study = runpy.run_path("study.py")["study"]
    study.launch(trials=trials, verify="off", report=False, store="store", progress=False)
    predicted = ks.predict("study", "test.csv", store="store").iloc[:, 0]
    return float(score(y, predicted.astype(y.dtype)))


def main() -> None:
    """Runs the benchmark, and prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=TABLES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = [options.only] if options.only else TABLES
    document: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in range(options.seeds):
        for name in names:
            document[name].append(measured(name, seed, options.trials))
            print(name, seed, document[name][-1], file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(document, indent=2))
        return
    print("| table | study | trees | linear |\n|---|---|---|---|")
    for name, runs in document.items():
        cells = []
        for way in ("study", "trees", "linear"):
            values = [run[way] for run in runs]
            cells.append(f"{np.mean(values):.3f} ± {statistics.pstdev(values):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

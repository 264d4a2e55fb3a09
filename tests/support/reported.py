"""Records studies for reports. They have all kinds of hyperparameters, and odd texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from handmade import make_spec, record_trial
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import StudyHistory, read_study
from tracking.journal import Journal
from tracking.records import DataDescription, Objective
from tracking.store import Store

EVIL = "</script><script>document.title='evil'</script>"
MARKED = "<script>alert(1)</script>"
MAX = Objective("val_accuracy", "max")
SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log"),
    ks.Float("momentum", 0.01, 0.99, scale="reverse_log", when={"kind": "b"}),
    ks.Int("units", 4, 64),
    ks.Choice("kind", ["a", "b"]),
    ks.Choice("hidden", [(64,), (64, 32)]),
    ks.Choice(MARKED, ["<b>x</b>", EVIL]),
    ks.Choice("same", [1, "1", True, None]),
)
NINE = [
    *("random_normal", "random_uniform", "truncated_normal", "he_normal", "he_uniform"),
    *("lecun_normal", "lecun_uniform", "glorot_normal", "glorot_uniform"),
]

Metrics = Callable[[float], dict[str, float]]


def usual(accuracy: float) -> dict[str, float]:
    return {
        "loss": 1 - accuracy,
        "accuracy": min(1.0, accuracy + 0.05),
        "val_loss": 1.1 - accuracy,
        "val_accuracy": accuracy,
    }


def record(
    store: Store,
    name: str,
    trials: int,
    metrics: Metrics = usual,
    infeasible: Callable[[int], bool] = lambda number: number % 7 == 6,
    **settings: Any,
) -> StudyHistory:
    """Records a made-up study. Every fifth trial is pruned."""
    random = np.random.default_rng(0)
    data = DataDescription(
        "digits", "", "d" * 64, {"train": "1" * 64, "validation": "2" * 64}, {"validation": 400}, {}
    )
    description = describe(
        **{"name": name, "space": SPACE, "objective": MAX, "trials": 99, "data": data, **settings}
    )
    journal = Journal.begin(store.new_folder(name), description)
    for number in range(trials):
        values: dict[str, Any] = {
            "rate": float(10 ** -random.uniform(1.01, 3.99)),
            "units": int(random.integers(4, 65)),
            "kind": ["a", "b"][number % 2],
            "hidden": ["(64,)", "(64, 32)"][number % 3 > 0],
            MARKED: ["<b>x</b>", EVIL][number % 4 > 1],
            "same": [1, "1", True, None][number % 4],
        }
        if values["kind"] == "b":
            values["momentum"] = float(random.uniform(0.01, 0.99))
        spec = make_spec(number, values=values, objective=description.objective)
        pruned = number % 5 == 4
        curve = [metrics(float(random.uniform(0.5, 0.95))) for _ in range(2 if pruned else 4)]
        state = "pruned" if pruned else "complete"
        record_trial(journal, spec, curve, "infeasible" if infeasible(number) else state)
    return read_study(store, name)


def record_values(
    store: Store, name: str, objective: Objective, values: Sequence[float]
) -> StudyHistory:
    """Records a trial for each value. The learning rate and the initializer (one of 9) vary."""
    space = ks.SearchSpace(ks.learning_rate(), ks.initializer(NINE))
    description = describe(name=name, space=space, objective=objective)
    journal = Journal.begin(store.new_folder(name), description)
    for number, value in enumerate(values):
        tried = {
            "learning_rate": 10 ** (-3.9 + 2.8 * number / len(values)),
            "kernel_initializer": NINE[number % 9],
        }
        spec = make_spec(number, values=tried, objective=objective)
        record_trial(journal, spec, [{objective.metric: value}] * 2)
    return read_study(store, name)

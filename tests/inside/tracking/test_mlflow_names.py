"""Names of metrics, params and tags as MLflow takes them, by its own client."""

from __future__ import annotations

import itertools

import pytest
from handmade import ENVIRONMENT, make_spec, record_trial
from in_mlflow import InMlflow, client_of
from mlflow.entities import Metric, Param, RunTag
from scripted import describe

from tracking.history import read_study
from tracking.journal import Journal
from tracking.mlflow import to_mlflow
from tracking.records import Objective
from tracking.store import Store

LONG = "정확도 100%: a/b@" + "n" * 387
NAMES = ["", ".", "..", "...", "../a", "..a", "/a", "a/", "a//b", "a/./b", ":x:", ":x40:",
         ":x3a:x", "a\0b", "a\nb", "\udcff", "🐝" * 60, "`quoted` 'so' \"or so\"", LONG, LONG + "1",
         LONG + "2", "/" * 300, "é", "e\N{COMBINING ACUTE ACCENT}"]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "정확도", "l2 dense", "a: b/c-d.e_1",
     "n" * 250],
)  # fmt: skip
def test_most_names_stay_as_they_are(name: str) -> None:
    assert to_mlflow(name) == name


def test_mlflow_takes_every_name(shared_store: Store) -> None:
    client = client_of(shared_store)
    run = client.create_run(client.create_experiment("names")).info.run_id
    spelled = {to_mlflow(name): float(place) for place, name in enumerate(NAMES)}
    assert len(spelled) == len(NAMES)
    client.log_batch(
        run,
        [Metric(name, value, 0, 0) for name, value in spelled.items()],
        [Param(name, str(value)) for name, value in spelled.items()],
        [RunTag(name, str(value)) for name, value in spelled.items()],
    )
    data = client.get_run(run).data
    assert data.metrics == spelled
    texts = {name: str(value) for name, value in spelled.items()}
    assert data.params == texts and data.tags.items() >= texts.items()


def test_two_names_are_never_spelled_alike() -> None:
    """Of all short names of characters that are refused, spell others, or change a path."""
    names = ["".join(each) for n in range(7) for each in itertools.product(":x@4/.", repeat=n)]
    assert len({to_mlflow(name) for name in names}) == len(names)


def test_a_long_name_of_a_run_has_its_number_and_its_value(shared_store: Store) -> None:
    objective = Objective("n" * 400, "max")
    description = describe(name="titles", objective=objective)
    journal = Journal.begin(shared_store.new_folder("titles"), description, ENVIRONMENT)
    record_trial(journal, make_spec(objective=objective), [{objective.metric: 0.5}])
    history = read_study(shared_store, "titles")
    name = InMlflow(history).run(history.trial(0).uuid).info.run_name
    assert len(name) <= 250
    assert name.startswith("#0 · nnn") and name.endswith("nnn 0.5 @ epoch 1")

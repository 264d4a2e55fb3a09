"""The ways in which a store is damaged: each returns the kind of what is found then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from damage import cut_short, flip_byte
from doctored import ENGINE, history_of
from tracking.runs import definition_path

from studies.doctor import diagnose
from studies.training import TrainingState, write_state
from tracking import tags
from tracking.store import Store, one_before


def facts_gone(store: Store) -> str:
    (store.root / "store.json").unlink()
    return "store"


def facts_damaged(store: Store) -> str:
    cut_short(store.root / "store.json")
    return "store"


def left_running(store: Store) -> str:
    history = history_of(store)
    for run_id in (history.parent_run_id, history.trials[-1].run_id):
        store.client.update_run(run_id, status="RUNNING")
    return "running"


def of_a_given_up_definition_left_running(store: Store) -> str:
    experiment = history_of(store).experiment_id
    tagged = {tags.KIND: "study", tags.ENGINE: ENGINE}
    store.client.create_run(experiment, start_time=1, tags=tagged)
    return "running"


def parent_unmade(store: Store) -> str:
    store.client.create_run(history_of(store).experiment_id, tags={tags.ENGINE: ENGINE})
    return "unmade"


def experiment_empty(store: Store) -> str:
    experiment = store.client.create_experiment("never begun", tags={tags.KIND: "study"})
    store.client.create_run(experiment, tags={tags.ENGINE: ENGINE})
    return "unmade"


def definition_gone(store: Store) -> str:
    definition_path(store, store.client.get_run(history_of(store).parent_run_id)).unlink()
    return "definition"


def definition_cut(store: Store) -> str:
    cut_short(definition_path(store, store.client.get_run(history_of(store).parent_run_id)))
    return "definition"


def definition_changed(store: Store) -> str:
    path = definition_path(store, store.client.get_run(history_of(store).parent_run_id))
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 7'))
    return "definition"


def state_damaged(store: Store) -> str:
    history = history_of(store)
    path = history.files.state(2)
    arrays = [np.full(8, 7.5, np.float32)]
    write_state(path, TrainingState("x", [{"loss": 1.0}], None, "", arrays, arrays))
    assert diagnose(store.root).findings == ()
    flip_byte(path, arrays[0].tobytes()[:-1])
    return "state"


def state_before_damaged(store: Store) -> str:
    path = history_of(store).files.state(2)
    written = _write_two_states(path)
    assert diagnose(store.root).findings == ()
    flip_byte(one_before(path), written)
    return "state"


def state_before_of_no_trial(store: Store) -> str:
    path = history_of(store).files.state(77)
    _write_two_states(path)
    path.unlink()
    return "orphan"


def _write_two_states(path: Path) -> bytes:
    """Writes a state and the one before; returns what bytes are in them."""
    arrays = [np.full(8, 7.5, np.float32)]
    for _ in range(2):
        write_state(path, TrainingState("x", [{"loss": 1.0}], None, "", arrays, arrays))
    return arrays[0].tobytes()[:-1]


def pieces(store: Store) -> str:
    folder = history_of(store).files.folder
    (folder / "partial-1-trial-00001.weights.h5").write_bytes(b"half")
    (store.root / "partial-1-store.json").write_bytes(b"{")
    (store.root / "unfinished-mlflow.db").write_bytes(b"")
    return "leftover"


def orphans(store: Store) -> str:
    folder = history_of(store).files.folder
    (folder / "trial-00077.weights.h5").write_bytes(b"of trial 77")
    other = store.root / "checkpoints" / "forgotten" / "optuna-tpe"
    other.mkdir(parents=True)
    (other / "trial-00000.weights.h5").write_bytes(b"of another study")
    for folder in (store.root / "mlartifacts" / "1" / ("f" * 32), store.root / "mlartifacts/99"):
        (folder / "artifacts").mkdir(parents=True)
        (folder / "artifacts" / "plot.txt").write_text("a plot")
    return "orphan"

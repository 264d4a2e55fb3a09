"""A destination of a study: the experiment there, found by its uuid, made, renamed, restored."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import ServerRefusedError
from tracking.journal import Header, JournalReader
from tracking.mlflow import tags
from tracking.mlflow.exports import STORE, Exports, Notes, read_notes
from tracking.mlflow.runs import search_runs
from tracking.mlflow.server import identity_of, open_client, open_store_client, set_aside
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment


class Destination:
    """Where a study is sent: a server's address, or "" for the store's own database."""

    def __init__(self, store: Store, folder: Path, address: str) -> None:
        self.address = address
        self.place = address or STORE
        self._store, self._folder = store, folder

    @property
    def shown(self) -> str:
        """The destination, for messages."""
        database = str(self._store.root / "mlflow.db")
        return f"MLflow server {self.address}" if self.address else f"MLflow database {database!r}"

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client."""
        return open_client(self.address) if self.address else open_store_client(self._store)

    def experiment(self, exports: Exports, header: Header, again: bool) -> Experiment | None:
        """Returns the study's experiment; None if a person has deleted it there."""
        from mlflow.exceptions import MlflowException

        client = self.client
        database = identity_of(client)
        self._check_elsewhere(database)
        notes = exports.notes
        if notes is not None and database and notes.database != database:
            exports.forget()
            notes = None
        experiment: Experiment | None = None
        if notes is not None:
            try:
                experiment = client.get_experiment(notes.experiment)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                if not again:
                    # A person has purged it: the database is the same.
                    return None
                exports.forget()
        if experiment is not None and experiment.tags.get(tags.UUID) != header.uuid:
            # The notes are on another database, in which the number is another study's.
            exports.forget()
            experiment = None
        if experiment is None:
            experiment = self._found(exports, header, database) or self._made(
                exports, header, database
            )
        if not self.address and self._was_moved(experiment):
            set_aside(self._store)
            del self.client
            exports.forget()
            return self.experiment(exports, header, again)
        if experiment.lifecycle_stage != "deleted":
            return experiment
        if not again:
            return None
        client.restore_experiment(experiment.experiment_id)
        return client.get_experiment(experiment.experiment_id)

    def restore(self, exports: Exports, experiment: Experiment) -> None:
        """Restores the runs that a person deleted there; forgets those that were purged."""
        client = self.client
        there = {
            run.info.run_id: run for run in search_runs(client, [experiment.experiment_id], "")
        }
        for uuid, run in list(exports.runs.items()):
            if run in there and there[run].info.lifecycle_stage == "deleted":
                client.restore_run(run)
            elif run not in there:
                exports.forget_run(uuid)
        exports.send_all_again()

    def rename(self, experiment: Experiment, notes: Notes, header: Header) -> str:
        """Renames the experiment, unless a person gave it a name; returns the name to note."""
        if experiment.name != notes.name:
            return notes.name
        name = self._free_name(header.name)
        self.client.rename_experiment(experiment.experiment_id, name)
        return name

    def _check_elsewhere(self, database: str) -> None:
        """Refuses a server that shows the store's own database, as `kerastudy ui` does."""
        if not self.address:
            return
        _, ours = read_notes(self._folder)
        if database and database == ours:
            raise ServerRefusedError(
                f"The MLflow server {self.address} is one that shows this store, so the study is "
                "there already. Leave it out with --tracking-uri off, or name another server."
            )

    def _was_moved(self, experiment: Experiment) -> bool:
        return not experiment.artifact_location.startswith(f"{self._store.artifacts_uri}/")

    def _found(self, exports: Exports, header: Header, database: str) -> Experiment | None:
        """Finds the study's experiment by its uuid, and its runs: the notes on it were lost."""
        from mlflow.entities import ViewType

        client = self.client
        known = client.search_experiments(
            ViewType.ALL, filter_string=f"tags.`{tags.UUID}` = '{header.uuid}'"
        )
        if not known:
            return None
        experiment = min(known, key=lambda each: each.lifecycle_stage != "active")
        runs: dict[str, str] = {}
        # A copy of the study in another store may have further runs there.
        ours = JournalReader(self._folder).uuids()
        for run in search_runs(client, [experiment.experiment_id], ""):
            uuid = run.data.tags.get(tags.UUID)
            if uuid in ours:
                runs.setdefault(uuid, run.info.run_id)
        numbered = experiment.name.startswith(f"{header.name} (")
        name = experiment.name if numbered else header.name
        exports.begin(database, experiment.experiment_id, header.name, name, runs)
        return experiment

    def _made(self, exports: Exports, header: Header, database: str) -> Experiment:
        from mlflow.exceptions import MlflowException

        client = self.client
        place = None if self.address else f"{self._store.artifacts_uri}/{header.uuid[:12]}"
        tagged = {
            "mlflow.experimentKind": "custom_model_development",
            tags.KIND: "study",
            tags.UUID: header.uuid,
        }
        while True:
            name = self._free_name(header.name)
            try:
                made = client.create_experiment(name, place, tagged)
            except MlflowException as error:
                # Another process may have been quicker to take the name.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                continue
            exports.begin(database, made, header.name, name, {})
            return client.get_experiment(made)

    def _free_name(self, name: str) -> str:
        """Returns a name that no other experiment has, one in MLflow's trash neither."""
        number, free = 1, name
        while self.client.get_experiment_by_name(free) is not None:
            number += 1
            free = f"{name} ({number})"
        return free

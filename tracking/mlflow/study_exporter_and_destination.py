"""Sends a study's journal to MLflow, through `MlflowClient` alone.

A destination is the store's own MLflow database, or a team's MLflow server. The exporter notes the
runs and files that it has sent (see `exporter_notes_and_lock`). If the exporter is killed, the next
exporter repeats the last writes, which does no harm.

- If the database of a destination is lost or replaced, the exporter fills the new one.
- A run or experiment that a person renamed or deleted in MLflow stays renamed or deleted.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import ServerRefusedError
from tracking.history.study_history import read_folder
from tracking.journal import Header, JournalReader, StudyRecord
from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.exporter_notes_and_lock import STORE, ExporterNotes, opened_notes, read_notes
from tracking.mlflow.model_registry import ModelRegistry
from tracking.mlflow.runs_of_trials_and_study import (
    RunWriter,
    TrialExporter,
    TrialsSoFar,
    search_runs,
)
from tracking.mlflow.servers_and_databases import (
    as_server_errors,
    identity_of,
    open_client,
    open_store_client,
    set_aside,
    under_free_name,
    unless_missing,
)
from tracking.mlflow.views_and_descriptions import (
    REPORT,
    Pages,
    is_replaceable,
    study_description,
    study_note,
    view_page,
    view_tags,
)
from tracking.records.json_conversion import to_json
from tracking.store.locks_and_atomic_writing import holder_of
from tracking.store.store_folder_and_json import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment


class StudyExporter:
    """Sends a study to one destination: a server's address, or "" for the store's own database."""

    def __init__(self, store: Store, folder: Path, address: str = "") -> None:
        self._store, self._folder = store, folder
        self.destination = Destination(store, folder, address)
        # The ended trials. None before the first update.
        self._so_far: TrialsSoFar | None = None
        # The result of `_state` before the last update. While it stays the same, nothing is sent.
        self._sent: tuple[int, str] | None = None
        # The address of the study's table of trials; empty if a person deleted the experiment.
        self.page = ""

    def update(self, *, whole: bool = False) -> int:
        """Sends all changes since the last update, and returns the number of runs written.

        With `whole`, the summaries are sent even if nothing has changed. Raises ServerAwayError if
        the destination does not answer, and ServerRefusedError if the destination refuses a
        request.
        """
        journal = JournalReader(self._folder)
        if self._sent is not None and not whole and self._sent == self._state(journal):
            return 0
        with (
            as_server_errors(self.destination.shown),
            opened_notes(self._folder, self.destination.place) as notes,
            journal.held_open(),
        ):
            # The state is read before anything is sent. So whatever is recorded during this update
            # is sent by the next update.
            revision, report = self._state(journal)
            count = self._update(notes, journal, revision, whole)
        self._sent = revision, report
        return count

    def _state(self, journal: JournalReader) -> tuple[int, str]:
        """Returns the journal's revision, and the mark of the report."""
        return journal.revision(), _mark_of(self._folder / REPORT)

    def _update(
        self, notes: ExporterNotes, journal: JournalReader, revision: int, whole: bool
    ) -> int:
        destination = self.destination
        experiment = destination.experiment(notes, journal.header())
        if experiment is None:
            return 0
        runs = RunWriter(destination.client, notes, experiment.experiment_id)
        study = journal.study()
        if self._so_far is None:
            # A launch may have replaced a study that has no finished trials. Then the journal lacks
            # the former trials, and their runs are deleted.
            for uuid in runs.ids.keys() - journal.uuids():
                runs.delete(uuid)
            self._so_far = TrialsSoFar(study.description.objective, journal.attempts())
        note = notes.study
        assert note is not None, "the experiment is noted"
        since = note.revision
        points, last = journal.points(note.epochs)
        self.page = f"{destination.address}/{view_page(experiment.experiment_id, 'trials')}"
        count = 0
        if revision > since:
            exporter = TrialExporter(journal, runs, since, points)
            count = exporter.send(study, self._so_far)
            notes.note_sent(revision, last)
        if revision > since or whole:
            views = view_tags(study.description, experiment.creation_time, self._so_far.metrics)
            for name, text in views.items():
                if experiment.tags.get(name) != text:
                    runs.client.set_experiment_tag(experiment.experiment_id, name, text)
            if whole or study.status != "RUNNING" or study.changed > since:
                self._send_summary(journal, runs, study, experiment)
        self._send_report(study, runs)
        return count

    def _send_summary(
        self, journal: JournalReader, runs: RunWriter, study: StudyRecord, experiment: Experiment
    ) -> None:
        """Sends the study's descriptions, definition and registered model."""
        history, running = read_folder(self._store, self._folder), study.status == "RUNNING"
        model = "" if running else ModelRegistry(journal, runs).update(history, study.run)
        report = (self._folder / REPORT).is_file()
        pages = Pages(experiment.experiment_id, runs.ids[study.run], report, model)
        tagged = {
            tags.NOTE: study_note(history, pages),
            tags.UNREAD: ", ".join(study.description.unread),
        }
        if not running:
            tagged[tags.STOPPED] = history.stopped
        runs.write(study.run, tagged=tagged, status=study.status, ended=study.ended)
        self._send_definition(journal, study, runs)
        text = study_description(history, pages, running=bool(holder_of(self._folder)))
        former = experiment.tags.get(tags.NOTE, "")
        if is_replaceable(former) and text != former:
            runs.client.set_experiment_tag(experiment.experiment_id, tags.NOTE, text)

    def _send_definition(self, journal: JournalReader, study: StudyRecord, runs: RunWriter) -> None:
        """Sends the study's definition and its code as artifacts."""
        code, name = study.description.code, f"definition {study.run}"
        mark = f"{code.digest} {study.description.space.digest}"
        if runs.notes.has_file(name, mark):
            return
        definition = json.loads(to_json(study.description))
        texts = {"definition.json": json.dumps(definition, indent=1, ensure_ascii=False)}
        files = {code.own_digest: code.path or "study.py"}
        files |= {digest: place for place, digest in (code.modules or {}).items()}
        for digest, text in journal.code(files.keys()).items():
            texts[f"code/{Path(files[digest]).name}"] = text

        def write() -> None:
            for file, text in texts.items():
                runs.client.log_text(runs.ids[study.run], text, f"study/{file}")

        runs.unless_deleted(study.run, write)
        runs.notes.note_file(name, mark)

    def _send_report(self, study: StudyRecord, runs: RunWriter) -> None:
        """Sends a new report to the study's run."""
        file = self._folder / REPORT
        mark = _mark_of(file)
        uuid = study.run
        if mark and uuid in runs.ids and not runs.notes.has_file(REPORT, mark):
            runs.unless_deleted(uuid, lambda: runs.client.log_artifact(runs.ids[uuid], str(file)))
            runs.notes.note_file(REPORT, mark)


def _mark_of(file: Path) -> str:
    """Returns a text that changes when a file is written; empty if there is no file."""
    if not file.is_file():
        return ""
    facts = file.stat()
    return f"{facts.st_mtime_ns} {facts.st_size}"


class Destination:
    """An MLflow server by its address, or the store's own database if the address is empty."""

    def __init__(self, store: Store, folder: Path, address: str) -> None:
        self.address = address
        self.place = address or STORE
        self._store, self._folder = store, folder

    @property
    def shown(self) -> str:
        """The destination's name in messages."""
        database = str(self._store.root / "mlflow.db")
        return f"MLflow server {self.address}" if self.address else f"MLflow database {database!r}"

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client for this destination."""
        return open_client(self.address) if self.address else open_store_client(self._store)

    def experiment(self, notes: ExporterNotes, header: Header) -> Experiment | None:
        """Returns the study's experiment, or None if a person deleted the experiment in MLflow."""
        database = identity_of(self.client)
        if self.address and database and database == read_notes(self._folder)[1]:
            raise ServerRefusedError(
                f"The MLflow server {self.address} shows this store, so the study is there "
                "already. Leave the server out with --tracking-uri off, or name another server."
            )
        note = notes.study
        experiment: Experiment | None = None
        if note is not None and (not database or note.database == database):
            experiment = unless_missing(lambda: self.client.get_experiment(note.experiment))
            if experiment is None:
                # The database is the same, so a person deleted the experiment for good.
                return None
        if experiment is None or experiment.tags.get(tags.UUID) != header.uuid:
            # Nothing is noted, or the notes are about another database. In this database, the noted
            # id may be that of another study's experiment.
            experiment = self._find(notes, header, database)
            experiment = experiment or self._create(notes, header, database)
        artifacts = f"{self._store.artifacts_uri}/"
        if not self.address and not experiment.artifact_location.startswith(artifacts):
            set_aside(self._store)
            del self.client
            notes.forget()
            return self.experiment(notes, header)
        return None if experiment.lifecycle_stage == "deleted" else experiment

    def _find(self, notes: ExporterNotes, header: Header, database: str) -> Experiment | None:
        """Finds the study's experiment and runs by their uuids, and notes them."""
        from mlflow.entities import ViewType

        experiments = self.client.search_experiments(
            ViewType.ALL, filter_string=f"tags.`{tags.UUID}` = '{header.uuid}'"
        )
        if not experiments:
            return None
        experiment = min(experiments, key=lambda e: e.lifecycle_stage != "active")
        runs: dict[str, str] = {}
        # A copy of the study in another store may have sent other runs to the same experiment. Only
        # runs that this journal records count.
        uuids = JournalReader(self._folder).uuids()
        for run in search_runs(self.client, experiment.experiment_id):
            uuid = run.data.tags.get(tags.UUID)
            if uuid in uuids:
                runs.setdefault(uuid, run.info.run_id)
        notes.note_experiment(database, experiment.experiment_id, runs)
        return experiment

    def _create(self, notes: ExporterNotes, header: Header, database: str) -> Experiment:
        """Creates and notes the study's experiment, which gets the study's name if that is free."""
        place = None if self.address else f"{self._store.artifacts_uri}/{header.uuid[:12]}"
        tagged = {
            "mlflow.experimentKind": "custom_model_development",
            tags.KIND: "study",
            tags.UUID: header.uuid,
        }
        experiment_id = under_free_name(
            header.name, lambda name: self.client.create_experiment(name, place, tagged)
        )
        notes.note_experiment(database, experiment_id, {})
        return self.client.get_experiment(experiment_id)

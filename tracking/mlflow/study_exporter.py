"""Sends a study's journal to MLflow, through `MlflowClient` alone.

A destination is the store's own MLflow database, or a team's MLflow server. The exporter notes
what it has sent (see `exports`). If it is killed, the next one repeats the last writes, which does
no harm.

- If a destination's database is lost or replaced, the exporter fills the new one.
- A run or experiment that a person renamed or deleted in MLflow stays renamed or deleted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import ServerRefusedError
from tracking.history.study_history import StudyHistory, histories_in
from tracking.journal import Header, JournalReader, Search
from tracking.mlflow import tags
from tracking.mlflow.descriptions import (
    REPORT,
    Pages,
    is_replaceable,
    study_description,
    study_note,
    view_page,
    view_tags,
)
from tracking.mlflow.exporter_notes import STORE, Exports, read_notes
from tracking.mlflow.model_registry import Registry
from tracking.mlflow.run_writer import Runs, search_runs
from tracking.mlflow.server import (
    as_server_errors,
    identity_of,
    open_client,
    open_store_client,
    set_aside,
)
from tracking.mlflow.trial_exporter import Sender, TrialsSoFar
from tracking.records.converting import to_json
from tracking.store.folder import Store
from tracking.store.study_locks import holder_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment


class StudyExporter:
    """Sends a study to one destination: a server's address, or "" for the store's own database."""

    def __init__(self, store: Store, folder: Path, address: str = "") -> None:
        self._store, self._folder = store, folder
        self.destination = Destination(store, folder, address)
        self._so_far: dict[int, TrialsSoFar] = {}
        self._looked_for_gone = False
        # The result of `_state` before the last update.
        self._sent: tuple[int, str] | None = None
        self.page = ""

    @property
    def address(self) -> str:
        """The server's address; empty if the destination is the store's own database."""
        return self.destination.address

    @property
    def shown(self) -> str:
        """The destination's name in messages."""
        return self.destination.shown

    def update(self, *, whole: bool = False) -> int:
        """Sends what has changed, and returns how many runs were written.

        `whole` also sends the summaries if nothing has changed. `again` also restores what a person
        deleted in MLflow. Raises ServerAwayError if the destination does not answer,
        ServerRefusedError if it refuses.
        """
        journal = JournalReader(self._folder)
        if self._sent is not None and not whole and self._sent == self._state(journal):
            return 0
        with (
            as_server_errors(self.shown),
            Exports(self._folder, self.destination.place) as exports,
            journal.held_open(),
        ):
            # The state is read before sending, so the next update finds what is recorded meanwhile.
            state = self._state(journal)
            written = self._update(exports, journal, whole)
        self._sent = state
        return written

    def _state(self, journal: JournalReader) -> tuple[int, str]:
        return journal.revision(), _mark_of(self._folder / REPORT)

    def _update(self, exports: Exports, journal: JournalReader, whole: bool) -> int:
        header, destination = journal.header(), self.destination
        experiment = destination.experiment(exports, header)
        if experiment is None:
            return 0
        runs = Runs(destination.client, exports, experiment.experiment_id)
        if not self._looked_for_gone:
            _delete_gone(journal, runs)
            self._looked_for_gone = True
        notes = exports.notes
        assert notes is not None, "the experiment is noted"
        # The revision is read first. Whatever is recorded after that, the next update sends, too.
        revision, since = journal.revision(), notes.revision
        points, last = journal.points(notes.epochs)
        searches = journal.searches()
        for search in searches:
            if search.id not in self._so_far:
                trials = journal.attempts(search.id)
                self._so_far[search.id] = TrialsSoFar(search.description, trials)
        self.page = f"{self.address}/{view_page(experiment.experiment_id, 'trials')}"
        written = 0
        if revision > since:
            sender = Sender(self._store, self._folder, journal, runs, since, points)
            written = sender.send(searches, self._so_far)
            exports.sent(revision, last)
        if revision > since or whole:
            self._send_pages(exports, journal, runs, searches, experiment, since, whole)
        self._send_report(exports, searches, runs)
        return written

    def _send_pages(
        self,
        exports: Exports,
        journal: JournalReader,
        runs: Runs,
        searches: Sequence[Search],
        experiment: Experiment,
        since: int,
        whole: bool,
    ) -> None:
        """Sends the study's descriptions, views, files and registered model."""
        metrics = frozenset(name for each in self._so_far.values() for name in each.metrics)
        self._send_views(runs.client, searches, experiment, metrics)
        running = any(each.status == "RUNNING" for each in searches)
        if running and not whole and not any(each.revision > since for each in searches):
            return
        by_engine = {each.description.engine: each for each in searches}
        histories = [
            history
            for history in histories_in(self._store, self._folder)
            # Another engine may have been launched since the journal was read.
            if history.description.engine in by_engine
        ]
        registry = Registry(runs.client, journal.header())
        models = ""
        if not running:
            models = registry.update(journal, histories, runs)
        pages = {}
        for history in histories:
            search = by_engine[history.description.engine]
            report = (self._folder / REPORT).is_file()
            page = Pages(experiment.experiment_id, runs.ids[search.uuid], runs.ids, report, models)
            pages[history.description.engine] = page
            self._send_summary(search, history, page, runs)
            self._send_files(exports, journal, search, runs)
        held = bool(holder_of(self._folder))
        text = study_description(histories, pages, running=held)
        written = experiment.tags.get(tags.NOTE, "")
        if is_replaceable(written) and text != written:
            runs.client.set_experiment_tag(experiment.experiment_id, tags.NOTE, text)

    def _send_summary(self, search: Search, history: StudyHistory, page: Pages, runs: Runs) -> None:
        unread = ", ".join(search.description.unread)[: tags.LONGEST]
        running = search.status == "RUNNING"
        note = study_note(history, page, "" if running else history.stopped)
        if len(note) > tags.LONGEST:
            note = note[: tags.LONGEST - 2] + "…"
        tagged = {tags.NOTE: note, **({tags.UNREAD: unread} if unread else {})}
        if not running:
            tagged[tags.STOPPED] = search.stopped[: tags.LONGEST]
        runs.write(
            search.uuid,
            tagged=tagged,
            status=search.status,
            ended=None if running else search.ended,
        )

    def _send_views(
        self,
        client: MlflowClient,
        searches: Sequence[Search],
        experiment: Experiment,
        metrics: Iterable[str],
    ) -> None:
        if not searches:
            return
        description, several = searches[-1].description, len(searches) > 1
        views = view_tags(description, experiment.creation_time, several=several, metrics=metrics)
        for name, text in views.items():
            if experiment.tags.get(name) != text:
                client.set_experiment_tag(experiment.experiment_id, name, text)

    def _send_files(
        self, exports: Exports, journal: JournalReader, search: Search, runs: Runs
    ) -> None:
        """Sends the study's definition and its code as artifacts."""
        code = search.description.code
        mark = f"{search.uuid} {code.digest} {search.description.space.digest}"
        if exports.has_file(f"definition {search.uuid}", mark):
            return
        run, client = runs.ids[search.uuid], runs.client
        names = {code.own_digest: Path(code.path).name or "study.py"}
        names |= {digest: place for place, digest in (code.modules or {}).items()}
        texts = journal.code(names.keys())

        def write() -> None:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary, "study")
                folder.mkdir()
                definition = json.dumps(
                    json.loads(to_json(search.description)), indent=1, ensure_ascii=False
                )
                (folder / "definition.json").write_text(definition, encoding="utf-8")
                for digest, text in texts.items():
                    place = folder / "code" / Path(names[digest]).name
                    place.parent.mkdir(exist_ok=True)
                    place.write_text(text, encoding="utf-8")
                client.log_artifacts(run, str(folder), "study")

        runs.unless_deleted(search.uuid, write)
        exports.sent_file(f"definition {search.uuid}", mark)

    def _send_report(self, exports: Exports, searches: Sequence[Search], runs: Runs) -> None:
        """Sends a new report to the run of the engine that was launched last."""
        file = self._folder / REPORT
        mark = _mark_of(file)
        if not mark or not searches:
            return
        uuid = searches[-1].uuid
        if exports.has_file(REPORT, mark) or uuid not in runs.ids:
            return
        runs.unless_deleted(uuid, lambda: runs.client.log_artifact(runs.ids[uuid], str(file)))
        exports.sent_file(REPORT, mark)


def _mark_of(file: Path) -> str:
    """Returns a text that changes when a file is written; empty if there is no file."""
    if not file.is_file():
        return ""
    facts = file.stat()
    return f"{facts.st_mtime_ns} {facts.st_size}"


def _delete_gone(journal: JournalReader, runs: Runs) -> None:
    """Deletes runs that the journal lacks: a launch may replace a study without finished trials."""
    recorded = journal.uuids()
    for uuid in [each for each in runs.ids if each not in recorded]:
        runs.delete(uuid)


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

    def experiment(self, exports: Exports, header: Header) -> Experiment | None:
        """Returns the study's experiment, or None if a person deleted it in MLflow.

        With `again`, a deleted experiment is restored or made again.
        """
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
                # The database is the same, so a person deleted the experiment for good.
                return None
        if experiment is not None and experiment.tags.get(tags.UUID) != header.uuid:
            # The notes are about another database. In this one, the id belongs to another study.
            exports.forget()
            experiment = None
        if experiment is None:
            experiment = self._find(exports, header, database) or self._make(
                exports, header, database
            )
        if not self.address and self._was_moved(experiment):
            set_aside(self._store)
            del self.client
            exports.forget()
            return self.experiment(exports, header)
        return None if experiment.lifecycle_stage == "deleted" else experiment

    def _check_elsewhere(self, database: str) -> None:
        """Raises ServerRefusedError if the server serves this store, as `kerastudy ui` does."""
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

    def _find(self, exports: Exports, header: Header, database: str) -> Experiment | None:
        """Finds the study's experiment and runs by their uuids, and notes them."""
        from mlflow.entities import ViewType

        client = self.client
        experiments = client.search_experiments(
            ViewType.ALL, filter_string=f"tags.`{tags.UUID}` = '{header.uuid}'"
        )
        if not experiments:
            return None
        experiment = min(experiments, key=lambda each: each.lifecycle_stage != "active")
        runs: dict[str, str] = {}
        # A copy of the study in another store may have sent other runs to the same experiment.
        ours = JournalReader(self._folder).uuids()
        for run in search_runs(client, [experiment.experiment_id], ""):
            uuid = run.data.tags.get(tags.UUID)
            if uuid in ours:
                runs.setdefault(uuid, run.info.run_id)
        exports.begin(database, experiment.experiment_id, runs)
        return experiment

    def _make(self, exports: Exports, header: Header, database: str) -> Experiment:
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
                number = client.create_experiment(name, place, tagged)
            except MlflowException as error:
                # Another process may have taken the name meanwhile.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                continue
            exports.begin(database, number, {})
            return client.get_experiment(number)

    def _free_name(self, name: str) -> str:
        """Returns a name that no experiment has, not even a deleted one."""
        number, free = 1, name
        while self.client.get_experiment_by_name(free) is not None:
            number += 1
            free = f"{name} ({number})"
        return free

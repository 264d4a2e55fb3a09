"""A copy of a study's runs, and of its champion, on an MLflow server.

Each copied run names the store's run and, once complete, the copied state of that run. So the
sender remembers nothing, and can be killed at any moment.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from search_spaces.errors import ServerAwayError, ServerRefusedError
from tracking import tags
from tracking.history.study_history import StudyHistory, find_engines
from tracking.history.summary import is_replaceable
from tracking.mirror.server import as_server_errors, not_waiting_long, open_server
from tracking.records import EndedTrial
from tracking.registry.champions import register, withdraw, write_verdict
from tracking.registry.models import Registrar, local_model
from tracking.runs.champion_versions import champion_version
from tracking.runs.pages import view_page
from tracking.runs.parents import search_runs
from tracking.runs.run_contents import LONGEST, local_artifacts, portable
from tracking.runs.run_writer import ClientWriter
from tracking.store.files import is_piece
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Metric, Run

# A batch of MLflow's holds 100.
_MOST_TAGS: Final = 100
_RUNNING: Final = "RUNNING"
# A link to the page of an experiment: its text and its address.
_ELSEWHERE: Final = re.compile(r"\[([^\]]*)\]\((#/experiments/[^)]*)\)")
_RUN_ID: Final = re.compile(r"(?<=/runs/)[0-9a-f]{32}")


@dataclass
class _Copy:
    """A run on the server."""

    run_id: str
    tags: dict[str, str]
    # Metrics that this process sent: name, step and time.
    points: set[tuple[str, int, int]] = field(default_factory=set)
    # Files that this process sent: path, time and size.
    files: set[tuple[str, int, int]] = field(default_factory=set)
    has_data: bool = False  # Whether this process sent its data set.


class StudyCopy:
    """A server's copy of a study. Call `open` first."""

    def __init__(self, store: Store, name: str, address: str) -> None:
        self.address = address
        self._store = store
        # Either of the two may be renamed while this runs.
        self._here_id = store.client.get_experiment_by_name(name).experiment_id
        self._server = open_server(address)
        self._experiment_id = self._identity = ""
        self.fault = ""  # Why files can't be sent, though runs can.
        self._copies: dict[str, _Copy] = {}

    def open(self) -> None:
        """Finds the study on the server, or makes it; looks up which runs it has.

        Raises ServerRefusedError if it has a study of this name that is another store's.
        """
        with as_server_errors(self.address):
            self._open()

    def missing(self) -> list[str]:
        """Returns the store's runs that are missing or outdated there, parents first."""
        return [
            run.info.run_id
            for run in search_runs(self._store.client, self._here().experiment_id)
            if not self._is_copied(run)
        ]

    def send(self, run_id: str) -> None:
        """Copies a run in its present state."""
        run = self._store.client.get_run(run_id)
        if self._is_copied(run):
            return
        client = self._store.client
        points = [p for name in run.data.metrics for p in client.get_metric_history(run_id, name)]
        with as_server_errors(self.address):
            self._send(run, self._copy_of(run), points)

    def send_page(self) -> None:
        """Copies what the study's page shows above its runs: views, and a line with links."""
        here = self._here().tags
        shown = {name: text for name, text in here.items() if name.startswith(tags.VIEW)}
        with as_server_errors(self.address):
            there = self._server.get_experiment(self._experiment_id).tags
            if tags.NOTE in here and is_replaceable(there.get(tags.NOTE, "")):
                shown[tags.NOTE] = self._translated(here[tags.NOTE])
            for name, text in shown.items():
                if there.get(name) != text:
                    self._server.set_experiment_tag(self._experiment_id, name, text)

    def send_champion(self) -> None:
        """Registers the study's champion there, if it is not yet; withdraws a former one."""
        here = champion_version(self._store.client, self._here().name, self._here_id)
        run_id = "" if here is None else here.tags.get(tags.CHAMPION_RUN, "")
        found = self._history_of(run_id)
        if here is None or found is None:
            # Contradicted by `model.fit`, or its run was deleted in MLflow.
            with as_server_errors(self.address):
                withdraw(self._server, self._here().name, self._experiment_id)
            return
        history, trial = found
        for needed in (history.parent_run_id, run_id):
            if needed not in self._copies:
                self.send(needed)
        there = self._copies[run_id].run_id
        with as_server_errors(self.address), tempfile.TemporaryDirectory() as temporary:
            known = champion_version(self._server, history.description.name, self._experiment_id)
            if known is not None and known.tags.get(tags.CHAMPION_RUN) == there:
                write_verdict(self._server, known, here.tags.get(tags.VERDICT, ""))
                return
            folder = Path(temporary) / "champion"
            shutil.copytree(local_model(self._store, here.source), folder)
            parent = self._copies[history.parent_run_id].run_id
            runs = {here: copy.run_id for here, copy in self._copies.items()}
            registrar = Registrar(self._server, self._experiment_id, parent, self._identity, runs)
            register(registrar, history.description, trial, folder, history.promoted)
            known = champion_version(self._server, history.description.name, self._experiment_id)
            write_verdict(self._server, known, here.tags.get(tags.VERDICT, ""))

    @property
    def page(self) -> str:
        """The address of the study's page on the server."""
        return f"{self.address}/{view_page(self._experiment_id, 'trials')}"

    def _here(self) -> Experiment:
        return self._store.client.get_experiment(self._here_id)

    def _history_of(self, run_id: str) -> tuple[StudyHistory, EndedTrial] | None:
        """Returns the trial that a run is of, and its study under the trial's engine."""
        for history in find_engines(self._store, self._here().name):
            for trial in history.ended:
                if trial.run_id == run_id:
                    return history, trial
        return None

    def _open(self) -> None:
        here = self._here()
        there = find_there(self._server, here.name, here.tags.get(tags.IDENTITY))
        check_elsewhere(self.address, here, there)
        self._identity = here.tags.get(tags.IDENTITY) or uuid.uuid4().hex
        self._store.client.set_experiment_tag(here.experiment_id, tags.IDENTITY, self._identity)
        if there is None:
            # Its description has links to the store's runs.
            kept = {k: v for k, v in here.tags.items() if k not in (tags.SERVER, tags.NOTE)}
            with _unless_it_exists():
                self._server.create_experiment(
                    here.name, tags={**kept, tags.IDENTITY: self._identity}
                )
            there = self._server.get_experiment_by_name(here.name)
        check_same_study(self.address, there, self._identity)
        self._experiment_id = there.experiment_id
        self._copies = {}
        found = search_runs(self._server, self._experiment_id)
        parents = {run.data.tags.get(tags.PARENT) for run in found}
        # A run may be made twice if the first answer is lost: keep the one that counts.
        found.sort(key=lambda run: (tags.COPIED in run.data.tags, run.info.run_id in parents))
        for run in reversed(found):
            origin = run.data.tags.get(tags.COPY_OF)
            if origin in self._copies:
                self._server.delete_run(run.info.run_id)
            elif origin is not None:
                self._copies[origin] = _Copy(run.info.run_id, dict(run.data.tags))

    def _is_copied(self, run: Run) -> bool:
        copy = self._copies.get(run.info.run_id)
        if copy is None or run.info.status == _RUNNING:
            return False
        parent = run.data.tags.get(tags.PARENT)
        if parent is not None:
            above = self._copies.get(parent)
            if above is None or copy.tags.get(tags.PARENT) != above.run_id:
                # Of a run that was deleted there.
                return False
        return copy.tags.get(tags.COPIED) == _state_of(run)

    def _copy_of(self, run: Run) -> _Copy:
        """Returns a run's copy; makes it if there is none."""
        copy = self._copies.get(run.info.run_id)
        if copy is None:
            given = {**self._tags_of(run), tags.COPY_OF: run.info.run_id}
            made = self._server.create_run(
                self._experiment_id, run.info.start_time, given, given.get(tags.RUN_NAME)
            )
            copy = self._copies[run.info.run_id] = _Copy(made.info.run_id, given)
        return copy

    def _tags_of(self, run: Run) -> dict[str, str]:
        """Returns the tags of a run's copy."""
        found = {name: portable(text) for name, text in run.data.tags.items()}
        if tags.RUN_NAME in found:
            # SQLite takes any length.
            found[tags.RUN_NAME] = found[tags.RUN_NAME][:LONGEST]
        parent = found.get(tags.PARENT)
        if parent is not None:
            found[tags.PARENT] = self._copy_there(parent)
        # It names other runs, which may have to be made first.
        found.pop(tags.NOTE, None)
        return found

    def _note_of(self, run: Run) -> dict[str, str]:
        """Returns the description of a run's copy, whose links lead to pages of the server."""
        text = run.data.tags.get(tags.NOTE)
        return {} if text is None else {tags.NOTE: self._translated(text)}

    def _translated(self, note: str) -> str:
        """Returns a description with links to the server's pages; those elsewhere are left out."""
        here, there = (f"#/experiments/{e}/" for e in (self._here_id, self._experiment_id))
        note = _ELSEWHERE.sub(
            lambda found: found[0] if found[2].startswith(here) else found[1],
            portable(note),
        ).replace(here, there)
        named = {each for each in _RUN_ID.findall(note) if self._is_here(each)}
        for run_id in named:
            note = note.replace(run_id, self._copy_there(run_id))
        return note

    def _is_here(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run: Run = self._store.client.get_run(run_id)
        except MlflowException:
            # It was purged.
            return False
        return bool(run.info.experiment_id == self._here_id)

    def _copy_there(self, run_id: str) -> str:
        if run_id not in self._copies:
            self._copy_of(self._store.client.get_run(run_id))
        return self._copies[run_id].run_id

    def _send(self, run: Run, copy: _Copy, points: list[Metric]) -> None:
        from mlflow.entities import Param

        if not copy.has_data and run.inputs is not None and run.inputs.dataset_inputs:
            self._server.log_inputs(copy.run_id, run.inputs.dataset_inputs)
            copy.has_data = True
        new = {(p.key, p.step, p.timestamp): p for p in points}
        new = {mark: point for mark, point in new.items() if mark not in copy.points}
        params = [Param(name, portable(value)) for name, value in run.data.params.items()]
        wanted = {**self._tags_of(run), **self._note_of(run)}
        changed = {k: v for k, v in wanted.items() if copy.tags.get(k) != v}
        writer = ClientWriter(self._server, self._experiment_id)
        writer.log(copy.run_id, list(new.values()), params)
        copy.points.update(new)
        self._set_tags(copy, changed)
        if run.info.status == _RUNNING:
            self._server.update_run(copy.run_id, status=_RUNNING)
            self._send_files(run, copy)
        else:
            self._server.set_terminated(copy.run_id, run.info.status, run.info.end_time)
            if self._send_files(run, copy):
                # Last: it marks a complete copy.
                self._set_tags(copy, {tags.COPIED: _state_of(run)})
            copy.points.clear()

    def _set_tags(self, copy: _Copy, changed: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        given = [RunTag(name, value) for name, value in changed.items()]
        for start in range(0, len(given), _MOST_TAGS):
            self._server.log_batch(copy.run_id, tags=given[start : start + _MOST_TAGS])
        copy.tags.update(changed)

    def _send_files(self, run: Run, copy: _Copy) -> bool:
        """Sends the files of a study or of a confirmation; returns whether all arrived."""
        if run.data.tags.get(tags.KIND) not in ("study", tags.CONFIRMATION_KIND):
            return True
        root = local_artifacts(self._store, run)
        for path in sorted(root.rglob("*")):
            if not path.is_file() or is_piece(path):
                continue
            facts = path.stat()
            mark = (str(path), facts.st_mtime_ns, facts.st_size)
            if mark in copy.files:
                continue
            try:
                with as_server_errors(self.address):
                    folder = path.parent.relative_to(root).as_posix()
                    self._server.log_artifact(copy.run_id, str(path), folder.strip(".") or None)
            except ServerRefusedError as error:
                # Files may go to another place than the server: send the runs nevertheless.
                self.fault = str(error)
                return False
            copy.files.add(mark)
        return True


@contextlib.contextmanager
def _unless_it_exists() -> Iterator[None]:
    """Ignores that another process has made an experiment of this name since it was looked for."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _state_of(run: Run) -> str:
    # A trial is verified after it has ended.
    verified = run.data.tags.get(tags.VERIFIED, "")
    return f"{run.info.status} {run.info.end_time} {verified}".rstrip()


def check_free(store: Store | None, name: str, address: str) -> None:
    """Raises ServerRefusedError if a server, if it answers, has another study of this name."""
    quickly = not_waiting_long()
    with contextlib.suppress(ServerAwayError), as_server_errors(address), quickly:
        here = None if store is None else store.client.get_experiment_by_name(name)
        identity = None if here is None else here.tags.get(tags.IDENTITY)
        there = find_there(open_server(address), name, identity)
        if there is not None:
            check_elsewhere(address, here, there)
            check_same_study(address, there, identity)


def find_there(server: MlflowClient, name: str, identity: str | None) -> Experiment | None:
    """Returns a study's experiment on a server, by its identity, not its name."""
    from mlflow.entities import ViewType

    if identity is not None:
        condition = f"tags.`{tags.IDENTITY}` = '{identity}'"
        found = server.search_experiments(ViewType.ALL, filter_string=condition)
        if found:
            return min(found, key=lambda each: each.lifecycle_stage != "active")
    return server.get_experiment_by_name(name)


def check_elsewhere(address: str, here: Experiment | None, there: Experiment | None) -> None:
    """Checks that a server's experiment is not the store's own, as `kerastudy ui` shows it."""
    if here is None or there is None:
        return
    if (here.experiment_id, here.creation_time, here.artifact_location) == (
        there.experiment_id,
        there.creation_time,
        there.artifact_location,
    ):
        raise ServerRefusedError(
            f"The MLflow server {address} is one that shows this store, so the study is there "
            "already. Leave it out with --tracking-uri off, or name another server."
        )


def check_same_study(address: str, there: Experiment, identity: str | None) -> None:
    """Checks that a server's experiment is this study, and not deleted."""
    if there.lifecycle_stage == "deleted":
        raise ServerRefusedError(
            f"The MLflow server {address} had an experiment {there.name!r}, which was deleted. "
            "Restore it there, launch the study without the server with --tracking-uri off, or "
            "under another name with --name."
        )
    if identity is None or there.tags.get(tags.IDENTITY) != identity:
        raise ServerRefusedError(
            f"The MLflow server {address} has an experiment {there.name!r} that is not this "
            "store's study. Launch the study under another name with --name, or without the "
            "server with --tracking-uri off."
        )

"""Sends a study's journal to MLflow, through `MlflowClient` alone.

Each trial is a run, with params, metrics, tags and a status. The run of the study is the parent of
the runs of trials.

A destination is the store's own MLflow database, or a team's MLflow server. The exporter notes the
runs and files that it has sent (see `exporter_notes_and_lock`). If the exporter is killed, the next
exporter repeats the last writes, which does no harm.

- If the database of a destination is lost or replaced, the exporter fills the new one.
- A run or experiment that a person renamed or deleted in MLflow stays renamed or deleted.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import ServerRefusedError
from search_spaces.texts import counted
from tracking.history import StudyHistory, epoch_metrics, read_folder
from tracking.journal import Header, JournalReader, Point, StudyRecord
from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.exporter_notes_and_lock import STORE, ExporterNotes, opened_notes, read_notes
from tracking.mlflow.model_registry import ModelRegistry
from tracking.mlflow.run_writer import RunWriter, search_runs
from tracking.mlflow.servers_and_databases import (
    as_server_errors,
    identity_of,
    open_client,
    open_store_client,
    set_aside,
    under_free_name,
    unless_missing,
)
from tracking.mlflow.tags_and_names import axis_of, is_log, spell, to_mlflow
from tracking.mlflow.views_and_descriptions import (
    REPORT,
    Pages,
    is_replaceable,
    study_description,
    study_note,
    view_page,
    view_tags,
)
from tracking.records import (
    EndedTrial,
    Objective,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    best_trial,
    finished_trials,
    to_json,
)
from tracking.store import Store, holder_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Metric, Param

# A pruned trial is FINISHED, as it has a value. The UI shows FAILED in red.
_STATUSES: Final = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
# The uuids of this many runs are noted at a time, since each note is synced to disk.
_TOGETHER: Final = 200
# The end of the name of the champion's run, and the names that runs get here otherwise.
_CHAMPION: Final = " champion"
_OUR_NAME: Final = re.compile(r"#\d+( defaults)?")


class StudyExporter:
    """Sends a study to one destination: a server's address, or "" for the store's own database."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        address: str = "",
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._store, self._folder, self._say = store, folder, say
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
        """Returns the journal's revision, and the result of `_mark_of` for the report."""
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
            self._part_with(runs, runs.ids.keys() - journal.uuids(), study)
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

    def _part_with(self, runs: RunWriter, unknown: Set[str], study: StudyRecord) -> None:
        """Deletes or leaves alone the runs that the journal does not have any more.

        A launch may have replaced a study that has no finished trials. Then the parent run is
        unknown, too, and all these runs are deleted. Otherwise the journal is an older copy.
        """
        restored = study.run in runs.ids
        for uuid in unknown:
            (runs.notes.forget_run if restored else runs.delete)(uuid)
        if unknown and restored:
            # The journal's revisions after the copy are not those that were sent.
            runs.notes.note_sent(0, 0)
            self._say(
                f"warning: {counted(len(unknown), 'run')} of {study.description.name} in the "
                f"{self.destination.shown} are left as they are: the journal, perhaps restored "
                "from a backup, does not have them"
            )

    def _send_summary(
        self, journal: JournalReader, runs: RunWriter, study: StudyRecord, experiment: Experiment
    ) -> None:
        """Sends the study's descriptions, definition and registered model."""
        history, running = read_folder(self._store, self._folder), study.status == "RUNNING"
        model = "" if running else ModelRegistry(journal, runs).update(history, study.run)
        if not running:
            self._mark_champion(runs, history)
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

    def _mark_champion(self, runs: RunWriter, history: StudyHistory) -> None:
        """Writes "champion" into the name of the champion's run, and of no other run.

        A name that a person gave is not changed.
        """
        champion, client = history.champion, runs.client
        uuid = "" if champion is None else champion.uuid
        if runs.notes.has_file(_CHAMPION, uuid):
            return
        # The first condition finds the former champion's run, the second the present one's.
        for condition in (f"run_name LIKE '#%{_CHAMPION}'", f"tags.`{tags.UUID}` = '{uuid}'"):
            for run in search_runs(client, runs.experiment, condition):
                name, of = run.info.run_name, run.data.tags.get(tags.UUID, "")
                plain = name.removesuffix(_CHAMPION)
                wanted = plain + _CHAMPION * (of == uuid)
                if name != wanted and of in runs.ids and _OUR_NAME.fullmatch(plain):
                    rename = partial(client.update_run, run.info.run_id, name=wanted)
                    runs.unless_deleted(of, rename)
        runs.notes.note_file(_CHAMPION, uuid)

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
                f"The MLflow server {self.address} shows this store, so the study is there already",
                hint="Leave the server out with --tracking-uri off, or name another server.",
            )
        note = notes.study
        experiment: Experiment | None = None
        if note is not None and (not database or note.database == database):
            experiment = unless_missing(lambda: self.client.get_experiment(note.experiment))
            if experiment is None:
                # The database is the same, so a person deleted the experiment for good.
                return None
        if experiment is None or experiment.tags.get(tags.UUID) != header.uuid:
            # Nothing is noted, or the notes are about another database. In the present database,
            # the noted id may belong to another study's experiment.
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


class TrialsSoFar:
    """The metrics' names and the best value of the trials that have ended so far."""

    def __init__(self, objective: Objective, trials: Iterable[TrialRecord]) -> None:
        self.metrics: set[str] = set()
        # New best values that are not sent yet. They become metrics of the parent run. The step of
        # such a metric is the number of trials that had ended.
        self.unsent: list[Metric] = []
        self._objective = objective
        self._counted: set[int] = set()
        self._best: TrialRecord | None = None
        self.add(trials)

    def add(self, trials: Iterable[TrialRecord]) -> None:
        """Adds the trials that have ended, in the order of their ends."""
        for trial in sorted(finished_trials(trials), key=lambda trial: (trial.ended, trial.number)):
            self._counted.add(trial.number)
            if trial.best is not None:
                self.metrics |= trial.best.metrics.keys()
            before = self._best
            best = self._best = best_trial([before, trial], self._objective)
            if best is None or best.value is None:
                continue
            if before is None or (before.number, before.value) != (best.number, best.value):
                # If this metric had the name of a trial's metric, the UI would sort the parent run
                # among the trials.
                name = f"study/best_{self._objective.metric}"
                self.unsent += _metrics_of({name: best.value}, trial.ended, len(self._counted))


@dataclass
class TrialExporter:
    """Sends a study's trials that changed after the journal's revision `since`."""

    journal: JournalReader
    runs: RunWriter
    since: int
    points: dict[str, list[Point]]  # The unsent epochs of fits, by uuid.

    def send(self, study: StudyRecord, so_far: TrialsSoFar) -> int:
        """Sends the changes, and returns how many runs were written."""
        runs = self.runs
        self._send_parent(study)
        attempts = self.journal.attempts(self.since)
        for start in range(0, len(attempts), _TOGETHER):
            some = attempts[start : start + _TOGETHER]
            runs.notes.note_intended(trial.uuid for trial in some)
            for trial in some:
                self._send_trial(study, trial)
        so_far.add(attempts)
        if so_far.unsent:
            runs.write(study.run, so_far.unsent)
            so_far.unsent = []
        # The remaining epochs belong to trials that have no other change, or to fits that have no
        # run in MLflow: folds, repeats, and trainings of confirmations. `write` leaves these out.
        for uuid in list(self.points):
            runs.write(uuid, self._metrics(uuid))
        return len(attempts)

    def _send_parent(self, study: StudyRecord) -> None:
        """Sends to MLflow the run that is the parent of all trials."""
        description, runs = study.description, self.runs
        tagged = {**_origin(study), tags.KIND: "study", tags.ENGINE: description.engine}
        runs.notes.note_intended([study.run])
        name = f"{description.name} ({description.engine})"
        if runs.begin(study.run, name, tagged, study.created):
            runs.log_inputs(study.run, _dataset_inputs(description))
            runs.write(study.run, params=_params_of(_settings(description)))
        if study.status == "RUNNING":
            runs.write(study.run, status="RUNNING")

    def _send_trial(self, study: StudyRecord, trial: TrialRecord) -> None:
        """Sends an attempt at a trial. The curve of several fits is the mean of their curves."""
        runs, description, spec = self.runs, study.description, trial.spec
        values = _hyperparameters(description, spec)
        exact = json.dumps(values, ensure_ascii=False)
        tagged = {
            **_origin(study),
            tags.PARENT: runs.ids[study.run],
            tags.KIND: "trial",
            tags.VERIFIED: trial.verified,
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            tags.STATE: trial.state,
            tags.DEFAULTS: "yes" if spec.number == description.default_trial else "",
            # A text that is too long is left out, because JSON can't be read if its end is cut off.
            tags.HYPERPARAMETERS: exact if len(exact) <= tags.LONGEST else "",
        }
        params: list[Param] = []
        if runs.begin(trial.uuid, _run_name(description, spec), tagged, trial.started):
            # The UI's charts need the trial's number as a param, for an axis. The charts have no
            # log scale, so they draw the logarithms of hyperparameters with a log scale.
            logs = {
                axis_of(parameter): math.log10(spec.values[parameter.name])
                for parameter in description.space
                if is_log(parameter) and parameter.name in spec.values
            }
            params = _params_of({"trial": spec.number, **logs, **values})
            runs.log_inputs(trial.uuid, _dataset_inputs(description))
        metrics = self._metrics(trial.uuid)
        if trial.state == "running":
            runs.write(trial.uuid, metrics, params)
            return
        if isinstance(trial, EndedTrial):
            result = trial.result
            tagged |= _result_tags(result)
            params += _params_of({n: v for n, v in result.defaulted.items() if n not in values})
            if result.repeats:
                for epoch, means in epoch_metrics(self.journal.folder, trial).items():
                    metrics += _metrics_of(means, trial.ended, epoch)
            metrics += _metrics_of(_result_metrics(result, description.objective), trial.ended, 0)
        elif trial.state == "interrupted":
            tagged[tags.REASON] = "its process ended before the training did"
        runs.write(trial.uuid, metrics, params, tagged, _STATUSES[trial.state], trial.ended)

    def _metrics(self, fit: str) -> list[Metric]:
        """Removes the unsent epochs of a fit, and returns their metrics."""
        points = self.points.pop(fit, [])
        return [metric for p in points for metric in _metrics_of(p.metrics, p.time, p.epoch)]


def _run_name(description: StudyDescription, spec: TrialSpec) -> str:
    """Returns the name of a trial's run, such as ``#15``."""
    return f"#{spec.number}" + " defaults" * (spec.number == description.default_trial)


def _metrics_of(metrics: Mapping[str, float], time: int, step: int) -> list[Metric]:
    """Returns the journal's metrics as MLflow's, without infinities and NaN.

    MLflow would turn an infinity into 1.8e308, which then wins every sort.
    """
    from mlflow.entities import Metric

    return [
        Metric(to_mlflow(name), value, time, step)
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def _params_of(values: Mapping[str, Any]) -> list[Param]:
    """Returns values as MLflow's params.

    Floats are rounded to four digits, since the UI's table shows all digits of a param.
    """
    from mlflow.entities import Param

    return [
        Param(to_mlflow(name), spell(float(f"{value:.4g}") if isinstance(value, float) else value))
        for name, value in values.items()
    ]


def _dataset_inputs(description: StudyDescription) -> list[Any]:
    """Returns the training data and the validation data as inputs of a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = description.data
    if not data.digest:
        # An objective function loads its own data, so the study has no data set.
        return []
    source = json.dumps({"source": data.source}, ensure_ascii=False)
    profile = json.dumps({"sizes": dict(data.sizes), **data.details}, ensure_ascii=False)
    return [
        DatasetInput(
            # MLflow allows 36 characters for a digest.
            Dataset(data.name, data.digests[part][:36], "local", source, None, profile),
            [InputTag("mlflow.data.context", context)],
        )
        for part, context in (("train", "training"), ("validation", "validation"))
    ]


def _hyperparameters(description: StudyDescription, spec: TrialSpec) -> dict[str, Any]:
    """Returns the params of a trial's run: epochs, batch size and hyperparameters."""
    space, values = description.space, spec.values
    if description.objective_function:
        # An objective function chooses its own epochs and batch size, so the run has no such
        # params.
        return dict(space.resolve(values))
    return {"epochs": spec.epochs, "batch_size": spec.batch_size, **space.resolve(values)}


def _settings(description: StudyDescription) -> dict[str, Any]:
    """Returns the params of a study's parent run."""
    values: dict[str, Any] = {
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": f"{description.objective.direction} {description.objective.metric}",
        "seed": description.seed,
        "threads": description.threads,
    }
    if description.objective_function:
        values["objective_function"] = description.objective_function
    else:
        values |= {"epochs": description.epochs, "batch_size": description.batch_size}
    if description.class_weight is not None:
        values["class_weight"] = description.class_weight
    return values


def _origin(study: StudyRecord) -> dict[str, str]:
    """Returns the tags that MLflow shows as a run's source, version and author."""
    path = study.description.code.path
    origin = {
        tags.SOURCE: path,
        tags.SOURCE_TYPE: "LOCAL" if path else "",
        tags.COMMIT: study.git,
    }
    # `getuser` fails if the user has no name, as in many containers.
    with contextlib.suppress(OSError, KeyError):
        origin[tags.USER] = getpass.getuser()
    return origin


def _result_metrics(result: TrialResult, objective: Objective) -> dict[str, float]:
    """Returns the metrics that have one value for the whole trial, by name.

    Time and model size get names of MLflow's "system metrics", which the UI shows on
    another page. Otherwise the UI would show a bar chart of each among the learning curves.
    """
    metrics: dict[str, float] = {"system/seconds": result.seconds}
    if result.model_parameters:
        metrics["system/model_parameters"] = result.model_parameters
    if result.best is not None:
        # The UI shows the last epoch's value of a metric, so the best value needs its own metric.
        name = f"best_{objective.metric}"
        metrics[name] = result.best.value
        if result.spread is not None:
            metrics[f"{name}_std"] = result.spread
    return metrics


def _result_tags(result: TrialResult) -> dict[str, str]:
    """Returns the tags of a trial that has ended."""
    best = None if result.of_no_epoch else result.best
    return {
        tags.BEST_EPOCH: "" if best is None else str(best.epoch),
        tags.REASON: result.reason,
        tags.TRAINER: result.trainer,
        **{
            to_mlflow(f"user_attrs.{key}"): spell(value) for key, value in result.user_attrs.items()
        },
    }

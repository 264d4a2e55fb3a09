"""Brings a destination of MLflow's up to date with a study's journal, by MLflow's client alone.

A destination is the store's own database, or a team's server: the same code serves both. What has
been sent is noted (see `exports`), and every write can be repeated: it may be broken off anywhere.

- A destination whose database is another than before, or is gone, is filled from the journal.
- What a person renamed, deleted or purged there stays so, and no study notices it.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import ServerRefusedError
from tracking.history.commands import reproduce_command
from tracking.history.curves import mean_epochs
from tracking.history.study_history import StudyHistory, histories_in
from tracking.history.trials import best_trial, latest_attempts
from tracking.history.verdicts import verdict_by
from tracking.journal import (
    Attempt,
    ConfirmationRecord,
    Fit,
    Header,
    JournalReader,
    Point,
    Search,
)
from tracking.mlflow import tags
from tracking.mlflow.contents import (
    dataset_inputs,
    hyperparameters,
    origin_tags,
    params_of,
    result_metrics,
    result_tags,
    settings,
)
from tracking.mlflow.exports import STORE, Exports, Notes, read_database
from tracking.mlflow.notes import REPORT, Pages, is_replaceable, study_description, study_note
from tracking.mlflow.pages import plain, run_name, trial_note, view_page
from tracking.mlflow.registry import Registry
from tracking.mlflow.runs import Runs, metrics_of, search_runs
from tracking.mlflow.server import (
    as_server_errors,
    identity_of,
    open_client,
    open_store_client,
    set_aside,
)
from tracking.mlflow.views import view_tags
from tracking.records import EndedTrial, StudyDescription, TrialRecord, TrialResult
from tracking.records.checks import Confirmation
from tracking.records.converting import to_json
from tracking.store.folder import Store
from tracking.store.study_locks import holder_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# Red is for what failed: a pruned trial has a value, and did what it should.
_STATUSES: Final = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
# Trials that are sent before that is noted: after a break the rest is sent.
_TOGETHER: Final = 200


class StudyExporter:
    """A study at one destination: a server's address, or "" for the store's own database."""

    def __init__(self, store: Store, folder: Path, address: str = "") -> None:
        self.address = address
        self._store, self._folder = store, folder
        self._place = address or STORE
        self._client: MlflowClient | None = None
        # The trials that have ended, by number, and how many points of the best value were sent;
        # by search.
        self._ended: dict[int, dict[int, TrialRecord]] = {}
        self._points: dict[int, int] = {}
        self._looked_for_gone = False
        # What the prepared views were made of.
        self._viewed: object = None
        self.page = ""

    @property
    def shown(self) -> str:
        """The destination, for messages."""
        database = str(self._store.root / "mlflow.db")
        return f"MLflow server {self.address}" if self.address else f"MLflow database {database!r}"

    def update(self, *, whole: bool = False, again: bool = False) -> int:
        """Sends what has changed; returns how many runs were written.

        `whole` also writes what depends on whether a process runs the study; `again` also sends
        what a person has deleted there. Raises ServerAwayError if the destination does not answer,
        ServerRefusedError if it refuses.
        """
        with (
            as_server_errors(self.shown),
            Exports(self._folder, self._place) as exports,
            JournalReader(self._folder).as_of_now() as journal,
        ):
            return self._update(exports, journal, whole, again)

    def _update(self, exports: Exports, journal: JournalReader, whole: bool, again: bool) -> int:
        header = journal.header()
        experiment = self._experiment(exports, header, again)
        if experiment is None:
            return 0
        if again:
            self._restore(exports, experiment)
        notes = exports.notes
        assert notes is not None, "the experiment is noted"
        runs = Runs(self._opened(), exports, experiment.experiment_id)
        if not self._looked_for_gone:
            _delete_gone(journal, runs)
            self._looked_for_gone = True
        searches = journal.searches()
        if notes.study != header.name:
            self._rename(exports, notes, header, experiment, searches, runs)
        self.page = f"{self.address}/{view_page(experiment.experiment_id, 'trials')}"
        notes = exports.notes
        assert notes is not None, "the experiment is noted"
        revision, since = journal.revision(), notes.revision
        written = 0
        if revision > since:
            written = self._send_changes(journal, runs, searches, since, notes.epochs, exports)
        if revision > since or whole:
            self._send_pages(exports, journal, runs, searches, experiment, since, whole)
        self._send_report(exports, searches, runs)
        return written

    def _send_changes(
        self,
        journal: JournalReader,
        runs: Runs,
        searches: Sequence[Search],
        since: int,
        epochs: int,
        exports: Exports,
    ) -> int:
        """Sends the trials and confirmations that changed after a revision, and new epochs."""
        points, last = journal.points(epochs)
        fits = journal.fits(since)
        changed = _Changed(journal, runs, [fit for fit in fits if fit.trial], points)
        several, written = len(searches) > 1, 0
        for search in searches:
            self._send_parent(search, runs)
            attempts = journal.attempts(search.id, since)
            for start in range(0, len(attempts), _TOGETHER):
                some = attempts[start : start + _TOGETHER]
                runs.intend(each.trial.uuid for each in some)
                for attempt in some:
                    self._send_trial(search, attempt, changed, several=several)
            # Fits of trials that go on, and trainings on all folds.
            for fit in changed.rest_of(search):
                self._send_fit(search, fit, runs.ids[fit.trial], changed)
            self._send_best(search, attempts, journal, runs)
            written += len(attempts)
            written += self._send_confirmations(search, journal, runs, changed, since)
        changed.send_rest()
        exports.sent(journal.revision(), last)
        return written

    def _restore(self, exports: Exports, experiment: Experiment) -> None:
        """Restores the runs that a person deleted there; forgets those that were purged."""
        client = self._opened()
        there = {
            run.info.run_id: run for run in search_runs(client, [experiment.experiment_id], "")
        }
        for uuid, run in list(exports.runs.items()):
            if run in there and there[run].info.lifecycle_stage == "deleted":
                client.restore_run(run)
            elif run not in there:
                exports.forget_run(uuid)
        exports.send_all_again()

    def _opened(self) -> MlflowClient:
        if self._client is None:
            self._client = (
                open_client(self.address) if self.address else open_store_client(self._store)
            )
        return self._client

    def _experiment(self, exports: Exports, header: Header, again: bool) -> Experiment | None:
        """Returns the study's experiment; None if a person has deleted it there."""
        from mlflow.exceptions import MlflowException

        client = self._opened()
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
        if experiment is None:
            experiment = self._found(exports, header, database) or self._made(
                exports, header, database
            )
        if not self.address and self._was_moved(experiment):
            set_aside(self._store)
            self._client = None
            exports.forget()
            return self._experiment(exports, header, again)
        if experiment.lifecycle_stage != "deleted":
            return experiment
        if not again:
            return None
        client.restore_experiment(experiment.experiment_id)
        return client.get_experiment(experiment.experiment_id)

    def _check_elsewhere(self, database: str) -> None:
        """Refuses a server that shows the store's own database, as `kerastudy ui` does."""
        if not self.address:
            return
        if database and database == read_database(self._folder):
            raise ServerRefusedError(
                f"The MLflow server {self.address} is one that shows this store, so the study is "
                "there already. Leave it out with --tracking-uri off, or name another server."
            )

    def _was_moved(self, experiment: Experiment) -> bool:
        return not experiment.artifact_location.startswith(f"{self._store.artifacts_uri}/")

    def _found(self, exports: Exports, header: Header, database: str) -> Experiment | None:
        """Finds the study's experiment by its uuid, and its runs: the notes on it were lost."""
        from mlflow.entities import ViewType

        client = self._opened()
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
        exports.begin(database, experiment.experiment_id, header.name, experiment.name, runs)
        return experiment

    def _made(self, exports: Exports, header: Header, database: str) -> Experiment:
        from mlflow.exceptions import MlflowException

        client = self._opened()
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
        while self._opened().get_experiment_by_name(free) is not None:
            number += 1
            free = f"{name} ({number})"
        return free

    def _rename(
        self,
        exports: Exports,
        notes: Notes,
        header: Header,
        experiment: Experiment,
        searches: Sequence[Search],
        runs: Runs,
    ) -> None:
        """Renames the experiment as the study was, unless a person has given it another name.

        What has the study's name in it is sent again.
        """
        for search in searches:
            runs.write(search.uuid, tagged={tags.RUN_NAME: _parent_name(search)})
        name = experiment.name
        if name == notes.name:
            name = self._free_name(header.name)
            self._opened().rename_experiment(experiment.experiment_id, name)
        Registry(self._opened(), header).rename(notes.study, experiment.experiment_id)
        exports.named(header.name, name)

    def _send_parent(self, search: Search, runs: Runs) -> None:
        """Makes the run of a study under one engine, above those of its trials."""
        description = search.description
        tagged = {
            **_origin(search),
            tags.KIND: "study",
            tags.ENGINE: description.engine,
        }
        runs.intend([search.uuid])
        _, made = runs.run(search.uuid, _parent_name(search), tagged, search.created)
        if made:
            runs.log_inputs(search.uuid, dataset_inputs(description))
            runs.write(search.uuid, params=params_of(settings(description)))
        if search.status == "RUNNING":
            runs.write(search.uuid, status="RUNNING")

    def _send_trial(
        self, search: Search, attempt: Attempt, changed: _Changed, *, several: bool
    ) -> None:
        """Sends an attempt at a trial, and its fits if it has several."""
        trial, runs, description = attempt.trial, changed.runs, search.description
        spec, result = trial.spec, trial.result
        of_defaults = spec.number == description.default_trial
        name = run_name(
            spec,
            result,
            of_defaults=of_defaults,
            engine=description.engine if several else "",
            folds=description.folds,
        )
        if trial.state == "interrupted" and result is None:
            name = name.replace("running", "interrupted")
        values = hyperparameters(description, spec)
        tagged = {
            **_origin(search),
            tags.PARENT: runs.ids[search.uuid],
            tags.KIND: "trial",
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            **({tags.DEFAULTS: "yes"} if of_defaults else {}),
        }
        more: dict[str, str] = {tags.STATE: trial.state}
        if trial.state != "running":
            more |= self._end_tags(description, trial, values, several=several)
        run, made = runs.run(trial.uuid, name, tagged | more, trial.started)
        # The number is what charts of the UI have on their axis.
        params = params_of({"trial": spec.number, **values}) if made else []
        if made and not description.data.made_by:
            runs.log_inputs(trial.uuid, dataset_inputs(description))
        fits = changed.fits_of(trial.uuid)
        if runs.exports.is_left_out(trial.uuid):
            return
        for fit in fits:
            self._send_fit(search, fit, run, changed)
        metrics = changed.metrics(trial.uuid)
        if trial.state == "running":
            runs.write(trial.uuid, metrics, params)
            return
        ended = trial.ended
        if not runs.exports.has_ended(trial.uuid):
            more[tags.RUN_NAME] = name
        if isinstance(trial, EndedTrial):
            if trial.result.repeats:
                for epoch, means in changed.means(trial).items():
                    metrics += metrics_of(means, ended, epoch)
            metrics += metrics_of(result_metrics(trial.result, description.objective), ended, 0)
            joined = {str(each["name"]): each["default"] for each in trial.result.joined}
            params += params_of({k: v for k, v in joined.items() if k not in values})
        runs.write(trial.uuid, metrics, params, more, _STATUSES[trial.state], ended)

    def _end_tags(
        self,
        description: StudyDescription,
        trial: TrialRecord,
        values: Mapping[str, Any],
        *,
        several: bool,
    ) -> dict[str, str]:
        """Returns the tags that a trial's run has from its end on."""
        if not isinstance(trial, EndedTrial):
            return {tags.REASON: "its process ended before it did"}
        command = reproduce_command(description, trial.number, self._store.root, several=several)
        return {
            **result_tags(trial.result),
            tags.NOTE: trial_note(trial.spec, values, trial.result, command),
            **({tags.VERIFIED: trial.verified} if trial.verified else {}),
        }

    def _send_fit(self, search: Search, fit: Fit, parent: str, changed: _Changed) -> None:
        """Sends a repeat or a fold of a trial."""
        runs, description, spec, result = changed.runs, search.description, fit.spec, fit.result
        shown: TrialResult | None = result
        name = run_name(spec, shown, of_repeat=True, folds=description.folds)
        if fit.state == "interrupted" and result is None:
            name = name.replace("running", "interrupted")
        tagged = {
            **_origin(search),
            tags.PARENT: parent,
            tags.KIND: "repeat" if spec.fold is None else "fold",
            tags.ENGINE: description.engine,
            tags.NUMBER: str(spec.number),
            tags.REPEAT: str(spec.repeat),
        }
        more = {tags.STATE: fit.state, **({} if result is None else result_tags(result))}
        runs.intend([fit.uuid])
        values = hyperparameters(description, spec)
        _, made = runs.run(fit.uuid, name, tagged | more, fit.started)
        params = params_of({"trial": spec.number, **values}) if made else []
        metrics = changed.metrics(fit.uuid)
        if fit.state == "running":
            runs.write(fit.uuid, metrics, params)
            return
        if not runs.exports.has_ended(fit.uuid):
            more[tags.RUN_NAME] = name
        if result is not None:
            metrics += metrics_of(result_metrics(result, description.objective), fit.ended, 0)
        runs.write(fit.uuid, metrics, params, more, _STATUSES[fit.state], fit.ended)

    def _send_best(
        self, search: Search, attempts: Sequence[Attempt], journal: JournalReader, runs: Runs
    ) -> None:
        """Sends the curve of the best value so far, to the run of the study.

        A point's step is the number of trials that had finished by then.
        """
        ended = self._trials(search, journal, attempts)
        objective = search.description.objective
        best: TrialRecord | None = None
        metrics: list[Any] = []
        in_order = sorted(ended.values(), key=lambda each: (each.ended, each.number))
        if search.description.lag:
            # Not by time: the trials count in the order in which the engine gets them.
            in_order = [
                ended[n] for n in itertools.takewhile(ended.__contains__, itertools.count())
            ]
        for count, trial in enumerate(in_order, 1):
            before, best = best, best_trial([best, trial], objective)
            if best is not before and best is not None and best.value is not None:
                # Not the name of its trials' metric: sorted by it, it would be among them.
                name = f"study/best_{objective.metric}"
                metrics += metrics_of({name: best.value}, trial.ended, count)
        new = metrics[self._points.get(search.id, 0) :]
        if new:
            runs.write(search.uuid, new)
        self._points[search.id] = len(metrics)

    def _trials(
        self, search: Search, journal: JournalReader, changed: Sequence[Attempt] = ()
    ) -> dict[int, TrialRecord]:
        """Returns the trials of a study that have ended, by number, and notes what has changed."""
        if search.id not in self._ended:
            changed = journal.attempts(search.id)
        ended = self._ended.setdefault(search.id, {})
        trials, _ = latest_attempts(each.trial for each in changed)
        for trial in trials:
            if isinstance(trial, EndedTrial) and trial.state != "interrupted":
                ended[trial.number] = trial
        return ended

    def _send_confirmations(
        self,
        search: Search,
        journal: JournalReader,
        runs: Runs,
        changed: _Changed,
        since: int,
    ) -> int:
        """Sends the confirmations of a study that changed, with their trainings."""
        confirmations = journal.confirmations(search.id)
        written = 0
        for each in confirmations:
            fits = [f for f in journal.fits(confirmation=each.uuid) if f.revision > since]
            if each.revision <= since and not fits:
                continue
            self._send_confirmation(search, each, fits, changed)
            written += 1 + len(fits)
        return written

    def _send_confirmation(
        self,
        search: Search,
        confirmation: ConfirmationRecord,
        fits: Sequence[Fit],
        changed: _Changed,
    ) -> None:
        runs = changed.runs
        tagged = {**_origin(search), tags.ENGINE: search.description.engine}
        outcome, state = confirmation.outcome, confirmation.state
        name = f"confirmation · {state}"
        if outcome is not None:
            name = f"confirmation · trial {outcome.winner}"
            if outcome.confirmed is not None:
                metric = outcome.metric.removeprefix("val_")
                name += f" · {metric} {outcome.confirmed.value:.4g} on the test part"
        runs.intend([confirmation.uuid, *(fit.uuid for fit in fits)])
        above = {tags.PARENT: runs.ids[search.uuid], tags.KIND: tags.CONFIRMATION_KIND}
        run, made = runs.run(confirmation.uuid, name, {**tagged, **above}, confirmation.started)
        if made:
            options = json.loads(confirmation.plan)["options"]
            runs.write(confirmation.uuid, params=params_of(options))
        for fit in fits:
            self._send_training(search, fit, run, tagged, changed)
        if outcome is None:
            runs.write(
                confirmation.uuid,
                tagged={tags.RUN_NAME: name},
                status=_STATUSES[state],
                ended=confirmation.ended or None,
            )
            return
        said = verdict_by(self._history(search), outcome)
        note = f"**{plain(said.text)}**\n\n{plain(' '.join(said.grounds))}"[: tags.LONGEST]
        runs.unless_deleted(
            confirmation.uuid,
            lambda: runs.client.log_text(run, to_json(outcome) + "\n", "confirmation.json"),
        )
        runs.write(
            confirmation.uuid,
            metrics_of(_numbers(outcome), confirmation.ended, 0),
            tagged={tags.RUN_NAME: name, tags.NOTE: note},
            status="FINISHED",
            ended=confirmation.ended,
        )

    def _send_training(
        self,
        search: Search,
        fit: Fit,
        parent: str,
        tagged: dict[str, str],
        changed: _Changed,
    ) -> None:
        runs, description, result = changed.runs, search.description, fit.result
        outcome: str = fit.state
        # On all folds together there is nothing to validate on.
        shown = None if result is None or fit.spec.fold == -1 else result.best
        if shown is not None:
            outcome = f"{description.objective.metric} {shown.value:.4g}"
        above = {tags.PARENT: parent, tags.KIND: tags.TRAINING_KIND}
        name = f"{fit.name} · {outcome}"
        values = hyperparameters(description, fit.spec)
        _, made = runs.run(fit.uuid, name, {**tagged, **above}, fit.started)
        params = params_of({"seed": fit.spec.seed, **values}) if made else []
        metrics = changed.metrics(fit.uuid)
        if result is not None:
            # Under other names than a trial's: sorted by them, it would be among the trials.
            found = {
                each if each.startswith("system/") else f"confirmation/{each}": value
                for each, value in result_metrics(result, description.objective).items()
                if shown is not None or each.startswith("system/")
            }
            metrics += metrics_of(found, fit.ended, 0)
        more = {tags.RUN_NAME: name}
        if result is not None and result.reason:
            more[tags.REASON] = result.reason[: tags.LONGEST]
        status = "" if fit.state == "running" else _STATUSES[fit.state]
        runs.write(fit.uuid, metrics, params, more, status, fit.ended or None)

    def _history(self, search: Search) -> StudyHistory:
        return histories_in(self._store, self._folder, search.description.engine)[0]

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
        """Sends what people read of the study: summaries, views, files, the registered model."""
        metrics = frozenset(
            name
            for search in searches
            for trial in self._trials(search, journal).values()
            if trial.best is not None
            for name in trial.best.metrics
        )
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
        """Writes the prepared views of the study, if they have changed."""
        if not searches:
            return
        description, several = searches[-1].description, len(searches) > 1
        made_of = (description.space.digest, description.objective, several, metrics)
        if made_of == self._viewed:
            return
        views = view_tags(description, experiment.creation_time, several=several, metrics=metrics)
        for name, text in views.items():
            if experiment.tags.get(name) != text:
                client.set_experiment_tag(experiment.experiment_id, name, text)
        self._viewed = made_of

    def _send_files(
        self, exports: Exports, journal: JournalReader, search: Search, runs: Runs
    ) -> None:
        """Sends the study's definition and the files that it came from."""
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
        if not file.is_file() or not searches:
            return
        facts = file.stat()
        mark = f"{facts.st_mtime_ns} {facts.st_size}"
        uuid = searches[-1].uuid
        if exports.has_file(REPORT, mark) or uuid not in runs.ids:
            return
        runs.unless_deleted(uuid, lambda: runs.client.log_artifact(runs.ids[uuid], str(file)))
        exports.sent_file(REPORT, mark)


class _Changed:
    """What has changed in the journal of a study since it was last sent."""

    def __init__(
        self,
        journal: JournalReader,
        runs: Runs,
        fits: Sequence[Fit],
        points: dict[str, list[Point]],
    ) -> None:
        self.runs = runs
        self._journal, self._points = journal, points
        self._fits: dict[str, list[Fit]] = {}
        for fit in fits:
            if fit.uuid != fit.trial:
                self._fits.setdefault(fit.trial, []).append(fit)

    def fits_of(self, trial: str) -> list[Fit]:
        """Returns the changed fits of a trial that has several."""
        return self._fits.pop(trial, [])

    def rest_of(self, search: Search) -> list[Fit]:
        """Returns the changed fits of a study's trials that have not changed themselves."""
        rest = [fit for fits in self._fits.values() for fit in fits if fit.search == search.id]
        for fit in rest:
            self._fits.pop(fit.trial, None)
        return rest

    def send_rest(self) -> None:
        """Sends the new epochs of what has not changed otherwise."""
        for fit in list(self._points):
            self.runs.write(fit, self.metrics(fit))

    def metrics(self, fit: str) -> list[Any]:
        """Returns the new metrics of a fit, once."""
        points = self._points.pop(fit, [])
        return [each for p in points for each in metrics_of(p.metrics, p.time, p.epoch)]

    def means(self, trial: EndedTrial) -> dict[int, dict[str, float]]:
        """Returns the means over a trial's fits by epoch."""
        repeats = trial.result.repeats
        curves = self._journal.curves(each.uuid for each in repeats)
        folds = sum(each.fold is not None for each in repeats)
        return mean_epochs([curves.get(each.uuid, {}) for each in repeats], folds)


def _parent_name(search: Search) -> str:
    return f"{search.description.name} ({search.description.engine})"


def _delete_gone(journal: JournalReader, runs: Runs) -> None:
    """Deletes the runs of a definition that was given up before a trial had finished."""
    known = journal.uuids()
    for uuid in [each for each in runs.ids if each not in known]:
        runs.delete(uuid)


def _origin(search: Search) -> dict[str, str]:
    """Returns the tags with a run's source, author and commit."""
    commit = search.git.get("commit", "")
    return {**origin_tags(search.description), **({tags.COMMIT: commit} if commit else {})}


def _numbers(outcome: Confirmation) -> dict[str, float]:
    """Returns the numbers of a confirmation's outcome, for MLflow to show."""
    corrected = None if outcome.corrected is None else outcome.corrected.estimate
    intervals = {"corrected": corrected, "on_test": outcome.confirmed, "gain": outcome.gain}
    numbers = {"confirmation/reported": outcome.reported}
    for name, interval in intervals.items():
        if interval is not None:
            numbers |= {
                f"confirmation/{name}": interval.value,
                f"confirmation/{name}_low": interval.low,
                f"confirmation/{name}_high": interval.high,
            }
    return numbers

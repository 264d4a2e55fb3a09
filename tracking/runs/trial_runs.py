"""The runs of a study's trials: begun, followed, ended."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tracking import tags
from tracking.records import EpochResult, Proposal, StudyDescription, TrialResult, TrialSpec
from tracking.runs.commands import reproduce_command
from tracking.runs.pages import run_name, trial_note
from tracking.runs.parents import parent_runs
from tracking.runs.run_contents import (
    dataset_inputs,
    hyperparameters,
    origin_tags,
    params_of,
    result_metrics,
    result_tags,
)
from tracking.runs.run_writer import WaitingMetrics, make_writer
from tracking.runs.study_files import files_of
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Param

# Red is for what failed: a pruned trial has a value, and did what it should.
STATUSES: Final = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "interrupted": "KILLED",
}
"""MLflow's status of a run by the state of its trial."""


@dataclass
class _Open:
    """A run that has begun."""

    spec: TrialSpec
    of_repeat: bool
    values: Mapping[str, Any]  # Of the space as it was then.
    metrics: WaitingMetrics = field(default_factory=WaitingMetrics)  # Not written yet.


class TrialRuns:
    """The runs of trials of one study under one engine, open for writing."""

    def __init__(
        self, store: Store, experiment_id: str, parent_run_id: str, description: StudyDescription
    ) -> None:
        self.store = store
        self.experiment_id = experiment_id
        self.parent_run_id = parent_run_id
        self.description = description
        self.files = files_of(store, experiment_id, description.engine)
        # Tags of each run: user, study file, and the commit once that is known.
        self.origin: Mapping[str, str] = origin_tags(description)
        self.written: set[str] = set()  # The ids of the runs written to.
        # Called with the id of each run after writing to it.
        self.on_written: Callable[[str], None] = lambda run_id: None
        # Called with the study's definition after hyperparameters joined its space.
        self.on_grown: Callable[[StudyDescription], None] = lambda description: None
        self._client = store.client
        self._writer = make_writer(store, experiment_id)
        self._dataset = dataset_inputs(description)
        self._open: dict[str, _Open] = {}
        # The runs whose epochs `write_epochs` writes.
        self._due: dict[str, None] = {}
        # Written runs that `on_written` has yet to get; None: it gets each at once.
        self._unreported: list[str] | None = None

    @cached_property
    def several(self) -> bool:
        """Whether the study had several engines when this launch began."""
        return len(parent_runs(self.store, self.experiment_id)) > 1

    def grow(self, description: StudyDescription) -> None:
        """Takes the study's definition with a space that hyperparameters have joined."""
        self.description = description
        self.on_grown(description)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Writes trials that begin or end within in one transaction, at the end."""
        unreported: list[str] = []
        self._unreported = unreported
        try:
            with self._writer.together():
                yield
        finally:
            self._unreported = None
        for run_id in dict.fromkeys(unreported):
            self.on_written(run_id)

    def begin_trial(
        self,
        spec: TrialSpec,
        proposal: Proposal,
        environment: Mapping[str, str],
        losses: int = 0,
    ) -> str:
        """Makes the child run of an attempt at a trial, before it trains; returns its id."""
        known = {} if proposal.known is None else {tags.KNOWN: str(proposal.known)}
        return self._begin(
            spec,
            {
                tags.PARENT: self.parent_run_id,
                tags.KIND: "trial",
                **tags.split_text(tags.ENVIRONMENT, json.dumps(environment)),
                **{tags.ENGINE_STATE + key: text for key, text in proposal.state.items()},
                **known,
                **({tags.LOSSES: str(losses)} if losses else {}),
            },
        )

    def begin_repeat(self, trial_run_id: str, spec: TrialSpec) -> str:
        """Makes the run of one of a trial's repeats or folds, under the trial's; returns its id."""
        return self._begin(
            spec,
            {
                tags.PARENT: trial_run_id,
                tags.KIND: "repeat" if spec.fold is None else "fold",
                tags.REPEAT: str(spec.repeat),
            },
        )

    def log_epoch(self, run_id: str, epoch: EpochResult) -> None:
        """Records the metrics of an epoch, now or with later ones."""
        if self._open[run_id].metrics.add(epoch):
            self._write_epochs(run_id)

    def keep_epoch(self, run_id: str, epoch: EpochResult) -> None:
        """Does what `log_epoch` does, but writes nothing before the next `write_epochs`."""
        if self._open[run_id].metrics.add(epoch):
            self._due[run_id] = None

    def write_epochs(self) -> None:
        """Writes the kept epochs whose time has come, all together."""
        due, self._due = self._due, {}
        if due:
            with self.together():
                for run_id in due:
                    # One that has ended is written.
                    if run_id in self._open:
                        self._write_epochs(run_id)

    def _write_epochs(self, run_id: str) -> None:
        self._writer.log(run_id, self._open[run_id].metrics.take())
        self._report(run_id)

    def finish_trial(self, run_id: str, result: TrialResult) -> None:
        """Writes the result of an attempt, and ends its run."""
        from mlflow.entities import Metric, RunTag

        run, now = self._open.pop(run_id), _now()
        of_trial = result_metrics(result, self.description.objective)
        final = [Metric(name, value, now, 0) for name, value in of_trial.items()]
        written = {
            **result_tags(result),
            tags.RUN_NAME: self._name(run.spec, result, run.of_repeat),
            tags.NOTE: self._note(run, result),
        }
        self._writer.log(
            run_id,
            run.metrics.take() + final,
            _joined(result, run.values),
            [RunTag(name, text) for name, text in written.items()],
            STATUSES[result.state],
        )
        self._report(run_id)

    def lose_trial(self, run_id: str, repeats: Collection[str], losses: int) -> None:
        """Ends the runs of an attempt whose process died.

        `repeats` are those without a result; `losses` is the number of attempts that ended so.
        """
        for each in (*repeats, run_id):
            run = self._open.pop(each)
            self._end_lost(each, run, {} if each != run_id else {tags.LOSSES: str(losses)})

    def _end_lost(self, run_id: str, run: _Open, further: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        ended = {**further, **interrupted_tags(self._name(run.spec, None, run.of_repeat))}
        written = [RunTag(name, text) for name, text in ended.items()]
        self._writer.log(run_id, run.metrics.take(), tags=written, status=STATUSES["interrupted"])
        self._report(run_id)

    def _begin(self, spec: TrialSpec, further: Mapping[str, str]) -> str:
        description, of_repeat = self.description, tags.REPEAT in further
        values = hyperparameters(description, spec)
        run_id = self._writer.begin(
            self._name(spec, None, of_repeat),
            {
                **self.origin,
                tags.ENGINE: description.engine,
                tags.NUMBER: str(spec.number),
                tags.STATE: "running",
                **({tags.DEFAULTS: "yes"} if spec.number == description.default_trial else {}),
                tags.SPACE_DIGEST: description.space.digest,
                tags.CODE_DIGEST: description.code.digest,
                **tags.split_text(tags.SPEC, spec.to_json()),
                **further,
            },
            # The number is what charts of the UI have on their axis.
            params_of({"trial": spec.number, **values}),
            # The data of the trial's function is not known yet.
            [] if description.data.made_by else self._dataset,
        )
        self._open[run_id] = _Open(spec, of_repeat, values)
        self._report(run_id)
        return run_id

    def _name(self, spec: TrialSpec, result: TrialResult | None, of_repeat: bool) -> str:
        engine = self.description.engine if self.several else ""
        return run_name(
            spec,
            result,
            of_repeat=of_repeat,
            of_defaults=spec.number == self.description.default_trial,
            engine=engine,
            folds=self.description.folds,
        )

    def _note(self, run: _Open, result: TrialResult) -> str:
        number, store = run.spec.number, self.store.root
        command = reproduce_command(self.description, number, store, several=self.several)
        return trial_note(run.spec, run.values, result, command)

    def _report(self, run_id: str) -> None:
        self.written.add(run_id)
        if self._unreported is None:
            self.on_written(run_id)
        else:
            self._unreported.append(run_id)


def interrupted_tags(name: str) -> dict[str, str]:
    """Returns the tags of an attempt without a result, by the name of its run until then."""
    return {
        tags.RUN_NAME: name.replace("running", "interrupted"),
        tags.STATE: "interrupted",
        tags.REASON: "its process ended before it did",
    }


def _joined(result: TrialResult, named: Collection[str]) -> list[Param]:
    """Returns the hyperparameters that joined the space, with their defaults."""
    defaults = {str(p["name"]): p["default"] for p in result.joined}
    return params_of({name: value for name, value in defaults.items() if name not in named})


def _now() -> int:
    return time.time_ns() // 1_000_000

"""The classes and functions by which users read, plot, diagnose and delete recorded studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.argument_checks import choice
from search_spaces.errors import DataError, StudyError, StudyNotFoundError
from search_spaces.texts import readable
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.results.model_loading import load_champion, load_trial_model, registered_folder
from studies.results.prediction import corrected_outputs, samples_for
from tracking.history import StudyHistory, StudyVerdict, study_names, study_verdict, trials_table
from tracking.history import read_study as read_record
from tracking.history import study_history as record
from tracking.mlflow import forgetting
from tracking.records import EndedTrial, TrialRecord
from tracking.store import Store, check_trust, existing_store
from tracking.study_summary import summary_of, trial_rows

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from studies.champion import Promotion
    from tracking.diagnosis import Diagnosis
    from tracking.records import Confirmation, Evaluation
    from tracking.report import StudyPlots

# The number of trials that a notebook shows in a study's table.
_SHOWN = 5


@dataclass(frozen=True, repr=False)
class StudyResults(StudyHistory):
    """The results of a study, with its trials.

    Example:
        ```python
        history = ks.read_study("digits")
        history.best.value, history.best.epoch, history.best.params
        history.best.curve["val_accuracy"].plot()
        history.verdict.text  # how much of the best value to believe
        history.to_dataframe().sort_values("value")
        history.plot.learning_curves()
        classes = history.predict(x).argmax(axis=1)
        ```

    Attributes:
        definition: The study object that was launched in this process, or None. If it is None, the
            models of trials are built by the recorded code instead.
    """

    trials: tuple[Trial, ...]
    definition: StudyDefinition | None = field(default=None, compare=False)

    @classmethod
    def of(cls, history: StudyHistory, definition: StudyDefinition | None = None) -> StudyResults:
        """Returns the results of a recorded study."""
        values = {field.name: getattr(history, field.name) for field in fields(StudyHistory)}
        values["trials"] = tuple(
            (TrialWithResult if isinstance(trial, EndedTrial) else Trial)(**vars(trial))
            for trial in history.trials
        )
        results = cls(**values, definition=definition)
        for trial in results.trials:
            object.__setattr__(trial, "results", results)
        return results

    @property
    def name(self) -> str:
        """The study's name."""
        return self.description.name

    @property
    def best(self) -> TrialWithResult | None:
        """The trial with the best value, or None.

        A trial does not count if plain `model.fit` did not get the trial's recorded results.
        """
        best = super().best
        assert best is None or isinstance(best, TrialWithResult)
        return best

    @property
    def best_value(self) -> float | None:
        """The best trial's value, or None."""
        return None if self.best is None else self.best.value

    @property
    def best_params(self) -> dict[str, Any] | None:
        """The best trial's hyperparameters, or None."""
        return None if self.best is None else dict(self.best.params)

    @cached_property
    def verdict(self) -> StudyVerdict:
        """The verdict on the best value: how far to trust it.

        ``history.verdict.text`` is the verdict in a few sentences.
        """
        return study_verdict(self)

    def trial(self, number: int) -> Trial:
        """Returns a trial by its number.

        Raises:
            StudyNotFoundError: If no trial has the number.
        """
        trial = super().trial(number)
        assert isinstance(trial, Trial)
        return trial

    def to_dataframe(self) -> pd.DataFrame:
        """Returns a table with a row for each trial; `trials_table` describes the columns."""
        return trials_table(self)

    def report(self) -> Path:
        """Writes the study's report, as ``kerastudy report`` does; returns the path of the file."""
        from tracking.report import write_report

        return write_report(self)

    @cached_property
    def plot(self) -> StudyPlots:
        """The study's charts, made by Vega-Altair, such as ``history.plot.history()``."""
        from tracking.report import StudyPlots

        return StudyPlots(self)

    def load_model(self, *, trust: bool = False) -> keras.Model:
        """Loads the registered model, the champion; see `kerastudy.load_model`."""
        return load_champion(self, trust=trust)

    def predict(self, x: Any, *, trust: bool = False, **options: Any) -> Any:
        """Returns the champion's outputs for samples.

        If the champion was trained with class weights, its probabilities of classes are corrected
        for them, with a warning. So the largest probability may be of another class than the model
        chooses. Logits stay as they are, and ``load_model().predict`` corrects nothing.

        Args:
            x: Samples, as they were passed to the study: without preprocessing. A study on a table
                takes a DataFrame, a dict of columns, or a dict with the values of one row.
            trust: Whether to run the code in a store that this user did not make.
            **options: Arguments of `keras.Model.predict`, such as ``batch_size``.

        Raises:
            StudyError: If the study has no registered model, if the model can't be loaded, or if it
                is in another user's store and ``trust`` is False.
            DataError: If the samples don't fit the model. For example, their shape is wrong, or a
                table lacks a column.
        """
        check_trust(self.store.root, trust)
        samples = samples_for(self._champion, x, self.name, registered_folder(self))
        try:
            outputs = self._champion.predict(samples, **{"verbose": 0, **options})
        except Exception as error:
            raise DataError(f"The samples can't be predicted: {describe(error)}.") from error
        class_weight = None if self.champion is None else self.champion.class_weight
        return corrected_outputs(self._champion, outputs, class_weight)

    def confirm(self, **options: Any) -> Confirmation:
        """Trains the best trials again under new seeds; see `kerastudy.confirm`.

        These results stay as they are. Read the study again to see the new champion.

        Args:
            **options: Options of `kerastudy.confirm`: ``top``, ``seeds``, ``budget`` and others.
        """
        from studies.champion import confirm

        return confirm(self.definition or self.name, store=self.store.root, **options)

    def evaluate(self, trial: int | None = None, **options: Any) -> Evaluation:
        """Evaluates the champion, or a trial, on the sealed test part; see `kerastudy.evaluate`.

        Args:
            trial: The trial's number. None: the champion.
            **options: Options of `kerastudy.evaluate`: ``trust``, ``progress``.
        """
        from studies.champion import evaluate

        return evaluate(self.definition or self.name, trial, store=self.store.root, **options)

    def promote(self, trial: int | None = None, **options: Any) -> Promotion:
        """Registers the checkpoint of a trial as the champion; see `kerastudy.promote`.

        These results stay as they are. Read the study again to see the new champion.

        Args:
            trial: The trial's number. None: the best trial.
            **options: Options of `kerastudy.promote`: ``reason``, ``trust``, ``progress``.
        """
        from studies.champion import promote

        return promote(self.definition or self.name, trial, store=self.store.root, **options)

    def export(
        self,
        format_: Literal["script", "keras", "csv", "latex"],
        trial: int | None = None,
        output: str | Path | None = None,
        *,
        force: bool = False,
        trust: bool = False,
    ) -> Path:
        """Writes a trial or a table of trials, as ``kerastudy export`` does.

        Args:
            format_: ``"script"`` or ``"keras"`` for a trial; ``"csv"`` or ``"latex"`` for a table.
            trial: The number of the trial to write. None: the champion.
            output: The file to write, or the folder of a script. None: a name in this folder.
            force: Whether to replace an existing file or folder.
            trust: Whether to run the code in a store that this user did not make.

        Returns:
            The path of the file. For ``"script"``, it is that of the script in its folder.

        Raises:
            StudyNotFoundError: If there is no such trial, or no trial with a value.
            StudyError: If the trial can't be exported so, or if the file may not be replaced.
        """
        from studies.exporting import export_keras, export_script, export_table

        choice("format_", format_, ("script", "keras", "csv", "latex"), StudyError)
        if format_ in ("script", "keras"):
            check_trust(self.store.root, trust)
        elif trial is not None:
            raise StudyError(f"The format {format_!r} has many trials, so it takes no trial.")
        if format_ == "script":
            return export_script(self, trial, output, force=force).script
        if format_ == "keras":
            return export_keras(self, trial, output, force=force).file
        return export_table(self, format_, output, force=force).file

    @cached_property
    def _champion(self) -> keras.Model:
        # `predict` has checked that the user trusts the store.
        return self.load_model(trust=True)

    def _repr_html_(self) -> str:
        summary = summary_of(self, verdict=self.verdict)
        steps = [("next", f"{step.purpose}: {step.text}") for step in summary.commands]
        heading, rows = trial_rows(self, self.leading(_SHOWN))
        cells = [_row("th", heading), *(_row("td", row) for row in rows)]
        facts = _table([("study", self.name), *summary.facts, *steps])
        return facts + (f"<table>{''.join(cells)}</table>" if rows else "")


def read_study(name: str, *, store: str | Path | Store | None = None) -> StudyResults:
    """Reads the results of a study from its record.

    Args:
        name: The study's name.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Raises:
        StudyNotFoundError: If there is no such store or study.
    """
    return StudyResults.of(read_record(existing_store(store), name))


def list_studies(store: str | Path | Store | None = None) -> list[str]:
    """Returns the names of a store's studies, the last launched first.

    Args:
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Example:
        >>> ks.list_studies("no-such-folder")
        []
    """
    try:
        return study_names(existing_store(store))
    except StudyNotFoundError:
        return []


@dataclass(frozen=True, repr=False)
class Trial(TrialRecord):
    """A trial of a study: its hyperparameters, its value, its curve, its model.

    Attributes:
        results: The results of the trial's study.
    """

    results: StudyResults = field(default=None, compare=False)  # type: ignore[assignment]

    @property
    def seed(self) -> int:
        """The seed of the trial's initial weights, shuffling and dropout masks."""
        return self.spec.seed

    @property
    def reason(self) -> str:
        """Why the trial is infeasible or ended early, or empty."""
        return "" if self.result is None else self.result.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """All metrics of the best epoch; empty if the trial has no best epoch."""
        return {} if self.best is None else self.best.metrics

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """The notes that an objective function made by ``trial.set_user_attr``."""
        return {} if self.result is None else self.result.user_attrs

    @property
    def curve(self) -> pd.DataFrame:
        """All metrics as a table: a row for each epoch, from 1 on, and a column for each metric."""
        import pandas as pd

        curve = pd.DataFrame.from_dict(self.results.curve(self), orient="index")
        return curve.rename_axis("epoch").sort_index(axis="columns")

    def load_model(self, *, trust: bool = False) -> keras.Model:
        """Loads the trial's model with the weights of its best epoch.

        The model takes samples as they were passed to the study. A worker process builds the model
        again, unless it is the champion. If the trial's checkpoint is not kept, the worker trains
        the trial again, to the same bits.

        Args:
            trust: Whether to run the code in a store that this user did not make.

        Raises:
            StudyNotFoundError: If the trial has no value.
            StudyError: If the model can't be built again, or can't be loaded.
        """
        results = self.results
        return load_trial_model(results, self.number, definition=results.definition, trust=trust)

    def _repr_html_(self) -> str:
        heading = f"<p>{escape(repr(self).strip('<>'))}</p>"
        reason = f"<p>{escape(self.reason)}</p>" if self.reason else ""
        return heading + reason + _table(self.params.items())


@dataclass(frozen=True, repr=False)
class TrialWithResult(Trial, EndedTrial):
    """A trial that has a result."""


def diagnose(study: str | StudyHistory, *, store: str | Path | Store | None = None) -> Diagnosis:
    """Checks a study's record by the advice of Google's Deep Learning Tuning Playbook.

    Nothing is trained.

    Args:
        study: The study's name, or the study as `read_study` or `Study.launch` returned it.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Returns:
        The findings, each with its evidence, and the launch that should follow.

    Raises:
        StudyNotFoundError: If there is no such store or study.

    Example:
        ```python
        diagnosis = ks.diagnose("digits")
        [(finding.severity, finding.title, finding.verdict) for finding in diagnosis.findings]
        print(diagnosis.command)
        ```
    """
    from tracking.diagnosis import diagnose as diagnose_record

    if isinstance(study, str):
        study = read_record(existing_store(store), study)
    return diagnose_record(study)


def delete_study(study: str, *, store: str | Path | Store | None = None) -> None:
    """Deletes a study for ever: its trials, checkpoints, artifacts and registered model.

    The study is deleted at once: only the command ``kerastudy delete`` asks first. Exported files
    stay, and so does a copy of the study on an MLflow server.

    Args:
        study: The study's name.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.

    Raises:
        StudyNotFoundError: If there is no such store or study.
        StoreError: If a process runs the study, or the study's files can't be removed.
    """
    opened = existing_store(store)
    size = record.study_size(opened, study)
    record.delete_study(opened, size, forgetting)


def definition_html(study: StudyDefinition) -> str:
    """Returns a study's settings and its search space, as HTML."""
    heading = f"<p>{escape(repr(study).strip('<>'))}</p>"
    if study.space is None:
        return heading
    return heading + _table((parameter.name, repr(parameter)) for parameter in study.space)


def _table(rows: Iterable[tuple[str, object]]) -> str:
    markup = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td>{escape(readable(value, 6))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{markup}</table>"


def _row(element: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{element}>{escape(cell)}</{element}>' for cell in cells)}</tr>"

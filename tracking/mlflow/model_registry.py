"""Registers a study's champion in MLflow, as a version of the study's registered model.

If the champion was trained again on training and validation data together (a refit), this model is
another version.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.history.study_history import ALIAS, StudyHistory
from tracking.history.verdicts import study_verdict, worth
from tracking.journal import Champion, Header, JournalReader
from tracking.mlflow import tags
from tracking.mlflow.descriptions import (
    model_description,
    version_description,
    with_verdict,
)
from tracking.mlflow.run_writer import RunWriter
from tracking.mlflow.tags import spell, to_mlflow
from tracking.records import EndedTrial, StudyDescription

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel


class Registry:
    """A study's registered model, which has the study's uuid in a tag."""

    def __init__(self, client: MlflowClient, header: Header) -> None:
        self._client, self._study = client, header

    def delete(self) -> None:
        """Deletes the registered model."""
        for model in self._models():
            self._client.delete_registered_model(model.name)

    def update(
        self, journal: JournalReader, histories: Sequence[StudyHistory], runs: RunWriter
    ) -> str:
        """Registers the journal's champion and refit, and returns the registered model's name.

        The name is empty if there is no model. If the study has no champion any more, the alias
        `champion` is removed. If the process is killed, the next call does the rest.
        """
        saved = {champion.alias: champion for champion in journal.champions()}
        for champion in saved.values():
            for history in histories:
                trial = next((t for t in history.ended if t.uuid == champion.trial), None)
                if trial is not None and trial.uuid in runs.ids:
                    self._register(history, trial, champion, journal, runs)
        models = self._models()
        if ALIAS not in saved:
            for model in models:
                if ALIAS in model.aliases:
                    self._client.delete_registered_model_alias(model.name, ALIAS)
        return models[0].name if models else ""

    def _register(
        self,
        history: StudyHistory,
        trial: EndedTrial,
        champion: Champion,
        journal: JournalReader,
        runs: RunWriter,
    ) -> None:
        client, description = self._client, history.description
        search = next(search for search in journal.searches() if search.id == champion.search)
        parent = runs.ids[search.uuid]
        facts = _facts(history, trial, champion, runs)
        mark = _mark(champion)
        versions = self._versions()
        version = next((v for v in versions if v.tags.get(tags.UUID) == mark), None)
        if not runs.notes.has_file(f"model {mark}", ""):
            if version is not None and not self._find_logged(champion, runs):
                # The version's files were deleted for good, together with the experiment.
                client.delete_model_version(version.name, version.version)
                version = None
        elif version is None:
            # The notes say that the version was created, so a person has deleted it.
            return
        name = self._model(runs).name
        if version is None:
            logged = self._logged(champion, trial, facts, parent, runs)
            # A process may have been killed after it created this version, and before it wrote the
            # tag.
            version = next((v for v in versions if v.source == logged.artifact_location), None)
            version = version or client.create_model_version(
                name,
                # With "models:/ID", MLflow would look the model up at its global tracking URI,
                # and make a database there.
                logged.artifact_location,
                run_id=parent,
                tags=facts,
                description=_description(description, trial, champion, runs, logged),
                model_id=logged.model_id,
            )
            # The page of the logged model shows the version. MLflow's server writes this tag
            # itself, but a database without a server has no one who does.
            shown = json.dumps(
                [{"name": name, "version": str(version.version)}], ensure_ascii=False
            )
            client.set_logged_model_tags(logged.model_id, {tags.REGISTERED: shown})
            runs.unless_deleted(search.uuid, partial(self._log_output, trial, logged, parent))
            client.set_model_version_tag(name, version.version, tags.UUID, mark)
        runs.notes.note_file(f"model {mark}", "")
        for tag, fact in facts.items():
            if version.tags.get(tag) != fact:
                client.set_model_version_tag(name, version.version, tag, fact)
        if tags.PROMOTED in version.tags and tags.PROMOTED not in facts:
            client.delete_model_version_tag(name, version.version, tags.PROMOTED)
        if champion.alias not in version.aliases:
            client.set_registered_model_alias(name, champion.alias, version.version)
        if champion.alias == ALIAS:
            self._write_verdict(history, trial, version)

    def _write_verdict(
        self, history: StudyHistory, trial: EndedTrial, version: ModelVersion
    ) -> None:
        """Writes the verdict on the champion's value into the description of its version.

        If a person promoted the champion, the verdict is about another trial. Then the text is
        about the value of the champion.
        """
        verdict = study_verdict(history)
        other = worth(history, verdict, trial)
        text = " ".join((*verdict.flaws, other)) if other else verdict.text
        description, former = version.description or "", version.tags.get(tags.VERDICT, "")
        changed = with_verdict(description, former, text)
        if changed != description:
            self._client.update_model_version(version.name, version.version, changed)
        if text and text != former:
            self._client.set_model_version_tag(
                version.name, version.version, tags.VERDICT, text[: tags.LONGEST]
            )

    def _models(self) -> list[RegisteredModel]:
        return list(
            self._client.search_registered_models(f"tags.`{tags.UUID}` = '{self._study.uuid}'")
        )

    def _versions(self) -> list[ModelVersion]:
        return [
            version
            for model in self._models()
            for version in self._client.search_model_versions(_filter(model.name))
        ]

    def _model(self, runs: RunWriter) -> RegisteredModel:
        """Returns the study's registered model, and makes it if there is none."""
        from mlflow.exceptions import MlflowException

        if models := self._models():
            return models[0]
        name, number = self._study.name, 1
        while True:
            try:
                return self._client.create_registered_model(
                    name,
                    tags={tags.KIND: "study", tags.UUID: self._study.uuid},
                    description=model_description(name, runs.experiment, self._client.tracking_uri),
                )
            except MlflowException as error:
                # Another registered model has the name.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                number += 1
                name = f"{self._study.name} ({number})"

    def _find_logged(self, champion: Champion, runs: RunWriter) -> Sequence[LoggedModel]:
        condition = f"tags.`{tags.UUID}` = '{_mark(champion)}'"
        return list(self._client.search_logged_models([runs.experiment], condition))

    def _logged(
        self,
        champion: Champion,
        trial: EndedTrial,
        facts: Mapping[str, str],
        parent: str,
        runs: RunWriter,
    ) -> LoggedModel:
        """Returns a champion's logged model. Creates the model and uploads its files if needed."""
        from mlflow.entities import LoggedModelStatus
        from mlflow.models import Model

        client = self._client
        models = self._find_logged(champion, runs)
        logged = next(iter(models), None) or client.create_logged_model(
            runs.experiment,
            name=champion.alias,
            source_run_id=parent,
            tags={**facts, tags.UUID: _mark(champion)},
            params={to_mlflow(k): spell(v) for k, v in trial.spec.values.items()},
            model_type="keras",
        )
        if logged.status != LoggedModelStatus.READY:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary, champion.alias)
                shutil.copytree(champion.folder, folder)
                saved = Model.load(str(folder))
                saved.model_id, saved.run_id = logged.model_id, parent
                saved.artifact_path = logged.artifact_location
                saved.save(str(folder / "MLmodel"))
                client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
        return logged

    def _log_output(self, trial: EndedTrial, logged: LoggedModel, parent: str) -> None:
        """Adds a logged model to the outputs of the study's parent run."""
        from mlflow.entities import LoggedModelOutput

        _, best = trial.best_training
        outputs = self._client.get_run(parent).outputs
        if logged.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
            self._client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=best.epoch)])


def _mark(champion: Champion) -> str:
    """Returns a text that identifies a saved model, from its trial and its folder."""
    return f"{champion.trial} {champion.folder.name}"


def _facts(
    history: StudyHistory, trial: EndedTrial, champion: Champion, runs: RunWriter
) -> dict[str, str]:
    """Returns the tags of a model version."""
    facts = {
        tags.NUMBER: str(trial.number),
        tags.ENGINE: champion.engine,
        **({tags.VERIFIED: trial.verified} if trial.verified else {}),
    }
    if champion.alias != ALIAS:
        refit = {tags.REFIT_OF: runs.ids[trial.uuid], "epochs": f"{champion.facts['epochs']}"}
        return {**facts, **refit}
    _, best = trial.best_training
    metric = history.description.objective.metric
    facts |= {
        tags.CHAMPION_RUN: runs.ids[trial.uuid],
        "epoch": str(best.epoch),
        to_mlflow(metric): repr(best.value),
    }
    return {**facts, **({tags.PROMOTED: champion.reason} if champion.reason else {})}


def _description(
    description: StudyDescription,
    trial: EndedTrial,
    champion: Champion,
    runs: RunWriter,
    logged: LoggedModel,
) -> str:
    if champion.alias == ALIAS:
        run = runs.ids[trial.uuid]
        return version_description(description, trial, runs.experiment, run, logged.model_id)
    return (
        f"Trial {trial.number} trained again on training and validation data together, "
        f"{champion.facts['samples']} samples, {champion.facts['epochs']} epochs. No validation "
        "value, as no data is left for it."
    )


def _filter(model: str) -> str:
    """Returns the filter for the versions of a registered model."""
    quote = '"' if "'" in model else "'"
    return f"name = {quote}{model}{quote}"

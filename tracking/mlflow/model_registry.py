"""Registers a study's champion in MLflow, as a version of the study's registered model."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.history import ALIAS, StudyHistory
from tracking.journal import Champion, JournalReader
from tracking.mlflow import tags_and_names as tags
from tracking.mlflow.run_writer import RunWriter
from tracking.mlflow.servers_and_databases import under_free_name
from tracking.mlflow.tags_and_names import spell, to_mlflow
from tracking.mlflow.views_and_descriptions import model_description, version_description
from tracking.records import EndedTrial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

# Matches MLflow's address in the code that a registered model's description shows.
_TRACKING_URI = re.compile(r"(?<=mlflow\.set_tracking_uri\().*(?=\))")


def registered_models(client: MlflowClient, study: str) -> list[RegisteredModel]:
    """Returns the registered models that have the study's uuid in a tag: at most one."""
    return list(client.search_registered_models(f"tags.`{tags.UUID}` = '{study}'"))


class ModelRegistry:
    """Registers a study's champion."""

    def __init__(self, journal: JournalReader, runs: RunWriter) -> None:
        self._journal, self._runs, self._client = journal, runs, runs.client
        self._study = journal.header()

    def update(self, history: StudyHistory, run: str) -> str:
        """Registers the journal's champion, and returns the registered model's name.

        `run` is the uuid of the study's parent run. The name is empty if there is no model. If the
        study has no champion any more, the alias `champion` is removed. If the process is killed,
        the next call does the rest.
        """
        champion = self._journal.champion()
        if champion is not None:
            trial = next((t for t in history.ended if t.uuid == champion.trial), None)
            if trial is not None and trial.uuid in self._runs.ids:
                self._register(history, trial, champion, run)
        for model in registered_models(self._client, self._study.uuid):
            if champion is None and ALIAS in model.aliases:
                self._client.delete_registered_model_alias(model.name, ALIAS)
            return str(model.name)
        return ""

    def _register(
        self, history: StudyHistory, trial: EndedTrial, champion: Champion, study_run: str
    ) -> None:
        client, runs = self._client, self._runs
        parent = runs.ids[study_run]
        facts = self._facts(history, trial, champion)
        mark = _mark(champion)
        version = next(iter(self._versions(f"tags.`{tags.UUID}` = '{mark}'")), None)
        if not runs.notes.has_file(f"model {mark}", ""):
            if version is not None and not self._find_logged(mark):
                # The version's files were deleted for good, together with the experiment, so the
                # version is of no use.
                client.delete_model_version(version.name, version.version)
                version = None
        elif version is None:
            # The notes say that the version was created, so a person has deleted it. It is not
            # created again.
            return
        name = self._model().name
        if version is None:
            logged = self._logged(champion, trial, facts, parent)
            # A process that was killed may have created this version without writing its tag.
            versions = self._versions(f"run_id = '{parent}'")
            version = next((v for v in versions if v.source == logged.artifact_location), None)
            version = version or client.create_model_version(
                name,
                # With "models:/ID", MLflow would look for the model at the global tracking URI,
                # and create a database there.
                logged.artifact_location,
                run_id=parent,
                tags=facts,
                description=version_description(
                    history.description,
                    trial,
                    runs.experiment,
                    parent,
                    runs.ids[trial.uuid],
                    logged.model_id,
                ),
                model_id=logged.model_id,
            )
            # By this tag, the page of the logged model shows the version. A server of MLflow writes
            # the tag itself. The store's database has no server, so the tag is written here.
            link = json.dumps([{"name": name, "version": str(version.version)}], ensure_ascii=False)
            client.set_logged_model_tags(logged.model_id, {tags.REGISTERED: link})
            runs.unless_deleted(study_run, partial(self._log_output, trial, logged, parent))
            client.set_model_version_tag(name, version.version, tags.UUID, mark)
        runs.notes.note_file(f"model {mark}", "")
        for tag, fact in facts.items():
            if version.tags.get(tag) != fact:
                client.set_model_version_tag(name, version.version, tag, fact)
        if tags.PROMOTED in version.tags and tags.PROMOTED not in facts:
            client.delete_model_version_tag(name, version.version, tags.PROMOTED)
        if ALIAS not in version.aliases:
            client.set_registered_model_alias(name, ALIAS, version.version)

    def _versions(self, condition: str) -> list[ModelVersion]:
        """Returns the versions of the study's registered model that fulfil a condition.

        Versions of other models are left out: if a person copies a version into another model, the
        copy has the same tags and the same run.
        """
        names = {model.name for model in registered_models(self._client, self._study.uuid)}
        return [v for v in self._client.search_model_versions(condition) if v.name in names]

    def _model(self) -> RegisteredModel:
        """Returns the study's registered model, and creates the model if there is none."""
        if models := registered_models(self._client, self._study.uuid):
            return models[0]
        tagged = {tags.KIND: "study", tags.UUID: self._study.uuid}
        place = (self._runs.experiment, self._client.tracking_uri)
        return under_free_name(
            self._study.name,
            lambda name: self._client.create_registered_model(
                name, tagged, model_description(name, *place)
            ),
        )

    def _find_logged(self, mark: str) -> Sequence[LoggedModel]:
        condition = f"tags.`{tags.UUID}` = '{mark}'"
        return list(self._client.search_logged_models([self._runs.experiment], condition))

    def _logged(
        self, champion: Champion, trial: EndedTrial, facts: Mapping[str, str], parent: str
    ) -> LoggedModel:
        """Returns a champion's logged model. Creates the model and uploads its files if needed."""
        from mlflow.entities import LoggedModelStatus
        from mlflow.models import Model

        client, experiment, mark = self._client, self._runs.experiment, _mark(champion)
        logged = next(iter(self._find_logged(mark)), None) or client.create_logged_model(
            experiment,
            name=ALIAS,
            source_run_id=parent,
            tags={**facts, tags.UUID: mark},
            params={to_mlflow(k): spell(v) for k, v in trial.spec.values.items()},
            model_type="keras",
        )
        if logged.status != LoggedModelStatus.READY:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary, ALIAS)
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

    def _facts(
        self, history: StudyHistory, trial: EndedTrial, champion: Champion
    ) -> dict[str, str]:
        """Returns the tags of a model version."""
        _, best = trial.best_training
        facts = {
            tags.NUMBER: str(trial.number),
            tags.ENGINE: history.description.engine,
            tags.CHAMPION_RUN: self._runs.ids[trial.uuid],
            "epoch": str(best.epoch),
            to_mlflow(history.description.objective.metric): repr(best.value),
        }
        if trial.verified:
            facts[tags.VERIFIED] = trial.verified
        if champion.reason:
            facts[tags.PROMOTED] = champion.reason
        return facts


def write_address(client: MlflowClient, address: str) -> None:
    """Writes MLflow's address into the code that the descriptions of registered models show."""
    for model in client.search_registered_models(f"tags.`{tags.KIND}` = 'study'", 1000):
        text = _TRACKING_URI.sub(lambda _: repr(address), model.description or "")
        if text != (model.description or ""):
            client.update_registered_model(model.name, text)


def _mark(champion: Champion) -> str:
    """Returns a text that identifies a saved model, from its trial and its folder."""
    return f"{champion.trial} {champion.folder.name}"

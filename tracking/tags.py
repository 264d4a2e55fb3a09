"""The tags that kerastudy puts on MLflow's runs, and long texts in them."""

from __future__ import annotations

from collections.abc import Mapping

KIND = "kerastudy.kind"  # "study" for a parent run, "trial" for a child, "repeat" or "fold" below
CONFIRMATION_KIND = "confirmation"  # of a child that is no trial: the study's choice is checked
TRAINING_KIND = "confirmation training"  # of a run below that
REPEAT = "kerastudy.repeat"
ENGINE = "kerastudy.engine"
NUMBER = "kerastudy.trial"
STATE = "kerastudy.state"
REASON = "kerastudy.reason"
DEFAULTS = "kerastudy.defaults"  # "yes": the trial that has the defaults of the space
STOPPED = "kerastudy.stopped"  # why the last launch of a study ended, for people to read
COMMIT = "mlflow.source.git.commit"
TRAINER = "kerastudy.trainer"
VERIFIED = "kerastudy.verified"
CHAMPION_RUN = "kerastudy.champion_run"
PROMOTED = "kerastudy.promoted"  # of a champion that was not chosen as the best: why
REFIT_OF = "kerastudy.refit_of"  # of a model that was trained on more data: the trial's run
SERVER = "kerastudy.server"  # of an experiment: the MLflow server that gets a copy, or NO_SERVER
NO_SERVER = "off"
NAME = "kerastudy.name"  # of an experiment: the study's first name
EXPERIMENT = "kerastudy.experiment"  # of a registered model and its versions: the study's id
DELETING = "kerastudy.deleting"  # of an experiment: its deletion has begun
IDENTITY = "kerastudy.identity"  # of an experiment: the same in the store and on the server
COPY_OF = "kerastudy.copy_of"  # of a run on a server: the run of the store
COPIED = "kerastudy.copied"  # of a run on a server: that run's state which is fully copied
VERDICT = "kerastudy.verdict"  # of a champion: how much of its value to believe
REGISTERED = "mlflow.modelVersions"  # of a logged model: the versions that it is registered as
VIEW = "mlflow.sharedViewState."  # of an experiment: a view in MLflow's UI, by its id
PARENT = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
USER = "mlflow.user"
SOURCE = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
BEST_EPOCH = "kerastudy.best_epoch"

# The record proper, which only kerastudy reads: MLflow's UI hides tags that begin with "mlflow.".
LAUNCHED = "mlflow.kerastudy.launched"  # when it was last launched, Unix milliseconds
KNOWN = "mlflow.kerastudy.known"
LOSSES = "mlflow.kerastudy.losses"
ENDED_BY = "mlflow.kerastudy.ended_by"  # the same as STOPPED, in one word
SPEC = "mlflow.kerastudy.spec"
RESULT = "mlflow.kerastudy.result"
ENVIRONMENT = "mlflow.kerastudy.environment"
SPACE_DIGEST = "mlflow.kerastudy.space_digest"
CODE_DIGEST = "mlflow.kerastudy.code_digest"
DIRTY = "mlflow.kerastudy.git_dirty"  # whether files were changed since that commit, or are in none
ENGINE_STATE = "mlflow.kerastudy.engine_state."
UNREAD = "mlflow.kerastudy.unread"  # hyperparameters that the builder never reads
WHOLE = "mlflow.kerastudy.whole"
DEFINITION = "mlflow.kerastudy.definition"  # a copy, in case the file is lost
EVALUATION = "mlflow.kerastudy.evaluation."  # a reading of the test part, by its time
CONFIRMATION = "mlflow.kerastudy.confirmation"  # the outcome of one
PLAN = "mlflow.kerastudy.confirmation_plan"
TRAINING = "mlflow.kerastudy.training"  # of a confirmation's training: what it trains
TRAINED = "mlflow.kerastudy.trained"  # its result
CORRECTED = "mlflow.kerastudy.corrected"  # the corrected best value, and what it depends on
KEPT = "mlflow.kerastudy.kept"  # the fewest checkpoints that a launch kept, or "all"

# MLflow cuts a tag's value at 8,000 characters, with no more than a warning.
LONGEST = 8000


def below(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Returns the tags whose names begin with a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tags.items() if k.startswith(prefix)}


def split_text(key: str, text: str) -> dict[str, str]:
    """Spreads a text over as many tags as it needs: ``key``, ``key.1``, ``key.2`` and so on."""
    parts = [text[i : i + LONGEST] for i in range(0, len(text), LONGEST)] or [""]
    return {key if i == 0 else f"{key}.{i}": part for i, part in enumerate(parts)}


def join_text(tags: Mapping[str, str], key: str) -> str | None:
    """Returns the text that `split_text` spread, or None if there is none."""
    if key not in tags:
        return None
    parts = [tags[key]]
    while f"{key}.{len(parts)}" in tags:
        parts.append(tags[f"{key}.{len(parts)}"])
    return "".join(parts)


def read_count(text: str | None, default: int | None) -> int | None:
    """Reads a count that may be "all", which is None; the default where there is no text."""
    if text is None:
        return default
    return None if text == "all" else int(text)


def fewest(count: int | None, text: str | None) -> str:
    """Returns the smaller of two counts, of which None and "all" are the largest, as text."""
    counts = [each for each in (count, read_count(text, None)) if each is not None]
    return str(min(counts, default="all"))

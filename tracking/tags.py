"""The tags that kerastudy puts on MLflow's runs, and long texts in them."""

from __future__ import annotations

from collections.abc import Mapping

KIND = "kerastudy.kind"  # "study" for a parent run, "trial" for a child, "repeat" below it
REPEAT = "kerastudy.repeat"
ENGINE = "kerastudy.engine"
LAUNCHED = "kerastudy.launched"  # when it was last launched, Unix milliseconds
NUMBER = "kerastudy.trial"
ATTEMPT = "kerastudy.attempt"
KNOWN = "kerastudy.known"  # see `Proposal.known`
LOSSES = "kerastudy.losses"  # see `TrialRecord.losses`
STATE = "kerastudy.state"
REASON = "kerastudy.reason"
ENDED_BY = "kerastudy.ended_by"  # why the last launch of a study ended, in one word
STOPPED = "kerastudy.stopped"  # the same, for people to read
SPEC = "kerastudy.spec"
RESULT = "kerastudy.result"
ENVIRONMENT = "kerastudy.environment"
SPACE_DIGEST = "kerastudy.space_digest"
DATA_DIGEST = "kerastudy.data_digest"
CODE_DIGEST = "kerastudy.code_digest"
COMMIT = "mlflow.source.git.commit"
DIRTY = "kerastudy.git_dirty"  # whether files were changed since that commit, or are in none
TRAINER = "kerastudy.trainer"
TRAINER_REASON = "kerastudy.trainer_reason"
VERIFIED = "kerastudy.verified"  # see `tracking.records.verified`
WEIGHTS_DIGEST = "kerastudy.weights_sha256"
SEED = "kerastudy.seed"
ENGINE_STATE = "kerastudy.engine_state."
CHAMPION_RUN = "kerastudy.champion_run"
UNREAD = "kerastudy.unread"  # hyperparameters that the builder never reads
DEFINITION = "kerastudy.definition"  # a copy, in case the file is lost
KEPT = "kerastudy.kept"  # the fewest checkpoints that a launch kept, or "all"
SERVER = "kerastudy.server"  # of an experiment: the MLflow server that gets a copy, or NO_SERVER
NO_SERVER = "off"
NAME = "kerastudy.name"  # of an experiment: the study's first name
EXPERIMENT = "kerastudy.experiment"  # of a registered model and its versions: the study's id
IDENTITY = "kerastudy.identity"  # of an experiment: the same in the store and on the server
COPY_OF = "kerastudy.copy_of"  # of a run on a server: the run of the store
COPIED = "kerastudy.copied"  # of a run on a server: that run's state which is fully copied
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"

# MLflow cuts a tag's value at 8,000 characters, with no more than a warning.
LONGEST = 8000


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

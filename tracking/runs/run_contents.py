"""The content of a run: params, metrics, data set, artifacts, under names that MLflow takes.

MLflow allows letters, digits and ``_ - . space : /``, and no name that would change as a path.
Keras and a search space allow more: what MLflow refuses is spelled ``:x40:`` for ``@``.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import NotRecordableError
from tracking import tags
from tracking.records import (
    Objective,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.records.studies import DataFindings
from tracking.store.files import write_atomically
from tracking.store.folder import Store, local_path

if TYPE_CHECKING:
    from mlflow.entities import Param, Run

# A batch of MLflow's holds 100.
_MOST_TAGS = 50


def local_artifacts(store: Store, run: Run) -> Path:
    """Returns the folder of a run's artifacts; raises StoreError if it is not in the store."""
    return store.inside(local_path(run.info.artifact_uri))


def definition_path(store: Store, parent: Run) -> Path:
    """Returns the path of a study's definition."""
    return local_artifacts(store, parent) / "study" / "definition.json"


def code_path(store: Store, parent: Run, digest: str) -> Path:
    """Returns the path of a study file's text, by its digest."""
    # A tag may hold anything.
    name = digest[:16] if digest.isalnum() else hashlib.sha256(digest.encode()).hexdigest()[:16]
    return local_artifacts(store, parent) / "study" / "code" / f"{name}.py"


def manifest_path(store: Store, parent: Run, digest: str) -> Path:
    """Returns the path of `CodeDescription.manifest`, by its digest."""
    return code_path(store, parent, digest).with_suffix(".json")


def digests_of_code(store: Store, parent: Run, digest: str) -> tuple[str, dict[str, str]]:
    """Returns the digests of a study file, and of its modules by path, by the code's digest.

    Without a sound manifest, the file's is the code's digest.
    """
    try:
        content = manifest_path(store, parent, digest).read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            fields = json.loads(content)
            return str(fields["source"]), dict(fields["modules"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return digest, {}


def definition_tags(text: str, before: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags that hold a study's definition, in place of those before."""
    written = tags.split_text(tags.DEFINITION, text)
    if len(written) > _MOST_TAGS:
        written = {}
    # Of a longer, older one.
    rest = [name for name in before if name.startswith(tags.DEFINITION)]
    changed = {**dict.fromkeys(rest, ""), **written}
    return {name: part for name, part in changed.items() if before.get(name) != part}


def spell(value: object) -> str:
    """Returns the one spelling of a hyperparameter's value: strings plainly, the rest as JSON."""
    return portable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def dataset_inputs(description: StudyDescription) -> list[Any]:
    """Returns the data set for MLflow to show among a run's inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = description.data
    if not data.digest:
        # An objective function loads its own.
        return []
    source = json.dumps({"source": data.source}, ensure_ascii=False)
    profile = json.dumps({"sizes": dict(data.sizes), **data.details}, ensure_ascii=False)
    return [
        DatasetInput(
            # MLflow's digests have at most 36 characters; the whole one is in the tags.
            Dataset(data.name, data.digests[part][:36], "local", source, None, profile),
            [InputTag("mlflow.data.context", context)],
        )
        for part, context in (("train", "training"), ("validation", "validation"))
    ]


def params_of(values: Mapping[str, Any]) -> list[Param]:
    """Returns values as MLflow's params."""
    from mlflow.entities import Param

    return [Param(param_name(name), spell(value)) for name, value in values.items()]


def hyperparameters(description: StudyDescription, spec: TrialSpec) -> dict[str, Any]:
    """Returns the params of a trial's run: all that its builder reads."""
    extra = {"epochs": spec.epochs, "batch_size": spec.batch_size}
    if description.objective_function:
        # It decides on both itself.
        extra = {}
    return {**extra, **description.space.resolve(spec.values)}


def settings(description: StudyDescription) -> dict[str, Any]:
    """Returns the params of a study's parent run."""
    weights = description.class_weight
    return {
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": f"{description.objective.direction} {description.objective.metric}",
        **(
            {"objective_function": description.objective_function}
            if description.objective_function
            else {"epochs": description.epochs, "batch_size": description.batch_size}
        ),
        "seed": description.seed,
        "threads": description.threads,
        **({} if weights is None else {"class_weight": spell(weights)[: tags.LONGEST]}),
    }


def origin_tags(description: StudyDescription) -> dict[str, str]:
    """Returns the tags that MLflow shows as a run's source and author."""
    found = {}
    if description.code.path:
        found = {tags.SOURCE: description.code.path, tags.SOURCE_TYPE: "LOCAL"}
    # A user may have no name, as in many containers.
    with contextlib.suppress(OSError, KeyError):
        found[tags.USER] = getpass.getuser()
    return found


def result_metrics(result: TrialResult, objective: Objective) -> dict[str, float]:
    """Returns the metrics of a trial as a whole, by MLflow's names.

    Those of its cost are "system metrics", which the UI shows on another page: a bar for each
    would stand among the curves.
    """
    found: dict[str, float] = {"system/seconds": result.seconds}
    if result.peak_memory_bytes:
        found["system/peak_memory_bytes"] = result.peak_memory_bytes
    if result.model_parameters:
        found["system/model_parameters"] = result.model_parameters
    if result.best is not None:
        # "Latest" in the UI is the last epoch: the best needs a name of its own.
        name = to_mlflow(f"best_{objective.metric}")
        found[name] = result.best.value
        if result.spread is not None:
            found[f"{name}_std"] = result.spread
    return found


def result_tags(result: TrialResult) -> dict[str, str]:
    """Returns the tags of a trial that has ended; those without text are left out."""
    found = {
        tags.STATE: result.state,
        tags.BEST_EPOCH: ""
        if result.best is None or result.of_no_epoch
        else str(result.best.epoch),
        tags.REASON: result.reason[: tags.LONGEST],
        tags.TRAINER: result.trainer,
        **tags.split_text(tags.RESULT, result.to_json()),
        **_noted(result),
    }
    return {name: text for name, text in found.items() if text}


def _noted(result: TrialResult) -> dict[str, str]:
    """Returns what an objective function noted, for people to see."""
    noted = list(result.user_attrs.items())[:_MOST_TAGS]
    return {param_name(f"user_attrs.{key}"): spell(value)[: tags.LONGEST] for key, value in noted}


def _read_whole(found: Mapping[str, str]) -> Repeat | None:
    text = tags.join_text(found, tags.WHOLE)
    return None if not text else Repeat.from_dict(json.loads(text))


def read_trial(run: Run) -> TrialRecord | None:
    """Reads a trial from its run; None if the run is of another kind.

    Raises ValueError, KeyError, TypeError or AttributeError if its content can't be read.
    """
    found: Mapping[str, str] = run.data.tags
    spec = tags.join_text(found, tags.SPEC)
    if spec is None:
        return None
    text, known = tags.join_text(found, tags.RESULT), found.get(tags.KNOWN)
    environment: dict[str, Any] = json.loads(tags.join_text(found, tags.ENVIRONMENT) or "{}")
    trial = TrialRecord(
        run_id=run.info.run_id,
        spec=TrialSpec.from_json(spec),
        state="running" if run.info.status == "RUNNING" else "interrupted",
        result=None,
        engine_state=tags.below(found, tags.ENGINE_STATE),
        environment=environment,
        code_digest=found.get(tags.CODE_DIGEST) or "",
        started=run.info.start_time,
        known=None if known is None else int(known),
        losses=int(found.get(tags.LOSSES) or 0),
        verified=found.get(tags.VERIFIED, ""),
        ended=run.info.end_time or 0,
        whole=_read_whole(found),
    )
    return trial if text is None else trial.with_result(TrialResult.from_json(text))


LONGEST: Final = 250
"""Characters that MLflow takes in the name of a param, a metric or a tag, and of a run."""
# Prefixes and suffixes of metrics: see `result_metrics` and `StudyRuns.log_best_so_far`.
_AROUND: Final = ("study/best_", "best__std")
LONGEST_METRIC: Final = LONGEST - max(map(len, _AROUND))

_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x[0-9a-f]+:)")
_SPELLED = re.compile(r":x([0-9a-f]+):")


def to_mlflow(name: str) -> str:
    """Returns a name in MLflow's spelling; most stay the same."""
    spelled = _REFUSED.sub(_spell, name)
    if spelled.startswith("/") or posixpath.normpath(spelled) != spelled or spelled in (".", ".."):
        spelled = re.sub(r"[/.]", _spell, spelled)
    return spelled


def from_mlflow(name: str) -> str:
    """Returns the name that `to_mlflow` spelled."""
    return _SPELLED.sub(lambda match: chr(int(match[1], 16)), name)


def check_names(hyperparameters: Iterable[str], metrics: Iterable[str]) -> None:
    """Raises NotRecordableError if the name of a hyperparameter or metric is too long."""
    for kind, names, longest in (
        ("hyperparameter", hyperparameters, LONGEST),
        ("metric", metrics, LONGEST_METRIC),
    ):
        for name in names:
            length = len(to_mlflow(name))
            if length > longest:
                spelled = "" if to_mlflow(name) == name else " as MLflow spells it"
                raise NotRecordableError(
                    f"The {kind} {name[:60]!r}… has a name of {length} characters{spelled}, and "
                    f"at most {longest} can be recorded. Give it a shorter name."
                )


def param_name(hyperparameter: str) -> str:
    """Returns the name of a hyperparameter among a run's params, cut if it is too long.

    A long name that joins while its study runs is cut instead of refused; the run's tags have the
    true name.
    """
    return _cut(to_mlflow(hyperparameter), LONGEST)


def metric_name(metric: str) -> str:
    """Returns the name of a metric in a study, cut if it could not be recorded.

    A metric that only some trials have is no longer refused.
    """
    spelled = to_mlflow(metric)
    cut = _cut(spelled, LONGEST_METRIC)
    return metric if cut == spelled else from_mlflow(cut)


def portable(text: str) -> str:
    """Returns a text that any database of MLflow's takes: PostgreSQL has no NUL in texts."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _cut(spelled: str, longest: int) -> str:
    if len(spelled) <= longest:
        return spelled
    digest = hashlib.sha256(spelled.encode()).hexdigest()[:8]
    return f"{spelled[: longest - len(digest) - 1]}-{digest}"


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"


def read_data_findings(store: Store, parent: Run) -> DataFindings | None:
    """Returns what was found in a study's data; None if nothing is recorded, or it is damaged."""
    try:
        return DataFindings.from_json(_file(store, parent).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_data_findings(store: Store, parent: Run, found: DataFindings) -> None:
    """Records what was found in a study's data; a glance does not replace a thorough look."""
    before = read_data_findings(store, parent)
    if before is not None and before.digest == found.digest and not found.thorough:
        return
    file = _file(store, parent)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, found.to_json())


def _file(store: Store, parent: Run) -> Path:
    return local_artifacts(store, parent) / "study" / "data.json"

"""The study's definition, the text of its file, and its registered model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tracking import tags
from tracking.doctor.findings import Ailment, StudyRecord
from tracking.records import StudyDescription
from tracking.registry.models import model_version_fault
from tracking.runs.champion_versions import ALIAS, champion_version
from tracking.runs.parents import restore_run
from tracking.runs.run_contents import code_path, definition_path, digests_of_code, manifest_path
from tracking.store.files import write_atomically
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


def check_definitions(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that each engine's definition exists, and equals the copy in the run's tags."""
    for engine, parent in record.parents.items():
        path = definition_path(record.store, parent)
        known = tags.join_text(parent.data.tags, tags.DEFINITION) or ""
        fault = _fault(path, known)
        if not fault:
            continue
        how = (
            "--fix writes it again, from the run's tags"
            if known
            else "put the file back from a backup, or launch the study under another name. Lost "
            "are the space, the data's description and the settings; each trial's run still has "
            "its values, seed, epochs, objective and metrics"
        )
        yield Ailment(
            "definition",
            f"the study's definition is {fault}",
            how,
            study=record.name,
            engine=engine,
            run=parent.info.run_id,
            path=str(path),
            mend=partial(_write, path, known) if known else None,
        )


def check_code(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that each trial's text of the study file exists, and has the recorded digest."""
    for engine, parent in record.parents.items():
        runs = [parent, *record.trials(parent)]
        digests = {run.data.tags.get(tags.CODE_DIGEST) or "" for run in runs}
        file = _source(record.store, parent)
        for digest, path, source in _texts(record.store, parent, digests - {""}, file):
            fault = _fault_of_text(path, digest)
            if not fault:
                continue
            there = _fault_of_text(source, digest) == "" if source is not None else False
            how = (
                f"--fix writes it again, from {str(source)!r}, which has not changed"
                if there
                else "put the file back from a backup. Without it `kerastudy reproduce` runs the "
                "study file as it is now"
            )
            yield Ailment(
                "code",
                f"the text of {_named(source, file)} that trials ran from is {fault}",
                how,
                study=record.name,
                engine=engine,
                run=parent.info.run_id,
                path=str(path),
                mend=partial(_copy, source, path) if there and source is not None else None,
            )


def _texts(
    store: Store, parent: Run, digests: Iterable[str], file: Path | None
) -> Iterator[tuple[str, Path, Path | None]]:
    """Yields the texts that trials ran from: digest, path, and the file that it was read from.

    For code with modules: its manifest, which was read from no file, the study file and each
    module.
    """
    found: dict[str, tuple[Path, Path | None]] = {}
    for digest in sorted(digests):
        own, modules = digests_of_code(store, parent, digest)
        if own != digest:
            found[digest] = manifest_path(store, parent, digest), None
        found[own] = code_path(store, parent, own), file
        for place, each in modules.items():
            recorded = None if file is None else Path(os.path.normpath(file.parent / place))
            found[each] = code_path(store, parent, each), recorded
    for digest, (path, source) in found.items():
        yield digest, path, source


def _fault(path: Path, known: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        StudyDescription.from_json(text)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"damaged ({error!r})"
    return "not what was written" if known and text != known else ""


def _named(source: Path | None, file: Path | None) -> str:
    return "the study file" if source in (None, file) else f"the imported {source.name!r}"


def _fault_of_text(path: Path, digest: str) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return "missing"
    return "" if hashlib.sha256(content).hexdigest() == digest else "damaged"


def _source(store: Store, parent: Run) -> Path | None:
    """Returns the text of the study file that the definition names, if it can be read."""
    for text in (
        _text(definition_path(store, parent)),
        tags.join_text(parent.data.tags, tags.DEFINITION),
    ):
        try:
            path = StudyDescription.from_json(text or "").code.path
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        return Path(path) if path else None
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def _copy(source: Path, path: Path) -> None:
    _write(path, source.read_text(encoding="utf-8"))


def check_champion(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that the champion is of a trial in the record, and that its files are whole."""
    store = record.store
    version = champion_version(store.client, record.name, record.experiment_id)
    if version is None:
        return
    run_id = version.tags.get(tags.CHAMPION_RUN, "")
    how = "launch the study again, unchanged: that registers its best checkpoint again"
    fault = model_version_fault(store, version)
    if run_id and run_id not in {run.info.run_id for run in record.present}:
        fault = f"it is of the run {run_id}, which is not in the record"
        if run_id in {run.info.run_id for run in record.runs}:
            fault = f"its trial's run {run_id} was deleted in MLflow"
            how = f"restore it: {restore_run(store, run_id)}"
    if fault:
        yield Ailment(
            "champion",
            f"the registered model models:/{version.name}@{ALIAS} can't be used: {fault}",
            how,
            study=record.name,
            run=run_id,
        )

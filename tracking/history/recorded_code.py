"""The code that trials ran from, read back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from tracking.history.study_history import StudyHistory
from tracking.records import CodeDescription
from tracking.runs.run_contents import code_path, digests_of_code
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


def read_source(history: StudyHistory, digest: str) -> str:
    """Returns the text of the study file that trials ran from, or an empty text."""
    return read_code(history, digest).source


def read_code(history: StudyHistory, digest: str) -> CodeDescription:
    """Returns the code that trials ran from, by its digest.

    Missing or damaged texts of modules are left out; that of the file itself is then empty.
    """
    code = replace(history.description.code, source="", texts={}, modules=None)
    if not digest:
        return replace(code, digest="", source_digest="")
    store = history.store
    parent = store.client.get_run(history.parent_run_id)
    own, modules = digests_of_code(store, parent, digest)
    found = {place: _read_text(store, parent, each) for place, each in modules.items()}
    return replace(
        code,
        source=_read_text(store, parent, own),
        digest=digest,
        source_digest=own,
        modules=modules or None,
        texts={place: text for place, text in found.items() if text},
    )


def _read_text(store: Store, parent: Run, digest: str) -> str:
    path = code_path(store, parent, digest)
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    # A damaged file counts as missing.
    return content.decode() if hashlib.sha256(content).hexdigest() == digest else ""

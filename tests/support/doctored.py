"""A scripted study whose store tests damage and mend."""

import hashlib
from pathlib import Path
from typing import Any

from scripted import ScriptedExecutor, describe, run_study

from studies.progress import NoProgress
from tracking.history import StudyHistory, read_study
from tracking.records import CodeDescription
from tracking.store import Store
from tracking.store_doctor import StoreCheck

TEXT = "the study's file, as far as a scripted study has one\n"
CODE = CodeDescription("/gone/study.py", "", TEXT, hashlib.sha256(TEXT.encode()).hexdigest())


class Said(NoProgress):
    """Keeps the lines that a launch prints."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def launch(folder: Path, progress: Said | None = None, **settings: Any) -> StudyHistory:
    description = describe(**{"trials": 6, "code": CODE, **settings})
    return run_study(ScriptedExecutor(description), store=folder, progress=progress or Said())


def outcome(history: StudyHistory) -> list[tuple]:
    return [(t.number, t.state, dict(t.spec.values), t.spec.seed, t.best) for t in history.trials]


def history_of(store: Store) -> StudyHistory:
    return read_study(store, "scripted")


def kinds(check: StoreCheck) -> list[str]:
    return sorted({fault.kind for fault in check.faults})

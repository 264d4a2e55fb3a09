"""The states of trainings, from which cut and promoted trials resume."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from studies.training.states.training_state import StateError, read_state
from tracking.doctor.findings import Ailment
from tracking.doctor.studies import StudyRecord, file_of_trial
from tracking.store.orphans import FOLDER, move_to_orphans


def check_states(record: StudyRecord) -> Iterator[Ailment]:
    """Checks a study's states by their checksums."""
    store = record.store
    folder = record.folder
    engines = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in (path for engine in engines for path in sorted(engine.glob("*.safetensors*"))):
        found = file_of_trial(path.name)
        if found is None or found[1] != "state.safetensors":
            continue
        try:
            read_state(path)
        except StateError as error:
            yield Ailment(
                "state",
                f"the state of a training is damaged: {error}",
                f"--fix moves it to {FOLDER}/: its trial resumes from the state before "
                "it, or is trained from its first epoch, to the same bits",
                study=record.name,
                trial=found[0],
                path=str(path),
                mend=partial(move_to_orphans, store, path),
            )

"""A study that is launched once; its champion is evaluated, promoted and served."""

import pytest
from kinds_study import STUDY, Kinds
from user_commands import as_json


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    study = Kinds(folder, [])
    document = as_json(study.launch(2))
    study.trials.extend(document["top"])
    return study

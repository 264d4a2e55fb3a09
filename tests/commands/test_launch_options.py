"""Options of `kerastudy launch` that say what is tuned."""

from study_file import Launched
from user_commands import as_json, kerastudy_here

HERE = ("--json", "--verify", "off", "--executor", "in-process")


def test_a_study_starts_with_the_best_of_another(launched: Launched) -> None:
    """`test_first_values` tests which values these are, and wrong sources."""
    words = ("--store", launched.store, "--name", "other", "--start-with", "study:blobs")
    planned = kerastudy_here(launched.folder, "launch", launched.file, *words, *HERE, "--dry-run")
    document = as_json(planned)
    assert document["initial"] == [trial["params"] for trial in launched.document["top"]]
    assert document["initial_from"] == "study:blobs"
    assert "starts with the best 3 of the study 'blobs'" in planned.stderr

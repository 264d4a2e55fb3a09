"""What `reproduce` prints, in lines that fit, also of a trial without weights."""

from __future__ import annotations

from dataclasses import replace

from studies.champion import Reproduction
from studies.commands import reproduction_text

DIGEST = "0123456789abcdef" * 4
IDENTICAL = Reproduction("digits", 3, True, 2, 0.0, DIGEST, DIGEST, (), (), "plain", "optuna:tpe")


def test_weights_are_named_or_said_to_be_missing() -> None:
    assert "2 epochs, weights 0123456789abcdef…" in " ".join(reproduction_text(IDENTICAL).split())
    none = replace(IDENTICAL, recorded_sha256="", reproduced_sha256="")
    assert "2 epochs, no weights to compare" in " ".join(reproduction_text(none).split())
    other = replace(none, identical=False, max_difference=0.5, reproduced_sha256=DIGEST)
    *_, last = reproduction_text(other).splitlines()
    assert last.split() == "no weights recorded, weights 0123456789abcdef… now".split()


def test_lines_fit() -> None:
    longer = replace(IDENTICAL, study="a study of a long name" * 3, identical=False)
    assert all(len(line) <= 80 for line in reproduction_text(longer).splitlines())

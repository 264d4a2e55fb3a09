"""`scripts/golden` forgives only expected differences."""

from pathlib import Path

import pytest

from golden.compare import Difference, read_expected, split

ROOT = Path(__file__).parents[1]


def test_an_expected_line_covers_its_field_alone(tmp_path: Path) -> None:
    table = tmp_path / "expected.md"
    head = "| study | field | reason |\n|---|---|---|\n"
    lines = ("| tpe | `trial/*/metric/val_loss/step/2` | why |", "| * | champion/trial | why |")
    table.write_text("\n".join(("Text.\n", head + "\n".join(lines))))
    expected = read_expected(table)
    differences = [
        Difference(study, field, "1", "2")
        for study in ("tpe", "grid")
        for field in (
            "trial/3/metric/val_loss/step/2",
            "trial/3/metric/val_loss/step/21",
            "trial/3/fold/metric/val_loss/step/2",
            "champion/trial",
        )
    ]
    others, covered = split(differences, expected)
    assert [len(line) for line in covered.values()] == [1, 2]
    assert len(others) == len(differences) - 3
    assert split([], expected)[1] == {line: [] for line in expected}


@pytest.mark.parametrize("line", ["| tpe | `champion/trial` | |", "| * | ** | all |", "| a | b |"])
def test_a_line_without_a_reason_or_of_everything_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "expected.md").write_text(line)
    with pytest.raises(ValueError, match=r"expected\.md, line 1"):
        read_expected(tmp_path / "expected.md")
    read_expected(ROOT / "golden" / "expected.md")

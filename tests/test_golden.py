"""`scripts/golden` finds the smallest difference, and forgives only expected ones."""

import json
import math
from pathlib import Path

import pytest

from golden.compare import Difference, differences, fields, read_expected, split

ROOT = Path(__file__).parents[1]
STUDY = {
    "trial": {
        "0": {"params": {"units": 8}, "metric": {"val_loss": {"step": {"1": 0.5, "2": 0.3}}}},
        "1": {"params": {"units": 16}, "weights": "ab12"},
    },
    "champion": {"trial": 1},
    "mlflow": {
        "run": {
            "parent": {
                "tag": {
                    "kerastudy.stopped": "all 2 trials are done",
                    "mlflow.note.content": "[trial 1](#/runs/f00d), 0.25 s, in /tmp/a/store",
                    "mlflow.kerastudy.launched": "17",
                },
                "metric": {"system/seconds": {"step": {"0": 1.5}}},
            }
        }
    },
}


def changed(*path: str, to: object) -> dict[str, str]:
    """Returns the document of a study of which one value was changed."""
    study = json.loads(json.dumps(STUDY))
    place = study
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return document(study)


def document(study: object) -> dict[str, str]:
    return dict(fields(study, {}))


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("trial", "0", "metric", "val_loss", "step", "2"), math.nextafter(0.3, 1)),
        (("trial", "0", "params", "units"), 9),
        (("trial", "0", "params", "units"), 8.0),
        (("trial", "1", "weights"), "ab13"),
        (("champion", "trial"), None),
        (("mlflow", "run", "parent", "tag", "kerastudy.stopped"), "all 2 trials are done."),
        (("mlflow", "run", "parent", "tag", "mlflow.note.content"), "trial 1, 0.25 samples"),
        (("trial", "2"), {"params": {"units": 8}}),
        (("trial", "1"), {}),
    ],
)
def test_each_change_is_a_difference(path: tuple[str, ...], to: object) -> None:
    moved = json.loads(
        json.dumps(STUDY).replace("0.25 s, in /tmp/a/store", "17 s, in /tmp/a/store")
    )
    assert differences("tpe", document(STUDY), document(moved)) == [], "times are none"
    found = differences("tpe", document(STUDY), changed(*path, to=to))
    assert found
    assert all(each.field.startswith("/".join(path)) for each in found)


def test_an_expected_line_covers_its_field_alone(tmp_path: Path) -> None:
    table = tmp_path / "expected.md"
    head = "| study | field | reason |\n|---|---|---|\n"
    lines = ("| tpe | `trial/*/metric/val_loss/step/2` | why |", "| * | champion/trial | why |")
    table.write_text("\n".join(("Text.\n", head + "\n".join(lines))))
    expected = read_expected(table)
    found = [
        Difference(study, field, "1", "2")
        for study in ("tpe", "grid")
        for field in (
            "trial/3/metric/val_loss/step/2",
            "trial/3/metric/val_loss/step/21",
            "trial/3/fold/metric/val_loss/step/2",
            "champion/trial",
        )
    ]
    others, covered = split(found, expected)
    assert [len(each) for each in covered.values()] == [1, 2]
    assert len(others) == len(found) - 3
    assert split([], expected)[1] == {line: [] for line in expected}


@pytest.mark.parametrize("line", ["| tpe | `champion/trial` | |", "| * | ** | all |", "| a | b |"])
def test_a_line_without_a_reason_or_of_everything_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "expected.md").write_text(line)
    with pytest.raises(ValueError, match=r"expected\.md, line 1"):
        read_expected(tmp_path / "expected.md")
    read_expected(ROOT / "golden" / "expected.md")

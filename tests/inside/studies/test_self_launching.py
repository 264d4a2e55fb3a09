"""Loading scripts that launch their studies at the top level, without a main guard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from search_spaces import StudyFileError
from studies import Study
from studies.user_code import Target, load_study

TWO = """
import kerastudy as ks

def build(hp):
    raise AssertionError("nothing is built by loading")

def make(name, **settings):
    return ks.Study(name, data=ks.datasets.digits(), build=build,
                    space=ks.SearchSpace(ks.dropout()), **settings)

first = make("first")
history = first.launch(workers=2)
print(f"best {history.best.best.value:.3f}, {history.trials[0].spec.values['dropout']}")
print(f"{100 * history.best.best.value:.1f} %", round(history.best.best.value, 3))
for trial in history.trials:
    print(trial.number)
second = make("second", trials=7)
second.launch()
raise AssertionError("nothing after the launch that is wanted is run")
"""


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kerastudy-store"


def load(text: str, variable: str = "", name: str = "") -> tuple[Study, str]:
    Path("script.py").write_text(text, encoding="utf-8")
    before = sorted(os.listdir())
    study, code = load_study(Target(os.path.abspath("script.py"), variable, study_name=name))
    assert sorted(os.listdir()) == before, "loading launches nothing"
    return study, code.variable


def test_the_first_that_is_launched_where_none_is_named() -> None:
    study, variable = load(TWO)
    assert (study.name, variable) == ("first", "first")


@pytest.mark.parametrize("target", [{"name": "second"}, {"variable": "second"}])
def test_the_one_that_is_named(target: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the file shows of those before does not stop it."""
    study, variable = load(TWO, **target)
    assert (study.name, study.trials, variable) == ("second", 7, "second")
    assert "best <study 'first', not launched>" in capsys.readouterr().out


def test_one_that_is_made_before_another_is_launched() -> None:
    """Then that launch, and what follows it, need not be passed over."""
    text = TWO.replace('second = make("second", trials=7)\n', "")
    text = text.replace("history = first", 'second = make("second")\nhistory = first')
    text = text.replace("print(f", "raise AssertionError\nprint(f", 1)
    assert load(text, name="second")[0].name == "second"
    assert load(text, variable="second")[0].name == "second"


def test_one_that_no_variable_holds() -> None:
    text = TWO.replace("second = make", "make").replace("7)\nsecond.launch()", "7).launch()")
    study, variable = load(text, name="second")
    assert (study.name, variable) == ("second", "")


def test_the_launched_one_where_the_file_makes_several() -> None:
    text = TWO.replace("first.launch(", "make('third').launch(")
    assert load(text)[0].name == "third"


def test_a_file_that_catches_everything_is_stopped_all_the_same() -> None:
    text = TWO.replace("second.launch()", "try:\n    second.launch()\nexcept Exception:\n    pass")
    assert load(text, name="second")[0].name == "second"


@pytest.mark.parametrize(
    "made_of_it",
    [
        'make("second", trials=int(history.best.best.epoch))',
        'make("second") if history.best.best.value > 0.5 else None',
        'make("second", initial=[history.best.spec.values])',
    ],
)
def test_a_study_that_depends_on_what_came_of_another_is_refused(made_of_it: str) -> None:
    """It would be another than the one that was launched."""
    text = TWO.replace('make("second", trials=7)', made_of_it)
    with pytest.raises(StudyFileError, match=r"(is missing while|not launched)"):
        load(text, name="second")


def test_a_file_that_never_defines_it() -> None:
    with pytest.raises(StudyFileError, match="no study named 'third'"):
        load(TWO[: TWO.index('raise AssertionError("nothing after')], name="third")

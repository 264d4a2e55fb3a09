"""The text on the study's page in the MLflow UI."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from handmade import ENVIRONMENT, losses, make_spec, record_trial, trial_record
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import StudyHistory, again_command, read_study, record_evaluation
from tracking.journal import Journal
from tracking.mlflow import Pages, study_description, study_note
from tracking.records import Evaluation, Measured
from tracking.store import Store
from tracking.summary import summary_of

PAGES = Pages("1", "parent")
MARKS = ["a|b", "`c`", "two\nlines", "![x](http://e.example/x.png)", "# @someone", "*<b>"]
SPACE = SearchSpace(
    ks.Float("rate", 0.0, 1.0),
    ks.Choice("kind|of", MARKS),
    ks.Choice("off", [None, True]),
)


def values_of(kind: str) -> dict[str, object]:
    return {"rate": 0.123456789, "kind|of": kind, "off": None}


def study(store: Store, name: str, trials: int = 3, **settings: object) -> StudyHistory:
    described = describe(name=name, space=SearchSpace(ks.Float("rate", 0.0, 1.0)), **settings)
    folder = store.folder_of(name) or store.new_folder(name)
    journal = Journal.begin(folder, described, ENVIRONMENT)
    for number in range(trials):
        spec = make_spec(number, values={"rate": number / 100})
        record_trial(journal, spec, losses(0.9, 0.5 - number / 100, 0.8))
    journal.close()
    return read_study(store, name, described.engine)


def table(note: str) -> list[list[str]]:
    """The cells of the table in a note, as Markdown reads them."""
    lines = [line for line in note.splitlines() if line.startswith("|")]
    return [
        [cell.replace("&emsp;", "").strip() for cell in line.strip().strip("|").split("|")]
        for line in lines
    ]


def test_the_verdict_comes_first(shared_store: Store) -> None:
    history = study(shared_store, "손글씨 연구 1", notes="Why.")
    note = study_note(history, PAGES, "all 3 trials are done")
    first, _, verdict, _, links, _, *facts = note.splitlines()
    assert first == "**Best: trial 2: val_loss 0.48 at epoch 2 of 3**"
    assert verdict.startswith("Reported 0.48. What to expect is unknown")
    assert [*re.findall(r"\[(\w+)\]\(#/", links)] == ["trials", "charts", "curves"]
    for fact in (
        "- verified: not compared with model.fit",
        "- trials: 3 of 12: 3 complete",
        # From the first trial's value to the best.
        "- progress: 0.5 █▅▁ 0.48, the best so far by trial",
        "- ended: all 3 trials are done",
        "- engine: optuna:tpe, pruner none",
        "- objective: min val_loss, seed 0",
        "- notes: Why.",
    ):
        assert fact in facts


def test_its_links_lead_to_runs(shared_store: Store) -> None:
    history = study(shared_store, "links")
    runs = {trial.uuid: f"{trial.number:032}" for trial in history.trials}
    pages = Pages("7", "parent", runs, report=True, model="links")
    note = study_note(history, pages, "done")
    assert "(#/experiments/7/runs/parent/artifacts/report.html?" in note
    assert "(#/models/links?" in note
    assert set(re.findall(r"#/experiments/7/runs/(\w{32})", note)) == set(runs.values())


def test_readings_of_the_test_part_are_shown(shared_store: Store) -> None:
    history = study(shared_store, "evaluated")
    for time in (1, 2):
        metrics = {"accuracy": Measured(0.5, 0.25, 0.75), "<i>loss": Measured(2.0)}
        record_evaluation(
            history, Evaluation("evaluated", "optuna:tpe", 0, 2, 9, "d", metrics, time=time)
        )
    data = replace(history.description.data, digests={"test": "d"})
    history = replace(history, description=replace(history.description, data=data))
    said = "- test part: accuracy 0.5 (0.25 to 0.75), &#60;i&#62;loss 2, by trial 0; read 2 times\n"
    assert said in study_note(history, PAGES, "done")


def test_while_it_runs_it_says_so(shared_store: Store) -> None:
    """Nothing that the next trial makes wrong, and nothing to do."""
    note = study_note(study(shared_store, "runs", notes="Why."), PAGES)
    first, _, links, _, before, *rest = note.splitlines()
    assert first.startswith("**It is running: its best trial so far is the first of the [trials](")
    assert [*re.findall(r"\[(\w+)\]\(#/", links)] == ["trials", "charts", "curves"]
    assert before == "Before this launch: trial 2: val_loss 0.48 at epoch 2 of 3."
    assert rest[1] == "This text is written again when it stops." and rest[-1] == "- notes: Why."
    assert "ended" not in note and "verdict" not in note and table(note) == []
    none = study_note(study(shared_store, "begins", trials=0), PAGES)
    assert "No trial has" not in none and "Before" not in none


def test_it_has_a_table_of_the_best_first(shared_store: Store) -> None:
    note = study_note(study(shared_store, "a table", trials=12), PAGES, "done")
    header, rule, *rows = table(note)
    assert header == ["trial", "val_loss", "epoch", "state", "rate"]
    assert rule == ["---"] * len(header)
    numbers = [row[0].partition("]")[0] for row in rows]
    assert numbers == [f"&#35;{number}" for number in range(11, 1, -1)]
    assert rows[0][1:] == ["0.39", "2/3", "complete", "0.11"]


def test_many_hyperparameters_are_below_each_other(shared_store: Store) -> None:
    names = [f"p{i}" for i in range(20)]
    space = SearchSpace(ks.Float(name, 0.0, 1.0) for name in names)
    described = describe(name="wide", space=space)
    journal = Journal.begin(shared_store.root / "wide", described, ENVIRONMENT)
    for number in range(8):
        values = {name: number / 10 for name in names}
        record_trial(journal, make_spec(number, values=values), losses(0.5 - number / 100))
    rows = table(study_note(read_study(shared_store, "wide"), PAGES, "done"))
    assert [row[0] for row in rows] == ["trial", "---", "val_loss", "epoch", "state", *names]
    assert {len(row) for row in rows} == {6}
    assert rows[-1] == ["p19", "0.7", "0.6", "0.5", "0.4", "0.3"]


def test_it_has_commands_that_a_shell_reads(shared_store: Store) -> None:
    """Quoted, since names and folders may have spaces."""
    name = "it's 손글씨 1"
    history = study(shared_store, name)
    note = study_note(history, PAGES, "done")
    commands = [command.text for command in summary_of(history).commands]
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "kerastudy"
        assert words[2] == name
        assert words[words.index("--store") + 1] == str(shared_store.root)
        assert command in note


def test_commands_name_the_engine_where_there_are_several(shared_store: Store) -> None:
    for engine in ("optuna:tpe", "optuna:random"):
        history = study(shared_store, "by two", engine=engine)
    assert history.best is not None
    command = again_command(history, history.best)
    assert "--engine optuna:random" in command


def with_kinds(store: Store, name: str, *kinds: str) -> StudyHistory:
    """A study whose trials, made by hand, have these values."""
    described = describe(name=name, space=SPACE, notes="a | <i>b")
    Journal.begin(store.root / "of marks", described, ENVIRONMENT).close()
    trials = []
    for number, kind in enumerate(kinds):
        trial = trial_record(number, number / 10)
        trials.append(replace(trial, spec=replace(trial.spec, values=values_of(kind))))
    return replace(read_study(store, name), trials=tuple(trials))


def test_users_texts_are_no_markup(shared_store: Store) -> None:
    note = study_note(
        with_kinds(shared_store, "<script>alert(1)<", *MARKS), PAGES, "a <b>reason</b>"
    )
    # Commands are in a block of code.
    prose = [line for line in note.splitlines() if not line.startswith("    ")]
    shown = "\n".join(prose).replace("&emsp;", "")
    assert not re.search(r"[<>`]", re.sub(r"`[▁-█]*`|`model.fit`", "", shown))
    for mark in MARKS:
        escaped = "".join(f"&#{ord(c)};" if c in "|`![]<>#@*" else c for c in mark)
        assert " ".join(escaped.split()) in shown
    rows = table(note)
    assert len(rows) == 2 + len(MARKS)
    assert {len(row) for row in rows} == {7}
    assert rows[0][5] == "kind&#124;of"
    assert rows[2][6] == "None"


def test_a_study_without_a_value_says_so(shared_store: Store) -> None:
    history = study(shared_store, "nothing yet", trials=0)
    note = study_note(history, PAGES, "interrupted; launch again to resume")
    assert "No trial has a value of val_loss yet" in note
    assert "interrupted" in note
    assert table(note) == []


# The line above the views.


def line(*histories: StudyHistory, running: bool = False) -> str:
    pages = {history.description.engine: PAGES for history in histories}
    return study_description(histories, pages, running=running)


def test_the_line_says_what_to_believe_and_links_to_the_views(shared_store: Store) -> None:
    history = replace(study(shared_store, "손글씨 *1*"), status="FINISHED")
    text = line(history)
    assert text.startswith("Reported val_loss 0.48. What to expect is unknown")
    assert " [summary](#/experiments/1/runs/parent?" in text
    page = "(#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=kerastudy-"
    assert text.count(page) == 3


def test_the_engine_with_the_best_value_comes_first(shared_store: Store) -> None:
    one, other = (
        replace(study(shared_store, "by two engines", trials, engine=engine), status="FINISHED")
        for trials, engine in ((2, "optuna:random"), (3, "optuna:tpe"))
    )
    first, second = line(one, other).split("\n\n")
    assert first.startswith("Reported val_loss 0.48") and " (optuna:tpe) [summary]" in first
    assert second.startswith("Reported val_loss 0.49") and " (optuna:random) [summary]" in second


def test_while_it_runs_the_line_says_so(shared_store: Store) -> None:
    history = study(shared_store, "it runs")
    assert line(history, running=True).startswith("It is running: its best trial so far")
    assert "Reported" not in line(history, running=True)
    assert line(history).startswith("It was killed; launch it again to resume it")

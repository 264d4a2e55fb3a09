"""``kerastudy diagnose`` and ``kerastudy data``, and the findings that they print."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from search_spaces.texts import counted, listed, readable, share
from studies.commands.command_line import (
    answer,
    check_trusted,
    common_options,
    data_to_use,
    history_of,
    is_data_target,
    other_data_options,
    print_json,
    table_options,
    tell,
    trust_option,
)
from studies.terminal_text import cut, printable, table, wrapped

if TYPE_CHECKING:
    from studies.user_code import Target
    from tracking.diagnosis import Diagnosis, Finding
    from tracking.records import DataFinding, DataFindings

_INDENT: Final = 9
_MOST_ROWS: Final = 12
_LONGEST_NAME: Final = 20
_COLORS: Final = {"problem": "bold red", "hint": "bold yellow", "ok": "green"}


@click.command("diagnose", short_help="Say what to search next, and why.")
@click.argument("study")
@common_options
def diagnose_command(study: str, store: Path, as_json: bool) -> None:
    """Check a study by the advice of Google's Deep Learning Tuning Playbook.

    Are the best trials at an end of a range? Were there enough trials? Did the trials train long
    enough? Do they overfit? Do they differ by more than noise? Why do trials fail? What does a
    scientific hyperparameter do? Each finding has its figures, and a command that acts on it. The
    last line is one command for all findings. Nothing is trained. The report has the same findings,
    and links to charts.

    \b
    kerastudy diagnose digits
    kerastudy diagnose digits --json
    """
    from tracking.diagnosis import diagnose, document

    diagnosis = diagnose(history_of(study, store))
    if as_json:
        print_json(document(diagnosis))
        return
    text = _diagnosis_text(diagnosis)
    if not sys.stdout.isatty():
        tell(text)
        return
    # rich finds out which colors the terminal can show, and respects NO_COLOR.
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in text.split("\n"):
        colored, word = Text(line), line.partition(" ")[0]
        if word in _COLORS:
            colored.stylize(_COLORS[word], 0, len(word))
        console.print(colored)


@click.command("data", short_help="Look at a study's data before a model is trained on it.")
@click.argument("target")
@other_data_options
@trust_option
@common_options
@table_options
def data_command(
    target: str,
    data: Path | None,
    column: str | None,
    trust: bool,
    store: Path,
    as_json: bool,
    of_table: dict[str, Any],
) -> None:
    """Look at a study's data: is it what you think it is?

    Shows sizes and classes by part, missing and constant columns, samples that are in two parts,
    and whether training, validation and test samples come from the same distribution. To answer
    the last question, a classifier guesses which part a sample is from.

    This takes some seconds. The targets of the test part stay sealed. TARGET is a study, as for
    `launch`, or the name of a study in the store, whose file is then read. Or it is a csv, parquet
    or npz file, or a folder of images or texts. Such data is split as a study would split it by
    default.

    \b
    kerastudy data digits
    kerastudy data houses.csv --target price
    kerastudy data my_study.py --data houses.csv --target price
    kerastudy data digits --json
    """
    from studies.check_data import check_file, check_target

    # Standard output is for results, so what the user's code prints goes to standard error.
    with contextlib.redirect_stdout(sys.stderr):
        if is_data_target(target, data, of_table):
            findings = check_file(data_to_use(Path(target), column), of_table)
        else:
            findings = check_target(_target_of(target, store, trust), data_to_use(data, column))
    answer(as_json, findings.document, lambda: "\n".join(_data_text(findings)))


def _target_of(text: str, store: Path, trust: bool) -> Target:
    """Returns the file that TARGET names, or the file of the store's study of that name."""
    from studies.user_code import Target, catalog_names, resolve_target
    from tracking.history import read_study
    from tracking.store import open_store

    opened = None if text in catalog_names() else open_store(store)
    if opened is not None and opened.folder_of(text) is not None:
        check_trusted(store, trust)
        code = read_study(opened, text).description.code
        if code.path:
            return Target(code.path, code.variable, study_name=code.study_name)
    return resolve_target(text)


def _diagnosis_text(diagnosis: Diagnosis) -> str:
    history, description = diagnosis.history, diagnosis.history.description
    lines = wrapped(
        f"study    {description.name}: {counted(len(history.trials), 'trial')} by "
        f"{description.engine}, {description.objective.direction} {description.objective.metric}",
        _INDENT,
    )
    lines.append(f"found    {diagnosis.amounts or 'nothing: see what could not be checked'}")
    for finding in diagnosis.findings:
        lines += ["", *_finding_lines(finding)]
        if finding.command:
            # A command stays on one line, so that people can copy it.
            lines.append(f"{'':<{_INDENT}}{printable(finding.command)}")
    if diagnosis.passed:
        lines += ["", *wrapped(f"no fault {listed(diagnosis.passed)}", _INDENT)]
    if diagnosis.unchecked:
        lines += ["", "not checked"]
        for unchecked in diagnosis.unchecked:
            of_parameter = f" of {unchecked.parameter}" if unchecked.parameter else ""
            text = f"{'':<{_INDENT}}{unchecked.check}{of_parameter}: {unchecked.reason}"
            lines += wrapped(text, _INDENT + 2)
    return "\n".join([*lines, "", *_next_lines(diagnosis)])


def _next_lines(diagnosis: Diagnosis) -> list[str]:
    launch = diagnosis.next
    if launch.reasons:
        same = launch.name == diagnosis.history.description.name
        where = "in this study" if same else f"in another study, {launch.name}"
        changes = "; ".join(dict.fromkeys(change for change, _ in launch.reasons))
        lines = wrapped(f"next     {changes} {where}", _INDENT)
        if diagnosis.command:
            lines.append(f"{'':<{_INDENT}}{printable(diagnosis.command)}")
        return lines
    text = "nothing in the record asks for another launch"
    if not diagnosis.findings:
        text = "the record is too short for advice: run more trials, or longer ones"
    elif any(finding.severity != "ok" for finding in diagnosis.findings):
        text = "no launch alone mends what was found: see the advice of each finding"
    return wrapped(f"next     {text}", _INDENT)


def _data_text(findings: DataFindings) -> list[str]:
    """Returns the findings as lines."""
    sizes = ", ".join(f"{part} {size:,}" for part, size in findings.sizes.items())
    lines = wrapped(f"data     {printable(findings.data)}", _INDENT)
    lines += wrapped(f"samples  {sizes}", _INDENT)
    if findings.groups:
        groups = ", ".join(f"{part} {count:,}" for part, count in findings.groups.items())
        lines += wrapped(f"groups   {groups}", _INDENT)
    for place, (name, kind) in enumerate(findings.inputs.items()):
        lines += wrapped(f"{'' if place else 'inputs':<{_INDENT}}{name}: {kind}", _INDENT)
    if (guess := findings.guess) is not None:
        text = f"always answering {printable(guess.answer)} is right in {share(guess.share)}"
        lines += wrapped(f"baseline {text} of the validation samples", _INDENT)
    if (mean := findings.mean) is not None:
        text = f"always answering the mean, {readable(mean.answer, 4)}, is off by "
        text += f"{readable(mean.error, 4)} (mean absolute error) on the validation samples"
        lines += wrapped(f"baseline {text}", _INDENT)
    lines.append(f"found    {findings.amounts or 'nothing'}")
    for finding in findings.findings:
        lines += ["", *_finding_lines(finding)]
    for name, counts_by_part in findings.classes.items():
        lines += ["", *_class_lines(name, counts_by_part)]
    if findings.notes:
        lines += ["", *wrapped(f"{'looked':<{_INDENT}}{findings.notes}", _INDENT)]
    return lines


def _finding_lines(finding: Finding | DataFinding) -> Iterator[str]:
    yield from wrapped(f"{finding.severity:<{_INDENT}}{finding.title}", _INDENT)
    for text in filter(None, (finding.verdict, finding.advice)):
        yield from wrapped(f"{'':<{_INDENT}}{text}", _INDENT)


def _class_lines(name: str, counts_by_part: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yields a table of a target's classes, with their numbers of samples in each part."""
    labels = list(counts_by_part["train"])
    rows = [
        [
            cut(printable(label), _LONGEST_NAME),
            *(
                f"{counts[label]:,} ({share(counts[label] / max(sum(counts.values()), 1))})"
                for counts in counts_by_part.values()
            ),
        ]
        for label in labels[:_MOST_ROWS]
    ]
    parts = list(counts_by_part)
    yield from table([f"class of {name}", *parts], rows, breaking=parts[-1:])
    if len(labels) > _MOST_ROWS:
        yield f"… and {len(labels) - _MOST_ROWS:,} more: --json has all"

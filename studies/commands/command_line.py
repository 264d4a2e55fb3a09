"""The command ``kerastudy``, and what its subcommands share.

They share options, the ways to find the study and the data that arguments name, errors and output.
Modules that are not needed for ``--help`` are imported within functions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import click

from search_spaces.errors import KerastudyError, StoreError, StudyError
from search_spaces.texts import suggestion
from studies.interruption import raising_interrupts
from studies.library_internals import load_late
from studies.terminal_text import printable, wrapped

if TYPE_CHECKING:
    from studies.champion import RunnableStudy
    from tracking.history import StudyHistory

EXIT_NO, EXIT_WRONG_USE, EXIT_INTERRUPTED = 1, 2, 130


def _default_store() -> Path:
    from tracking.store import default_store_path

    return default_store_path()


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=_default_store,
    help="The store's folder.  [default: $KERASTUDY_STORE or ./kerastudy-store]",
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run the code recorded in a store that is not yours."
)
# This option is for commands that train or evaluate a recorded trial.
data_option = click.option(
    "--data",
    type=click.Path(),
    default="",
    callback=lambda _context, _option, path: path and str(Path(path).expanduser().absolute()),
    help="The file with the data, if it has moved.",
)


def other_data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--data`` and ``--target``, for commands that can replace the data of a study."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="A file in place of the study's own data: npz (x_train, y_train, …), csv or parquet; "
        "or a folder of images or texts.",
    )
    column = click.option(
        "--target",
        "column",
        metavar="COLUMN",
        help="The column to predict, in a csv or parquet file.",
    )
    return data(column(command))


_TABLE_OPTIONS: Final = {
    "time": "For a table: the column whose order splits the parts, or 'no' to split at random.",
    "groups": "For a table: the column that names what rows belong to, such as patient.",
    "dates": "For a table: a column of dates, whose day, month and weekday are inputs.",
    "missing": "For a table: another text that means a missing value, such as 'not known'.",
    "merge": "For a table: a column of categories. Those that differ by case or blanks are one.",
    "drop": "For a table: another column to leave out.",
}

_ONE_COLUMN: Final = ("time", "groups")


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options for a table. The command gets their values in the dict ``of_table``."""

    def collect(context: click.Context, option: click.Parameter, value: Any) -> None:
        of_table = context.params.setdefault("of_table", {})
        if option.name in _ONE_COLUMN and value is not None:
            of_table[option.name] = False if (option.name, value) == ("time", "no") else value
        elif value:
            of_table[option.name] = [name for names in value for name in names.split(",")]

    for name, text in _TABLE_OPTIONS.items():
        command = click.option(
            f"--{name}",
            multiple=name not in _ONE_COLUMN,
            metavar={"time": "COLUMN|no", "missing": "TEXT"}.get(name, "COLUMN"),
            help=text,
            expose_value=False,
            callback=collect,
        )(command)
    return command


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--json``. The command's errors are handled by `telling_errors`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
    )(telling_errors(command))


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--store`` and ``--json``."""
    return store_option(json_option(command))


@dataclasses.dataclass(frozen=True)
class RecordedStudy:
    """The arguments of commands that run the recorded code of a study."""

    study: str
    data: str
    trust: bool
    store: Path
    as_json: bool

    @contextlib.contextmanager
    def opened(self) -> Iterator[RunnableStudy]:
        """Reads the study as `history_of` does, and yields it with a display of progress.

        Checks first that the user trusts the store.
        """
        from studies.champion import RunnableStudy
        from studies.progress import showing

        check_trusted(self.store, self.trust)
        history = history_of(self.study, self.store)
        with showing() as progress:
            yield RunnableStudy(history, progress, data=self.data)


def recorded_study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `RecordedStudy` to a command, and passes them as one `RecordedStudy`."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        names = [field.name for field in dataclasses.fields(RecordedStudy)]
        command(RecordedStudy(**{name: arguments.pop(name) for name in names}), **arguments)

    return data_option(trust_option(common_options(run)))


def history_of(study: str, store: Path) -> StudyHistory:
    """Reads the study that a command names, as `read_study` does."""
    from studies.progress import waiting
    from tracking.history import read_study
    from tracking.store import existing_store

    opened = existing_store(store)
    with waiting(f"reading the store {str(opened.root)!r}"):
        return read_study(opened, unicodedata.normalize("NFC", study))


def check_trusted(store: Path, trust: bool) -> None:
    """Asks the user whether to run the code in a store of another user. Records a yes."""
    from tracking.store import store_folder_and_json as stores

    root = stores.real_folder(store)
    # This raises StoreError if another version of kerastudy made the store. Then no question about
    # trust is asked.
    stores.read_facts(root)
    reason = stores.stranger(root) if stores.is_store(root) else ""
    if not reason:
        return
    text = f"The store {str(root)!r} {reason}, and this command runs the code recorded in it."
    if not trust:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise StoreError(text, hint="If you trust it, give --trust.")
        if not click.confirm(f"{text} Do you trust it?", err=True):
            raise StoreError("Nothing was run.")
    # If the answer can't be recorded, the next command asks again.
    with contextlib.suppress(OSError):
        stores.trust(root)


def data_to_use(data: Path | None, column: str | None, hint: str = "") -> str:
    """Returns ``--data`` and ``--target`` as one text, such as "/data/houses.csv?target=price".

    The text is empty without ``--data``. `hint` is added to the message of an error.
    """
    from studies.data import is_table, spelled

    if column is not None and (data is None or not is_table(str(data))):
        raise StudyError(
            f"--target {column!r} names the column to predict in a csv or parquet file",
            hint=f"Name this file by --data.{hint}",
        )
    return "" if data is None else spelled(str(data.expanduser().absolute()), column or "")


def is_data_target(target: str, data: Path | None, of_table: Mapping[str, Any]) -> bool:
    """Returns whether TARGET is a data file or folder, not a study.

    A name of the catalog is a study, even if there is a folder of that name. TARGET is also a study
    if the user gave `data`, a file that replaces the study's own data. The options `of_table` are
    for data files: if the user gave one for a study, this raises UsageError.
    """
    from studies.data import is_data
    from studies.user_code import catalog_names

    is_study = data is not None or target in catalog_names()
    if not is_study and is_data(str(Path(target).expanduser())):
        return True
    if of_table:
        raise click.UsageError(
            "--groups, --drop, --missing, --merge, --dates and --time are for a table as TARGET. A "
            "study has these choices in its file: change them there."
        )
    return False


class Group(click.Group):
    """Loads a command's module when the command is called, so that ``--help`` stays fast."""

    # The names of the commands, by the title of their section in the help and by their module.
    _sections: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "Launch": {
            "new_and_launch": "new launch",
            "reproduce_and_confirm": "reproduce confirm",
        },
        "Look": {
            "list_show_compare": "list show compare",
            "diagnose_and_data": "data diagnose",
            "report_ui_push": "report ui",
        },
        "Use the champion": {"predict_evaluate_promote": "predict evaluate promote"},
        "Hand over, keep in order": {
            "export_delete_doctor": "export delete doctor",
            "report_ui_push": "push",
        },
    }
    _modules: ClassVar[Mapping[str, str]] = {
        name: module
        for section in _sections.values()
        for module, names in section.items()
        for name in names.split()
    }

    def list_commands(self, context: click.Context) -> list[str]:
        """Returns the names of the commands, in the order of the help."""
        return list(self._modules)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands of each section."""
        room = formatter.width - 6 - max(map(len, self._modules))
        for title, section in self._sections.items():
            with formatter.section(title):
                names = " ".join(section.values()).split()
                helps = [self.get_command(context, n).get_short_help_str(room) for n in names]
                formatter.write_dl([*zip(names, helps, strict=True)])

    def get_command(self, context: click.Context, name: str) -> click.Command:
        """Returns a command. If there is none of this name, suggests the nearest name."""
        if name not in self._modules:
            context.fail(f"There is no command {name!r}. {suggestion(name, self._modules)}")
        module = importlib.import_module(f"studies.commands.{self._modules[name]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command


class Sectioned(click.Command):
    """A command whose help shows its options in sections.

    ``sections`` has the parameter names of the options, by the section's title. Options that are
    not in ``sections`` are shown in the last section.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = sections

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options of each section."""
        section_of = {name: title for title, names in self.sections.items() for name in names}
        options: dict[str, list[tuple[str, str]]] = {title: [] for title in self.sections}
        last = [*options][-1]
        for option in self.get_params(context):
            record = option.get_help_record(context)
            if isinstance(option, click.Option) and record is not None:
                options[section_of.get(option.name or "", last)].append(record)
        for title, records in options.items():
            with formatter.section(title):
                formatter.write_dl(records)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  kerastudy launch digits",
)
@click.version_option(package_name="kerastudy", message="kerastudy %(version)s")
def kerastudy() -> None:
    """Hyperparameter tuning studies of Keras models: launch, look, reproduce.

    \b
    kerastudy launch digits              a first study, on ready data
    kerastudy new my_study.py            a study file to start from
    kerastudy launch my_study.py --trials 50
    kerastudy data digits                what is wrong with its data
    kerastudy show digits                its best trial
    kerastudy compare digits other       which study is better
    kerastudy diagnose digits            what to search next, and why
    kerastudy report digits              its report, in the browser
    kerastudy ui digits                  the study in the MLflow UI
    kerastudy reproduce digits           run the champion again, bit for bit
    kerastudy predict digits --input new.npy
    kerastudy confirm digits             how far to believe its best value
    kerastudy evaluate digits            its champion on the sealed test part
    kerastudy promote digits --trial 7   choose another champion
    kerastudy export digits --as script  the best trial as plain Keras
    kerastudy push digits                send the study to an MLflow server, too
    kerastudy doctor --fix               find and mend what is wrong in the store
    """


def telling_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command print errors in one line and exit with 2, or with 130 after Ctrl-C."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from tracking.store import as_store_errors

        try:
            with as_store_errors():
                command(*arguments, **options)
        except KerastudyError as error:
            _end(str(error), EXIT_WRONG_USE)
        except KeyboardInterrupt as error:
            # The exception is caught here, because click would drop its text.
            _end("; ".join(filter(None, ["interrupted", str(error)])), EXIT_INTERRUPTED)

    return run


def tell(text: str) -> None:
    """Prints text for people. Escapes characters that control a terminal."""
    click.echo("\n".join(map(printable, text.split("\n"))))


def answer(as_json: bool, document: Callable[[], object], text: Callable[[], str]) -> None:
    """Prints one JSON document, or a text for people."""
    if as_json:
        print_json(document())
    else:
        tell(text())


def print_json(document: object) -> None:
    """Prints one JSON document on standard output, with null for NaN and infinity."""
    text = json.dumps(document, default=os.fspath)
    plain = json.loads(text, parse_constant=lambda _constant: None)
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def _end(message: str, code: int) -> NoReturn:
    """Prints one line on standard error, wrapped at a terminal, and ends the process."""
    line = f"kerastudy: {' '.join(line.strip() for line in message.splitlines())}"
    # A terminal would break a long line within words, so it is wrapped here.
    lines = wrapped(line, indent=0) if sys.stderr.isatty() else [printable(line)]
    # If the terminal is closed, printing raises OSError.
    with contextlib.suppress(OSError):
        click.echo("\n".join(lines), err=True)
    sys.exit(code)


def main() -> None:
    """Runs the command line."""
    load_late()
    try:
        with raising_interrupts():
            kerastudy.main(prog_name="kerastudy", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            sys.exit(EXIT_WRONG_USE)
        # For an option without its value, click does not say which command it was parsing.
        path = context.command_path if context else " ".join(["kerastudy", *sys.argv[1:2]])
        message = error.format_message()
        end = "" if message.endswith((".", "?")) else "."
        _end(f"{message}{end} See: {path} --help", EXIT_WRONG_USE)
    except (KeyboardInterrupt, click.Abort):
        _end("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # In `kerastudy show digits | head`, `head` may end first, which is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

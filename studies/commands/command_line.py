"""The command ``kerastudy``, and the common parts of its subcommands: options, errors, trust."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import click

from studies.interruption import raising_interrupts
from studies.library_internals.quiet_imports import load_late
from studies.terminal_text import printable, wrapped

_Command = TypeVar("_Command", bound=Callable[..., Any])

EXIT_NO, EXIT_WRONG_USE, EXIT_INTERRUPTED = 1, 2, 130


def store_option(command: _Command) -> _Command:
    """Adds ``--store``."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        help="The store's folder.  [default: $KERASTUDY_STORE or ./kerastudy-store]",
    )(command)


def data_option(command: _Command) -> _Command:
    """Adds ``--data``, for commands that train or evaluate a recorded trial."""
    return click.option(
        "--data",
        type=click.Path(),
        default="",
        callback=lambda _context, _option, path: path and str(Path(path).expanduser().absolute()),
        help="The file with the data, if it has moved.",
    )(command)


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds options of a table. The command gets those that were given as a dict, ``of_table``."""

    @functools.wraps(command)
    def collecting(*arguments: Any, **options: Any) -> None:
        lists = {name: options.pop(name) for name in ("drop", "missing", "dates")}
        of_table: dict[str, Any] = {
            n: [*chain(*(v.split(",") for v in vs))] for n, vs in lists.items() if vs
        }
        if (time := options.pop("time")) is not None:
            of_table["time"] = False if time == "no" else time
        command(*arguments, **options, of_table=of_table)

    for name, text in _OF_TABLES.items():
        attributes: dict[str, Any] = {} if name == "time" else {"multiple": True}
        several = "COLUMN|no" if name == "time" else "TEXT" if name == "missing" else "COLUMN"
        option = click.option(f"--{name}", metavar=several, help=text, **attributes)
        collecting = option(collecting)
    return collecting


_OF_TABLES: Final = {
    "time": "Of a table: its column by whose order parts are split; no: at random.",
    "dates": "Of a table: a column of dates whose day, month and weekday are inputs.",
    "missing": "Of a table: another text for a missing value, such as 'not known'.",
    "drop": "Of a table: another column to leave out.",
}


def engine_option(command: _Command) -> _Command:
    """Adds ``--engine``."""
    return click.option(
        "--engine", help="Which engine's trials.  [default: that of the best trial]"
    )(command)


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--json``. Errors become one line, as `telling_errors` says."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
    )(telling_errors(command))


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--store`` and ``--json``."""
    return store_option(json_option(command))


def trust_option(command: _Command) -> _Command:
    """Adds ``--trust``."""
    return click.option(
        "--trust", is_flag=True, help="Run the code recorded in a store that is not yours."
    )(command)


class Group(click.Group):
    """Loads a command's module when the command is called, so that ``--help`` stays fast."""

    # The sections of the help. Each has the names of commands by module.
    _sections: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "Launch": {"new_and_data": "new", "launch": "launch", "champion": "reproduce confirm"},
        "Look": {
            "new_and_data": "data",
            "look": "list show compare diagnose",
            "pages": "report ui",
        },
        "Use the champion": {"champion": "predict evaluate promote"},
        "Hand over, keep in order": {
            "export": "export",
            "pages": "push",
            "housekeeping": "delete doctor",
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
                commands = filter(None, (self.get_command(context, name) for name in names))
                formatter.write_dl([(c.name or "", c.get_short_help_str(room)) for c in commands])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Returns a command by its name, or None."""
        import importlib

        if name not in self._modules:
            return None
        module = importlib.import_module(f"studies.commands.{self._modules[name]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that the arguments name, or suggests the nearest command."""
        name = arguments[0]
        if name not in self._modules and not name.startswith("-"):
            from search_spaces.errors import suggestion

            context.fail(f"There is no command {name!r}. {suggestion(name, self._modules)}")
        return super().resolve_command(context, arguments)


class Sectioned(click.Command):
    """A command whose help shows its options in sections.

    ``sections`` has the options' parameter names by title. The last section has all other options.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **given: Any) -> None:
        super().__init__(*args, **given)
        self.sections = sections

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options of each section."""
        section_of = {name: title for title, names in self.sections.items() for name in names}
        options: dict[str, list[tuple[str, str]]] = {title: [] for title in self.sections}
        last = [*options][-1]
        for each in self.get_params(context):
            record = each.get_help_record(context)
            if isinstance(each, click.Option) and record is not None:
                options[section_of.get(each.name or "", last)].append(record)
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
    kerastudy launch digits              a first study, on data that comes along
    kerastudy new my_study.py            a study file to start from
    kerastudy launch my_study.py --trials 50
    kerastudy data digits                what is wrong with its data
    kerastudy show digits                its best trial
    kerastudy compare digits other       studies, or a study's engines
    kerastudy diagnose digits            what to search next, and why
    kerastudy report digits              its report, in the browser
    kerastudy ui digits                  look at it in the MLflow UI
    kerastudy reproduce digits           run the best trial again, bit for bit
    kerastudy predict digits --input new.npy
    kerastudy confirm digits             how far to believe its choice
    kerastudy evaluate digits            its champion on the sealed test part
    kerastudy promote digits --trial 7   choose another champion
    kerastudy export digits --as script  the best trial as plain Keras
    kerastudy push digits                send it to an MLflow server too
    kerastudy doctor --fix               find and mend what is wrong in the store
    """


def telling_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command print an error as one line and exit with 2, and exit with 130 on Ctrl-C."""

    @functools.wraps(command)
    def told(*arguments: Any, **options: Any) -> None:
        from search_spaces.errors import KerastudyError
        from tracking.store.store_folder import as_store_errors

        try:
            with as_store_errors():
                command(*arguments, **options)
        except KerastudyError as error:
            _fail(str(error))
        except KeyboardInterrupt as error:
            # The exception is handled here, since click drops its text.
            _interrupted(str(error))

    return told


def check_trusted(store: Path | None, trust: bool) -> None:
    """Asks whether to run the code in a store that another user made. A yes is recorded."""
    from search_spaces.errors import StoreError
    from tracking.store import store_json
    from tracking.store.store_folder import default_store_path, real_folder
    from tracking.store.store_json import facts_fault, is_store

    root = real_folder(store if store is not None else default_store_path())
    # A store of a newer version raises here, before the question.
    facts_fault(root)
    reason = store_json.stranger(root) if is_store(root) else ""
    if not reason:
        return
    text = f"The store {str(root)!r} {reason}, and this command runs the code recorded in it."
    if not trust:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise StoreError(f"{text} If you trust it, give --trust.")
        if not click.confirm(f"{text} Do you trust it?", err=True):
            raise StoreError("Nothing was run.")
    # If the answer can't be recorded, the next command asks again.
    with contextlib.suppress(OSError):
        store_json.trust(root)


def tell(text: str) -> None:
    """Prints lines for people. Characters that control a terminal are escaped."""
    click.echo("\n".join(map(printable, text.split("\n"))))


def answer(as_json: bool, document: Callable[[], object], text: Callable[[], str]) -> None:
    """Prints one JSON document, or a text for people."""
    if as_json:
        print_json(document())
    else:
        tell(text())


def print_json(document: object) -> None:
    """Prints one JSON document on standard output."""
    # JSON has no infinity, so null takes its place.
    text = json.dumps(_without_infinities(document), indent=2, ensure_ascii=False)
    click.echo(text)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinities(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fail(message: str) -> None:
    line = f"kerastudy: {' '.join(line.strip() for line in message.splitlines())}"
    # The line is wrapped here, since a terminal would break it within words.
    lines = wrapped(line, indent=0) if sys.stderr.isatty() else [printable(line)]
    click.echo("\n".join(lines), err=True)
    sys.exit(EXIT_WRONG_USE)


def _interrupted(what: str = "") -> None:
    # The terminal may be closed.
    with contextlib.suppress(OSError):
        click.echo(f"kerastudy: interrupted{what and f': {what}'}", err=True)
    sys.exit(EXIT_INTERRUPTED)


def main() -> None:
    """Runs the command line."""
    load_late()
    try:
        with raising_interrupts():
            kerastudy.main(prog_name="kerastudy", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        # Older versions of click print the help themselves.
        without_arguments = getattr(click.exceptions, "NoArgsIsHelpError", ())
        if context is None or isinstance(error, without_arguments):
            error.show()
            sys.exit(EXIT_WRONG_USE)
        message = error.format_message()
        end = "" if message.endswith((".", "?")) else "."
        _fail(f"{message}{end} See: {context.command_path} --help")
    except (KeyboardInterrupt, click.Abort):
        _interrupted()
    except BrokenPipeError:
        # In `kerastudy show digits | head`, `head` may end first, which is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()

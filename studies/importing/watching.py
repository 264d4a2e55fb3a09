"""Runs a script up to its search: ``tuner.search(…)`` or ``study.optimize(…)``.

The script's top-level code runs, as it must: its data and its builder are then real objects. The
search does not run, and nothing of an earlier one is touched: a tuner gets an empty folder, an
Optuna study a storage in memory.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from search_spaces.errors import StudyFileError
from studies.engines.keras_tuner_import import import_keras_tuner
from studies.error_texts import describe

_FOR_TUNER = ("directory", "project_name", "overwrite")


class SearchReached(BaseException):
    """Ends a script at its search. Not an `Exception`: the script's own handlers let it pass."""


@dataclass(frozen=True)
class Call:
    """A call in the script.

    Attributes:
        frames: The script's frames at the call, the module's first.
        places: Where each of them was, as lines and columns: those of `ast`'s nodes.
        arguments: The given arguments by name.
    """

    frames: tuple[FrameType, ...]
    places: tuple[tuple[int | None, ...], ...]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Search:
    """A search that a script was about to begin.

    Attributes:
        owner: The tuner of Keras Tuner, or Optuna's study.
        call: The call of ``search`` or ``optimize``.
        made: How the owner was made; None if Optuna's study was loaded.
        namespaces: The names of each of the call's frames, the module's first.
        queued: Values that Optuna's study was to try first.
    """

    owner: Any
    call: Call
    made: Call | None
    namespaces: tuple[Mapping[str, Any], ...]
    queued: tuple[Mapping[str, Any], ...] = ()

    @property
    def of_keras_tuner(self) -> bool:
        """Whether it is one of Keras Tuner's."""
        return not hasattr(self.owner, "optimize")


def run_to_search(path: Path, source: str, arguments: Sequence[str]) -> Search:
    """Runs a script until it begins a search.

    Args:
        path: Its file.
        source: Its text.
        arguments: What it gets on its command line.

    Raises:
        StudyFileError: If it does not parse, raises, or ends without a search.
    """
    code = compiled(path, source)
    import_keras_tuner()
    module = ModuleType("__main__")
    module.__file__ = str(path)
    watch = _Watch(str(path))
    # Python's tracebacks and TensorFlow's AutoGraph read the text here.
    linecache.cache[str(path)] = (len(source), None, source.splitlines(True), str(path))
    with (
        tempfile.TemporaryDirectory(prefix="kerastudy-") as folder,
        watch.watching(folder),
        _as_program(module, path, arguments),
    ):
        try:
            exec(code, module.__dict__)
        except (SearchReached, KeyboardInterrupt):
            if watch.found is None:
                raise
        except SystemExit as ended:
            if watch.found is None:
                raise StudyFileError(
                    f"{str(path)!r} ended before a search, with exit code {ended.code!r}. If it "
                    "needs arguments, give them after --."
                ) from None
        except BaseException as error:
            line = _line_of(error, str(path))
            raise StudyFileError(f"{str(path)!r} raised{line}: {describe(error)}") from None
    if watch.found is None:
        raise StudyFileError(
            f"{str(path)!r} ran to its end without a call of a Keras Tuner's search or of "
            "Optuna's study.optimize. Give the script that searches. A file that has a builder or "
            "an objective alone needs no import: see kerastudy launch --help."
        )
    return watch.found


def compiled(path: Path, source: str) -> Any:
    """Returns a script's code. Raises StudyFileError if it does not parse."""
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise StudyFileError(
            f"{str(path)!r} does not parse{line}: {getattr(error, 'msg', error)}."
        ) from None


class _Watch:
    """Ends a script at its search."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._made: dict[int, Call] = {}
        self.queued: dict[int, list[dict[str, Any]]] = {}
        self.found: Search | None = None

    @contextlib.contextmanager
    def watching(self, folder: str) -> Iterator[None]:
        """Replaces what would search, and what would write, within."""
        import keras_tuner
        import optuna

        kinds = (keras_tuner.Tuner, keras_tuner.SklearnTuner)
        with contextlib.ExitStack() as stack:
            for kind in kinds:
                begun = functools.partialmethod(_begin, self)
                made = _in_folder(kind.__init__, self, folder)
                stack.enter_context(_replaced(kind, "search", begun))
                stack.enter_context(_replaced(kind, "__init__", made))
            begun = functools.partialmethod(_begin, self)
            stack.enter_context(_replaced(optuna.Study, "optimize", begun))
            queue = functools.partialmethod(_queue, self)
            stack.enter_context(_replaced(optuna.Study, "enqueue_trial", queue))
            create = _in_memory(optuna.create_study, self)
            for place in (optuna, optuna.study):
                stack.enter_context(_replaced(place, "create_study", create))
            yield

    def call(self, arguments: Mapping[str, Any]) -> Call:
        """Returns a call that the script makes now."""
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename == self._path:
                frames.insert(0, frame)
            frame = frame.f_back
        return Call(tuple(frames), tuple(map(_place, frames)), dict(arguments))

    def made(self, owner: Any, arguments: Mapping[str, Any]) -> None:
        """Takes note of how a tuner or a study is made."""
        self._made[id(owner)] = self.call(arguments)

    def begin(self, owner: Any, arguments: Mapping[str, Any]) -> None:
        """Takes the search, and ends the script."""
        call = self.call(arguments)
        namespaces = tuple(dict(frame.f_locals) for frame in call.frames)
        queued = tuple(self.queued.get(id(owner), ()))
        self.found = Search(owner, call, self._made.get(id(owner)), namespaces, queued)
        raise SearchReached


def _begin(owner: Any, watch: _Watch, *given: Any, **named: Any) -> None:
    import keras
    import optuna

    optunas = isinstance(owner, optuna.Study)
    of = inspect.signature(_optimize if optunas else keras.Model.fit)
    first: tuple[Any, ...] = () if optunas else (None,)
    known = {name: value for name, value in named.items() if name in of.parameters}
    arguments = dict(of.bind_partial(*first, *given, **known).arguments)
    arguments.pop("self", None)
    watch.begin(owner, {**arguments, **named})


def _optimize(
    func: Any,
    n_trials: Any = None,
    timeout: Any = None,
    n_jobs: Any = 1,
    catch: Any = (),
    callbacks: Any = None,
    gc_after_trial: Any = False,
    show_progress_bar: Any = False,
) -> None:
    """Has the parameters of Optuna's `Study.optimize`, which is replaced while this is used."""


def _queue(owner: Any, watch: _Watch, params: dict[str, Any], *_: Any, **__: Any) -> None:
    watch.queued.setdefault(id(owner), []).append(dict(params))


def _in_folder(make: Any, watch: _Watch, folder: str) -> Any:
    @functools.wraps(make)
    def made(self: Any, *given: Any, **named: Any) -> None:
        arguments = dict(inspect.signature(make).bind_partial(self, *given, **named).arguments)
        arguments |= arguments.pop("kwargs", {})
        arguments.pop("self", None)
        watch.made(self, arguments)
        kept = {n: v for n, v in arguments.items() if n not in _FOR_TUNER}
        make(self, **kept, directory=folder, project_name=f"tuner{id(self)}")

    return made


def _in_memory(make: Any, watch: _Watch) -> Any:
    @functools.wraps(make)
    def made(**named: Any) -> Any:
        kept = {n: v for n, v in named.items() if n not in ("storage", "load_if_exists")}
        study = make(**kept)
        watch.made(study, named)
        return study

    return made


@contextlib.contextmanager
def _replaced(place: Any, name: str, by: Any) -> Iterator[None]:
    own = name in vars(place)
    before = vars(place).get(name)
    setattr(place, name, by)
    try:
        yield
    finally:
        if own:
            setattr(place, name, before)
        else:
            delattr(place, name)


@contextlib.contextmanager
def _as_program(module: ModuleType, path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Makes a module the program's, as ``python script.py`` does, without windows for plots."""
    main, argv, folders = sys.modules["__main__"], sys.argv, sys.path[:]
    backend = os.environ.get("MPLBACKEND")
    sys.modules["__main__"] = module
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    os.environ["MPLBACKEND"] = "agg"
    try:
        yield
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = main, argv, folders
        os.environ.pop("MPLBACKEND", None)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _place(frame: FrameType) -> tuple[int | None, ...]:
    """Returns what a frame runs now: first and last line, first and last column."""
    places = list(frame.f_code.co_positions())
    return places[frame.f_lasti // 2]


def _line_of(error: BaseException, path: str) -> str:
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line


def call_at(tree: ast.Module, place: tuple[int | None, ...]) -> ast.Call | None:
    """Returns the call at a place of a script."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and place == (
            node.lineno,
            node.end_lineno,
            node.col_offset,
            node.end_col_offset,
        ):
            return node
    return None

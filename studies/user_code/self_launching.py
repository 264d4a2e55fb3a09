"""Study files that launch: scripts that call ``study.launch()`` at their top level.

Workers load such a file, and so does reproducing a trial. They need a study, and must not launch
anything. Loading ends at the launch of the wanted study. Launches of other studies before it are
skipped. So it is with the searches of a script for Keras Tuner or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from search_spaces.errors import StudyFileError
from studies.definition.study_definition import StudyDefinition
from studies.libraries.searches import Search

if TYPE_CHECKING:
    from tracking.history.study_history import StudyHistory


class StudyLaunched(BaseException):
    """The launch of the study, or the search, that a file is being loaded for raises it.

    Not an `Exception`, so that the file's own ``except Exception`` lets it pass.
    """


@dataclass
class Loading:
    """A file that is being loaded, for the study of a variable or of a name.

    If both are empty, it is the first that the file launches, or the first search of a script.

    Attributes:
        search: The script's search, if the study is that of a search.
        passed_over: Searches of something else, which were skipped.
    """

    module: ModuleType
    variable: str
    study_name: str
    launched: StudyDefinition | None = field(default=None)
    search: Search | None = field(default=None)
    passed_over: list[Search] = field(default_factory=list)

    def met(self, study: StudyDefinition) -> bool:
        """Returns whether a launched study is the wanted one."""
        if self.variable:
            return self.variable in vars(self.module)
        if self.study_name in ("", study.name):
            self.launched = self.launched or study
            return True
        defined = [each for each in vars(self.module).values() if isinstance(each, StudyDefinition)]
        return self.study_name in [each.name for each in defined]

    def searched(self, search: Search) -> None:
        """Takes a script's search, if it is the wanted one, which ends the loading."""
        named = vars(self.module).get(self.variable)
        if self.variable and not any(named is each for each in (search.owner, search.function)):
            self.passed_over.append(search)
            return
        # A script that catches everything may search again.
        self.search = self.search or search
        raise StudyLaunched


# Innermost last: a file may load another one.
_files: Final[list[Loading]] = []


@contextmanager
def loading(file: Loading) -> Iterator[None]:
    """Marks launches within as launches by a file that is only being loaded."""
    _files.append(file)
    try:
        yield
    finally:
        _files.pop()


def launched_while_loading(study: StudyDefinition) -> StudyHistory | None:
    """Returns what `Study.launch` returns in a file that is only being loaded; else None.

    Raises StudyLaunched if it is the wanted study: the rest of the file need not run.
    """
    if not _files:
        return None
    if _files[-1].met(study):
        raise StudyLaunched
    wanted = _files[-1].variable or _files[-1].study_name
    return _NotLaunched(study.name, wanted)  # type: ignore[return-value]


class _NotLaunched:
    """Stands for the history of a study that a file launches before the wanted one.

    It and its parts can be printed, but not used to compute anything.
    """

    def __init__(self, study: str, wanted: str) -> None:
        self._refusal = (
            f"the result of the study {study!r} is missing while its file is loaded for "
            f"{wanted!r}. Put code that needs it after that launch, or into another file"
        )
        self._study = study

    def _refuse(self, *_: object) -> NoReturn:
        raise StudyFileError(self._refusal)

    def _same(self, *_: object, **__: object) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        # Python's own protocols ask for such names, to see what this can do.
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __repr__(self) -> str:
        return f"<study {self._study!r}, not launched>"

    def __format__(self, _format: str) -> str:
        return repr(self)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    # Numbers are printed as percentages and differences, which print in the same way.
    __call__ = __getitem__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __neg__ = __abs__ = __round__ = _same
    # A study or a branch that depends on it would differ from the one that was launched.
    __bool__ = __float__ = __int__ = __index__ = __array__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _refuse
    __eq__ = _refuse
    __hash__ = None  # type: ignore[assignment]

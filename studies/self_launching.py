"""Study files that launch: scripts that call ``study.launch()`` at their top level.

Such a file is loaded by workers, and to reproduce a trial: what is wanted then is a study, and
nothing is to be launched. At the launch of the study that is wanted the rest of the file does not
run. Another study that is launched before it, by the same file, is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from studies.errors import StudyFileError
from studies.study_definition import StudyDefinition

if TYPE_CHECKING:
    from tracking.history import StudyHistory


class StudyLaunched(BaseException):
    """Raised by `Study.launch` where a file is loaded for that very study.

    Not an `Exception`, so that the file's own ``except Exception`` lets it pass.
    """


@dataclass
class Loading:
    """A file that is being loaded.

    Attributes:
        module: What it defines, as far as it has run.
        variable: The variable that holds the study that is wanted, or empty.
        study_name: The name of that study, or empty. If both are, it is the first one launched.
        launched: Which it was, once it was met.
    """

    module: ModuleType
    variable: str
    study_name: str
    launched: StudyDefinition | None = field(default=None)

    def met(self, study: StudyDefinition) -> bool:
        """Tells whether the study that is wanted is there, when one is launched."""
        if self.variable:
            return self.variable in vars(self.module)
        if self.study_name in ("", study.name):
            self.launched = self.launched or study
            return True
        defined = [each for each in vars(self.module).values() if isinstance(each, StudyDefinition)]
        return self.study_name in [each.name for each in defined]


# Innermost last: a file may load another one.
_files: Final[list[Loading]] = []


@contextmanager
def loading(file: Loading) -> Iterator[None]:
    """Has launches of studies be launches by a file that is only being loaded."""
    _files.append(file)
    try:
        yield
    finally:
        _files.pop()


def launched_while_loading(study: StudyDefinition) -> StudyHistory | None:
    """Returns what `Study.launch` returns in a file that is only being loaded; else None.

    Raises:
        StudyLaunched: If the study that is wanted is there: the rest of the file need not run.
    """
    if not _files:
        return None
    if _files[-1].met(study):
        raise StudyLaunched
    wanted = _files[-1].variable or _files[-1].study_name
    return _NotLaunched(study.name, wanted)  # type: ignore[return-value]


class _NotLaunched:
    """Stands for the history of a study that a file launches before the one that is wanted.

    It can be shown, and so can all that is in it. Nothing can be made of it.
    """

    def __init__(self, study: str, wanted: str) -> None:
        self._told = (
            f"what came of the study {study!r} isn't there while its file is loaded for "
            f"{wanted!r}. Put what needs it into another file, or behind the launch of {wanted!r}"
        )
        self._study = study

    def _refuse(self, *_: object) -> NoReturn:
        raise StudyFileError(self._told)

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

    # Numbers are shown as percentages and differences; what comes of that is shown likewise.
    __call__ = __getitem__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __neg__ = __abs__ = __round__ = _same
    # A study that depends on it, or a branch, would be another than the one that was launched.
    __bool__ = __float__ = __int__ = __index__ = __array__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _refuse
    __eq__ = _refuse
    __hash__ = None  # type: ignore[assignment]

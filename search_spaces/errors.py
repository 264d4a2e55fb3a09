"""The errors of kerastudy, as one tree. Catch the root, or the branch that you expect.

    KerastudyError
    ├── SearchSpaceError            a search space, a parameter, or a value
    │   └── HyperparameterError     a builder reads a name without a value, or uses `hp` wrongly
    ├── DataError                   data, or a description of data
    │   └── NoTestPartError         the data has no test part to evaluate on
    ├── StudyError                  a study, or a task that a study can't do
    │   ├── StudyFileError          the study file: missing, doesn't parse, raises, has no study
    │   ├── BuilderError            the model builder: no model, not compiled, an undeclared name
    │   ├── ObjectiveError          the objective or its direction is unknown
    │   ├── EngineError             the engine or pruner: unknown, or can't serve the space
    │   ├── WorkerError             a worker process ended by itself
    │   └── FailedAlikeError        the first trials of a launch all fail alike
    ├── TrackingError               the record of studies
    │   ├── StoreError              the store: its folder, its databases
    │   │   └── StoreLockedError    another process is using the store
    │   ├── StudyNotFoundError      no such study or trial in the store
    │   ├── StudyChangedError       another definition is recorded under this name
    │   ├── StudyNameError          a study can't have this name
    │   ├── ComparisonError         these studies can't be compared
    │   ├── StatisticsError         the scores are too few, or unfit, for an interval
    │   ├── ServerAwayError         an MLflow server doesn't answer now
    │   └── ServerRefusedError      an MLflow server rejects the data that it gets
    └── InternalError               kerastudy raises and handles it: users never see one

The text of each error says what is wrong, what was received, and what to do: `KerastudyError`
writes the sentences. The command line prints them as one line and exits with code 2.
"""

from __future__ import annotations

from typing import Final, Self, TypeVar

from search_spaces.texts import shown

_NOTHING: Final = object()
_Kind = TypeVar("_Kind", bound="KerastudyError")


def __dir__() -> list[str]:
    return __all__


class KerastudyError(Exception):
    """The base of all errors of kerastudy.

    Attributes:
        setting: The name of the setting that is wrong, or empty.
        expected: What the setting must be, such as "a whole number of at least 1", or empty.
        received: What was received instead, as text, or empty.
        hint: What to do, in sentences, or empty.
    """

    setting = expected = received = hint = ""

    def __init__(self, wrong: str = "", *, received: object = _NOTHING, hint: str = "") -> None:
        """Writes the text: what is wrong, what was received, what to do.

        Args:
            wrong: What is wrong. If `received` or `hint` is given, a period is added.
            received: The wrong value. If not given, the text has no "Received: …".
            hint: What to do, in sentences.
        """
        if received is not _NOTHING:
            # The error keeps the value as a text, because errors are sent between processes: a text
            # can always be pickled, unlike some values.
            self.received = shown(received)
        self.hint = hint
        sentences = [wrong, f"Received: {self.received}" if self.received else "", hint]
        if self.received or hint:
            sentences = [f"{text.removesuffix('.')}." for text in sentences[:2] if text] + [hint]
        super().__init__(" ".join(text for text in sentences if text))

    @classmethod
    def of_setting(cls, setting: str, expected: str, received: object, hint: str = "") -> Self:
        """Returns the error for a setting whose received value is not the expected one."""
        error = cls(f"{setting} must be {expected}", received=received, hint=hint)
        error.setting, error.expected = setting, expected
        return error

    def of_kind(self, kind: type[_Kind], where: str = "") -> _Kind:
        """Returns an error of another class. Its text is `where` and then this error's text."""
        error = kind(f"{where}{self}")
        vars(error).update(vars(self))
        return error


class SearchSpaceError(KerastudyError, ValueError):
    """A search space, a parameter or a set of values is wrong."""


class HyperparameterError(SearchSpaceError, KeyError):
    """A builder reads a hyperparameter that has no value, or uses `hp` or `trial` wrongly.

    The error is also a KeyError, because a dict raises KeyError for a missing name. Unlike other
    KeyErrors, its text has no quotes around it.
    """

    def __str__(self) -> str:
        """Returns the message, without quotes."""
        return str(self.args[0]) if self.args else ""


class DataError(KerastudyError, ValueError):
    """The data is unfit for a study, or its description is wrong."""


class NoTestPartError(DataError):
    """The data has no test part to evaluate on."""


class StudyError(KerastudyError):
    """A study is wrong, or can't do what it was asked to do."""


class StudyFileError(StudyError):
    """The study file is missing, does not parse, raises, or has no study."""


class BuilderError(StudyError):
    """The builder returns no compiled Keras model, or reads a name that the space lacks."""


class ObjectiveError(StudyError, ValueError):
    """The model does not log the objective, or the objective's direction is unknown."""


class EngineError(StudyError, ValueError):
    """The engine or pruner is unknown, or can't serve the space."""


class WorkerError(StudyError):
    """The worker process ended by itself, or could not be started.

    Attributes:
        killed: Whether the process was killed, by a person or for lack of memory.
        out_of_memory: Whether the process was killed for lack of memory, as far as kerastudy can
            tell.
        machine_gone: Whether the machine on which the process ran is gone.
    """

    def __init__(
        self,
        message: str,
        *,
        killed: bool = False,
        out_of_memory: bool = False,
        machine_gone: bool = False,
    ) -> None:
        super().__init__(message)
        self.killed, self.out_of_memory = killed, out_of_memory
        self.machine_gone = machine_gone


class FailedAlikeError(StudyError):
    """The first trials all raise the same error, so more trials would waste the budget."""


class TrackingError(KerastudyError):
    """The record of studies can't be read, written or sent."""


class StoreError(TrackingError):
    """The store can't be used: missing, not writable, damaged, or too new."""


class StoreLockedError(StoreError):
    """Another process is using the store."""


class StudyNotFoundError(TrackingError):
    """The store has no such study or trial."""


class StudyChangedError(TrackingError):
    """The store has a study with this name and another definition."""


class StudyNameError(TrackingError, ValueError):
    """A study's name is empty, or has characters that names can't have."""


class ComparisonError(TrackingError, ValueError):
    """The studies can't be compared: their objectives differ, or there are fewer than two."""


class StatisticsError(TrackingError, ValueError):
    """The scores are too few, or unfit, for a correction or an interval."""


class ServerAwayError(TrackingError):
    """An MLflow server does not answer properly now, but may do so later."""


class ServerRefusedError(TrackingError):
    """An MLflow server rejects the data that it gets. Sending the data again does not help."""


class InternalError(KerastudyError):
    """The base of the errors that kerastudy raises and handles itself: users never see one."""


__all__ = [n for n in dir() if n.endswith("Error") and n != "InternalError"]

"""Descriptions of data in arrays, and the text of the call that made one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from studies.data.arrays.checks import by_rule
from studies.data.arrays.partition import Contents, make_splits
from studies.data.arrays.preprocessing import preprocessing_name
from studies.data.arrays.splits import Splits
from studies.data.folds.cross_validation import CrossValidation
from studies.data.folds.folded import FoldedSplits, Written, make_folds, shared_folds
from studies.data.options import Options
from studies.data.protocol import DescribedData

# Arrays in a row that `repr` shows one by one.
_FEW = 8


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(DescribedData):
    """A description of data in arrays. Make one by a function of `datasets`.

    Attributes:
        rule: the function that made the targets, for reports.
    """

    options: Options
    read: Callable[[], Contents]
    rule: Callable[[Any], Any] | None = None

    if TYPE_CHECKING:

        def load(self) -> Splits: ...

        def load_shared(self, folder: Path) -> Splits: ...

    def _read(self) -> Splits:
        contents = self.read()
        if self.rule is not None:
            by_rule(self.rule, contents.pool.x)
        return make_splits(contents, self.options)

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        if folder is None:
            return make_folds(self.read(), self.options, how)
        return shared_folds(partial(self._written_folds, how), folder)

    def _written_folds(self, how: CrossValidation, written: Written) -> FoldedSplits:
        return make_folds(self.read(), self.options, how, written)


def unless(defaults: dict[str, object], **given: object) -> dict[str, object]:
    """Returns the options that are not their defaults, for `repr`."""
    return {
        option: value
        for option, value in given.items()
        if type(value) is not type(defaults[option]) or value != defaults[option]
    }


def call_text(function: str, *positional: object, **options: object) -> str:
    """Returns the call of a function of `datasets`, arrays by dtype and shape, for `repr`."""
    shown = [_shown(value) for value in positional]
    shown += [f"{option}={_shown(value)}" for option, value in options.items()]
    return f"datasets.{function}({', '.join(shown)})"


def _holds_arrays(value: object) -> TypeGuard[Sequence[object]]:
    """Returns whether a value is a sequence of a few arrays, or of dicts or tuples of arrays."""
    if not isinstance(value, tuple | list) or not 0 < len(value) <= _FEW:
        return False
    first = value[0]
    return hasattr(first, "shape") or isinstance(first, Mapping) or _holds_arrays(first)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name!r}: {_shown(each)}' for name, each in value.items())}}}"
    if _holds_arrays(value):
        return f"({', '.join(map(_shown, value))})"
    if hasattr(value, "shape"):
        dtype = f" {value.dtype}" if hasattr(value, "dtype") else ""
        return f"<{type(value).__name__}{dtype} {tuple(value.shape)}>"
    if isinstance(value, list | tuple):
        return f"<{type(value).__name__} of {len(value)}>"
    if value is None or isinstance(value, str | bool | int | float | np.number):
        return repr(value.item() if isinstance(value, np.number) else value)
    return str(preprocessing_name(value))

"""How a cross-validated study splits its data; scikit-learn's splitters draw the folds.

splits.stratified(5)
splits.k_fold(5)
splits.grouped(patients, 5)
splits.repeated(5, times=3)
splits.forward(5, gap=7)
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import DataError
from studies.data.folds.cross_validation import CrossValidation, Drawn, Forward, Grouped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["forward", "grouped", "k_fold", "repeated", "stratified"]


def __dir__() -> list[str]:
    return __all__


def stratified(folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Folds with the classes in equal proportions.

    They are those of ``StratifiedKFold(folds, shuffle=True, random_state=seed)``.

    Args:
        folds: At least 2, and no more than samples of the rarest class.
        seed: What they are drawn with, 0 to 2**32 - 1.

    Example:
        >>> ks.splits.stratified(5)
        splits.stratified(5)
    """
    return Drawn(folds, seed, by_class=True)


def k_fold(folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Folds that are drawn at random, whatever the classes.

    They are those of ``KFold(folds, shuffle=True, random_state=seed)``.
    """
    return Drawn(folds, seed, by_class=False)


def grouped(groups: ArrayLike, folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Folds that share no group, such as a patient or a machine.

    They are those of ``StratifiedGroupKFold(folds, shuffle=True, random_state=seed)`` for classes,
    else of ``GroupKFold(folds)``. The test part must be ready-made, or there must be none: drawn at
    random, it would share groups with the rest.

    Args:
        groups: The group of each sample of `x`, and then of a ready-made validation part.
        folds: At least 2, and no more than groups.
        seed: What they are drawn with, where there are classes.
    """
    return Grouped(folds, np.array(groups), seed)


def repeated(folds: int = 5, times: int = 2, *, seed: int = 0) -> CrossValidation:
    """Folds that are drawn several times, which makes the mean of a trial more certain.

    They are those of ``RepeatedStratifiedKFold(n_splits=folds, n_repeats=times,
    random_state=seed)`` for classes, else of ``RepeatedKFold``.
    """
    return Drawn(folds, seed, times=times)


def forward(
    folds: int = 5,
    *,
    gap: int = 0,
    test_size: int | None = None,
    max_train_size: int | None = None,
) -> CrossValidation:
    """Folds of a time series: each is validated on samples that follow those it is trained on.

    They are those of ``TimeSeriesSplit(folds, …)``. The samples must be in the order of time. The
    test part must be ready-made, such as the last samples, or there must be none.

    Args:
        folds: At least 2.
        gap: Samples left out between the training and the validation part of a fold.
        test_size: Validation samples of each fold; None: samples / (folds + 1).
        max_train_size: The most training samples of a fold; None: all before.
    """
    return Forward(folds, gap, test_size, max_train_size)


def check_cross_validation(value: object) -> CrossValidation | None:
    """Returns how to split; a number of folds is stratified where there are classes.

    Raises:
        DataError: If it is something else, or there are less than 2 folds.
    """
    if value is None or isinstance(value, CrossValidation):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Drawn(value)
    raise DataError(
        "cross_validation must be a number of folds, or how to split, such as "
        f"kerastudy.splits.stratified(5) or kerastudy.splits.forward(5). Received: {value!r:.200}"
    )


def read_spelled(text: str) -> CrossValidation | None:
    """Returns what `repr` has spelled; None for groups, which are not in it, and for no text."""
    if not text or text.startswith("splits.grouped"):
        return None
    if text.isdigit():
        return Drawn(int(text))
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute), "it is a call"
    calls: dict[str, Callable[..., CrossValidation]] = {
        "stratified": stratified,
        "k_fold": k_fold,
        "repeated": repeated,
        "forward": forward,
    }
    options = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    return calls[call.func.attr](*map(ast.literal_eval, call.args), **options)

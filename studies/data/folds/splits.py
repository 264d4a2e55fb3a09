"""How a cross-validated study splits its data; scikit-learn's splitters draw the folds.

splits.stratified(5)
splits.k_fold(5)
splits.grouped(patients, 5)
splits.repeated(5, times=3)
splits.forward(5, gap=7)
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["forward", "grouped", "k_fold", "repeated", "stratified"]

Indices = tuple[np.ndarray, np.ndarray]
"""Those of a fold's training samples, then of its validation samples."""


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True, eq=False)
class CrossValidation(ABC):
    """How samples are split into folds.

    Attributes:
        folds: Parts that the samples are split into, at least 2.
        drawn_test: Why the test part can't be drawn at random from the same samples, or empty.
    """

    folds: int
    drawn_test: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Checks the numbers. Raises DataError if one is wrong."""
        _check_whole("folds", self.folds, 2)

    @property
    def trainings(self) -> int:
        """Trainings of each trial: a fold each."""
        return self.folds

    def indices(
        self, samples: int, labels: np.ndarray | None, y_name: str = "y"
    ) -> tuple[Indices, ...]:
        """Returns the samples of each fold.

        Args:
            samples: How many there are.
            labels: Their classes, or None if the targets are no classes.
            y_name: Name of the targets in messages.

        Raises:
            DataError: If there are too few samples, of all or of a class.
        """
        if samples < self.folds:
            raise DataError(
                f"{samples} samples can't be split into {self.folds} folds. Pass fewer folds, or "
                "more samples."
            )
        splitter, strata = self._splitter(samples, labels, y_name)
        try:
            found = splitter.split(np.zeros(samples), strata, self._groups())
            return tuple((train, validation) for train, validation in found)
        except ValueError as error:
            raise DataError(f"{samples} samples can't be split by {self!r}: {error}") from None

    @abstractmethod
    def _splitter(
        self, samples: int, labels: np.ndarray | None, y_name: str
    ) -> tuple[Any, np.ndarray | None]:
        """Returns scikit-learn's splitter, and the classes that it gets."""

    def _groups(self) -> np.ndarray | None:
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Drawn(CrossValidation):
    """Folds that are drawn at random.

    Attributes:
        seed: What they are drawn with, 0 to 2**32 - 1.
        by_class: Whether each fold gets the classes in equal proportions; None: if there are some.
        times: How often all samples are split anew, at least 1.
    """

    seed: int = 0
    by_class: bool | None = None
    times: int = 1

    def __post_init__(self) -> None:
        """See `CrossValidation`."""
        super().__post_init__()
        _check_seed(self.seed)
        _check_whole("times", self.times, 1)

    def __repr__(self) -> str:
        """Returns the call that makes it."""
        if self.times > 1:
            return _call("repeated", self.folds, times=self.times, seed=self.seed)
        name = {None: "", True: "stratified", False: "k_fold"}[self.by_class]
        return _call(name, self.folds, seed=self.seed) if name else str(self.folds)

    @property
    def trainings(self) -> int:
        """See `CrossValidation`."""
        return self.folds * self.times

    def _splitter(
        self, samples: int, labels: np.ndarray | None, y_name: str
    ) -> tuple[Any, np.ndarray | None]:
        # Late: the import takes half a second.
        from sklearn import model_selection

        strata = None if self.by_class is False else labels
        if strata is None and self.by_class:
            raise DataError(
                f"{self!r} needs classes, and {y_name} holds none, or the data has "
                f"stratify=False. Use splits.k_fold({self.folds})."
            )
        if strata is not None:
            check_classes(strata, self.folds, y_name)
        again = {} if self.times == 1 else {"n_repeats": self.times}
        shuffled = {"shuffle": True} if self.times == 1 else {}
        kind = "KFold" if strata is None else "StratifiedKFold"
        kind = kind if self.times == 1 else f"Repeated{kind}"
        make = getattr(model_selection, kind)
        return make(n_splits=self.folds, random_state=self.seed, **again, **shuffled), strata


@dataclass(frozen=True, eq=False, repr=False)
class Grouped(CrossValidation):
    """Folds that share no group.

    Attributes:
        groups: The group of each sample.
        seed: What they are drawn with, where there are classes.
    """

    groups: np.ndarray
    seed: int = 0
    drawn_test: ClassVar[str] = "some groups would be in both"

    def __post_init__(self) -> None:
        """See `CrossValidation`."""
        super().__post_init__()
        _check_seed(self.seed)
        if self.groups.ndim != 1 or self.groups.dtype.kind not in "biufUSO":
            raise DataError(
                "groups must be a list with the group of each sample, as numbers or texts. "
                f"Received an array of {self.groups.dtype} of shape {self.groups.shape}."
            )

    def __repr__(self) -> str:
        """Returns the call that makes it."""
        return _call("grouped", f"<{len(self.groups)} samples>", self.folds, seed=self.seed)

    def indices(
        self, samples: int, labels: np.ndarray | None, y_name: str = "y"
    ) -> tuple[Indices, ...]:
        """See `CrossValidation`."""
        if len(self.groups) != samples:
            raise DataError(
                f"groups holds {len(self.groups)} group(s) for {samples} samples. Pass one for "
                "each sample that is not in the test part."
            )
        found = len(set(self.groups.tolist()))
        if found < self.folds:
            raise DataError(
                f"{found} group(s) can't be split into {self.folds} folds. Pass fewer folds."
            )
        return super().indices(samples, labels, y_name)

    def _groups(self) -> np.ndarray | None:
        return self.groups

    def _splitter(
        self, samples: int, labels: np.ndarray | None, y_name: str
    ) -> tuple[Any, np.ndarray | None]:
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

        if labels is None:
            return GroupKFold(n_splits=self.folds), None
        check_classes(labels, self.folds, y_name)
        stratified = StratifiedGroupKFold(self.folds, shuffle=True, random_state=self.seed)
        return stratified, labels


@dataclass(frozen=True, eq=False, repr=False)
class Forward(CrossValidation):
    """Folds of samples in the order of time: each is validated on what follows its training part.

    Attributes:
        gap: Samples left out between the two.
        test_size: Validation samples of each fold; None: samples / (folds + 1).
        max_train_size: The most training samples of a fold; None: all before.
    """

    gap: int = 0
    test_size: int | None = None
    max_train_size: int | None = None
    drawn_test: ClassVar[str] = "some of its samples would be earlier than those trained on"

    def __post_init__(self) -> None:
        """See `CrossValidation`."""
        super().__post_init__()
        _check_whole("gap", self.gap, 0)
        for name in ("test_size", "max_train_size"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1)

    def __repr__(self) -> str:
        """Returns the call that makes it."""
        options = {"test_size": self.test_size, "max_train_size": self.max_train_size}
        return _call("forward", self.folds, gap=self.gap, **options)

    def _splitter(
        self, samples: int, labels: np.ndarray | None, y_name: str
    ) -> tuple[Any, np.ndarray | None]:
        from sklearn.model_selection import TimeSeriesSplit

        return (
            TimeSeriesSplit(
                self.folds,
                gap=self.gap,
                test_size=self.test_size,
                max_train_size=self.max_train_size,
            ),
            None,
        )


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


def check_classes(labels: np.ndarray, folds: int, y_name: str) -> None:
    """Refuses more folds than there are samples of a class."""
    classes, counts = np.unique(labels, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        raise DataError(
            f"Class {classes[rarest].item()} of {y_name} has {counts[rarest]} sample(s), fewer "
            f"than {folds} folds. Pass fewer folds, more samples of it, or splits.k_fold({folds})."
        )


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DataError(
            f"{name} must be a whole number of at least {least}. Received: {value!r:.200}"
        )


def _check_seed(value: object) -> None:
    _check_whole("seed", value, 0)
    if not isinstance(value, int) or value >= 2**32:
        raise DataError(f"seed must be below 2**32. Received: {value!r}")


def _call(name: str, *positional: object, **options: object) -> str:
    given = [f"{key}={value}" for key, value in options.items() if value not in (None, 0)]
    return f"splits.{name}({', '.join([*map(str, positional), *given])})"

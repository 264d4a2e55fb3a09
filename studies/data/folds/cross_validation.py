"""The ways to split data into folds; scikit-learn's splitters draw them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import DataError

Indices = tuple[np.ndarray, np.ndarray]
"""Those of a fold's training samples, then of its validation samples."""


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
        """Returns the samples of each fold; labels are their classes, if the targets are such."""
        if samples < self.folds:
            raise DataError(
                f"{samples} samples can't be split into {self.folds} folds. Pass fewer folds, or "
                "more samples."
            )
        splitter, strata = self._splitter(samples, labels, y_name)
        try:
            pairs = splitter.split(np.zeros(samples), strata, self.groups_of(samples))
            return tuple((train, validation) for train, validation in pairs)
        except ValueError as error:
            raise DataError(f"{samples} samples can't be split by {self!r}: {error}") from None

    @abstractmethod
    def _splitter(
        self, samples: int, labels: np.ndarray | None, y_name: str
    ) -> tuple[Any, np.ndarray | None]:
        """Returns scikit-learn's splitter, and the classes that it gets."""

    def groups_of(self, samples: int) -> np.ndarray | None:
        """Returns the group of each sample, counted from 0; None if there are no groups."""
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

    def groups_of(self, samples: int) -> np.ndarray | None:
        if len(self.groups) != samples:
            raise DataError(
                f"groups holds {len(self.groups)} group(s) for {samples} samples. Pass one for "
                "each sample that is not in the test part."
            )
        groups, places = np.unique(self.groups, return_inverse=True)
        if len(groups) < self.folds:
            raise DataError(
                f"{len(groups)} group(s) can't be split into {self.folds} folds. Pass fewer folds."
            )
        return places

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

"""Cross-validation: how a study splits its data into folds, and the data of the folds.

splits.stratified(5)
splits.k_fold(5)
splits.grouped(patients, 5)
splits.repeated(5, times=3)
splits.forward(5, gap=7)

Splitters of scikit-learn draw the folds.
"""

from __future__ import annotations

import ast
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError, InternalError
from studies.data.arrays.mapped import file_of, shared
from studies.data.arrays.partition import Contents, Divided, Options, divide
from studies.data.arrays.parts import Part, Splits, joined
from studies.data.arrays.samples import (
    check_several_classes,
    check_some_weight,
    labels_of,
)
from studies.data.arrays.structures import combined_digest
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from studies.data.streams import Stream

__all__ = ["forward", "grouped", "k_fold", "repeated", "stratified"]

Indices = tuple[np.ndarray, np.ndarray]
"""The indices of a fold's training samples, then of its validation samples."""
Make = Callable[[int], Splits]
"""Makes the data of a fold, or of `ALL_FOLDS`."""

# Why a test part can't be drawn at random with these folds.
_TEST_NOT_DRAWN = {
    "grouped": "some groups would be in both",
    "forward": "some of its samples would be earlier than those trained on",
}
# A process keeps at most this many bytes of folds in memory. Arrays in files don't count.
_KEPT_BYTES = 256 * 2**20


def __dir__() -> list[str]:
    return __all__


def stratified(folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Makes folds with the classes in equal proportions.

    scikit-learn draws them: ``StratifiedKFold(folds, shuffle=True, random_state=seed)``.

    Args:
        folds: At least 2, and at most the number of samples of the rarest class.
        seed: The seed of the folds, from 0 to 2**32 - 1.

    Example:
        >>> ks.splits.stratified(5)
        splits.stratified(5)
    """
    return CrossValidation("stratified", folds, seed)


def k_fold(folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Makes folds at random, whatever the classes.

    scikit-learn draws them: ``KFold(folds, shuffle=True, random_state=seed)``.
    """
    return CrossValidation("k_fold", folds, seed)


def grouped(groups: ArrayLike, folds: int = 5, *, seed: int = 0) -> CrossValidation:
    """Makes folds that share no group, such as a patient or a machine.

    scikit-learn draws them: for classes by ``StratifiedGroupKFold(folds, shuffle=True,
    random_state=seed)``, else by ``GroupKFold(folds)``. A test part must be ready-made: one drawn
    at random would share groups with the rest.

    Args:
        groups: The group of each sample of `x`, then of each sample of a ready-made validation
            part. All are numbers, or all are texts.
        folds: At least 2, and at most the number of groups.
        seed: The seed of the folds, if there are classes.
    """
    values = np.asarray(groups, object)
    missing = [place for place, each in enumerate(values) if values.ndim == 1 and _is_missing(each)]
    if missing:
        raise DataError(
            f"groups lacks the group of {len(missing)} sample(s): that of sample {missing[0]}, "
            f"counted from 0, is {values[missing[0]]!r}",
            hint="Leave these samples out, or give each a group of its own.",
        )
    return CrossValidation("grouped", folds, seed, groups=np.array(groups))


def _is_missing(value: object) -> bool:
    """Returns whether a value is None, NaN, or pandas's NA or NaT."""
    return not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT")


def repeated(folds: int = 5, times: int = 2, *, seed: int = 0) -> CrossValidation:
    """Makes folds several times, so that the mean of a trial is more certain.

    scikit-learn draws them: for classes by ``RepeatedStratifiedKFold(n_splits=folds,
    n_repeats=times, random_state=seed)``, else by ``RepeatedKFold``.
    """
    return CrossValidation("repeated", folds, seed, times=times)


def forward(
    folds: int = 5,
    *,
    gap: int = 0,
    test_size: int | None = None,
    max_train_size: int | None = None,
) -> CrossValidation:
    """Makes folds of a time series: validation samples come after training samples.

    scikit-learn makes them: ``TimeSeriesSplit(folds, …)``. The samples must be in the order of
    time. A test part must be ready-made, e.g. the last samples. It is drawn only for tables that
    are split in time.

    Args:
        folds: At least 2.
        gap: Samples left out between the training and the validation part of a fold.
        test_size: Validation samples of each fold; None: samples / (folds + 1).
        max_train_size: The most training samples of a fold; None: all earlier samples.
    """
    order = {"gap": gap, "test_size": test_size, "max_train_size": max_train_size}
    return CrossValidation("forward", folds, order=order)


def check_cross_validation(value: object) -> CrossValidation | None:
    """Checks a study's `cross_validation`. A number of folds becomes a `CrossValidation`.

    Raises:
        DataError: The value is something else, or there are less than 2 folds.
    """
    if value is None or isinstance(value, CrossValidation):
        return value
    if checks.is_whole(value):
        return CrossValidation("", value)
    raise DataError.of_setting(
        "cross_validation",
        "a number of folds, or how to split, such as kerastudy.splits.stratified(5)",
        value,
    )


def read_spelled(text: str) -> CrossValidation | None:
    """Returns the `CrossValidation` whose `repr` a text is.

    Returns None for an empty text, and for `grouped`, because the `repr` has no groups.
    """
    if not text or text.startswith("splits.grouped"):
        return None
    if text.isdigit():
        return CrossValidation("", int(text))
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute), "it is a call"
    functions: dict[str, Callable[..., CrossValidation]] = {
        function.__name__: function for function in (stratified, k_fold, repeated, forward)
    }
    options = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    return functions[call.func.attr](*map(ast.literal_eval, call.args), **options)


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """How samples are split into folds. The functions above make it.

    Attributes:
        name: The name of the function that made it; empty if the user gave only a number of folds.
        folds: The number of folds of a split, at least 2.
        seed: The seed of the folds, from 0 to 2**32 - 1.
        times: How often all samples are split, at least 1. Only `repeated` splits several times.
        groups: The group of each sample, for `grouped`; else None.
        order: The options of scikit-learn's `TimeSeriesSplit`, for `forward`.
    """

    name: str
    folds: int
    seed: int = 0
    times: int = 1
    groups: np.ndarray | None = None
    order: Mapping[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.whole_number("folds", self.folds, DataError, least=2)
        checks.seed("seed", self.seed, DataError)
        checks.whole_number("times", self.times, DataError)
        for option, value in self.order.items():
            if value is not None:
                checks.whole_number(option, value, DataError, least=0 if option == "gap" else 1)
        groups = self.groups
        if groups is None:
            return
        mixed = groups.dtype == object and len({isinstance(each, str) for each in groups}) > 1
        if mixed or groups.ndim != 1 or groups.dtype.kind not in "biufUSO":
            expected = "a list with the group of each sample, all numbers or all texts"
            raise DataError.of_setting("groups", expected, groups.tolist())

    def __repr__(self) -> str:
        """Returns the call that makes it, such as "splits.stratified(5)"."""
        if not self.name:
            return str(self.folds)
        times = self.times if self.name == "repeated" else None
        options = {"times": times, "seed": self.seed, **self.order}.items()
        groups = [] if self.groups is None else [f"<{len(self.groups)} samples>"]
        named = [f"{option}={value}" for option, value in options if value not in (None, 0)]
        return f"splits.{self.name}({', '.join([*groups, str(self.folds), *named])})"

    @property
    def trainings(self) -> int:
        """How often each trial trains a model: once for each fold of each split."""
        return self.folds * self.times

    def indices(
        self, samples: int, labels: np.ndarray | None, y_name: str = "y"
    ) -> tuple[Indices, ...]:
        """Returns the `Indices` of each fold. `labels` are the classes of the samples, if any."""
        strata = None if self.name in ("k_fold", "forward") else labels
        hint = f"Pass fewer folds, more samples, or splits.k_fold({self.folds})."
        if strata is None and self.name == "stratified":
            raise DataError(
                f"{self!r} needs classes, and {y_name} holds none, or has stratify=False", hint=hint
            )
        rarest = samples if strata is None else np.unique(strata, return_counts=True)[1].min()
        if rarest < self.folds:
            # scikit-learn only warns that some folds lack the class.
            of = "The data" if strata is None else f"The rarest class of {y_name}"
            raise DataError(
                f"{of} has {rarest} sample(s), fewer than {self.folds} folds", hint=hint
            )
        groups, splitter = self.groups_of(samples), self._splitter(strata is not None)
        try:
            return tuple(splitter.split(np.zeros(samples), strata, groups))
        except ValueError as error:
            raise DataError(f"{samples} samples can't be split by {self!r}: {error}") from None

    def _splitter(self, by_class: bool) -> Any:
        # Imported late, because scikit-learn is slow to import.
        from sklearn import model_selection

        if self.name == "forward":
            return model_selection.TimeSeriesSplit(self.folds, **self.order)
        if self.name == "grouped" and not by_class:
            return model_selection.GroupKFold(self.folds)
        group = "Group" if self.name == "grouped" else ""
        name = f"Stratified{group}KFold" if by_class else "KFold"
        if self.name == "repeated" and self.times > 1:
            splitter = getattr(model_selection, f"Repeated{name}")
            return splitter(n_splits=self.folds, n_repeats=self.times, random_state=self.seed)
        return getattr(model_selection, name)(self.folds, shuffle=True, random_state=self.seed)

    def groups_of(self, samples: int) -> np.ndarray | None:
        """Returns the group of each sample, numbered from 0; None if there are no groups."""
        if self.groups is None:
            return None
        if len(self.groups) != samples:
            raise DataError(
                f"groups holds {len(self.groups)} group(s) for {samples} samples",
                hint="Pass one for each sample that is not in the test part.",
            )
        groups, places = np.unique(self.groups, return_inverse=True)
        if len(groups) < self.folds:
            raise DataError(f"{len(groups)} group(s) can't be split into {self.folds} folds.")
        return places


@dataclass(frozen=True, eq=False)
class FoldedSplits:
    """The data of a cross-validated study. `of` makes the data of a fold.

    Attributes:
        folds: The number of folds.
        digests: The SHA-256 of all samples that are split ("train"), of all folds ("validation"),
            and of the test part ("test").
        sizes: How many samples are split ("train"), validated on ("validation"), and in the test
            part ("test").
        details: The result of `describe`.
        make: Makes the data of a fold.
    """

    folds: int
    digests: Mapping[str, str]
    sizes: Mapping[str, int]
    details: Mapping[str, Any]
    make: Make
    _kept: OrderedDict[int, Splits] = field(default_factory=OrderedDict, init=False)
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})

    @property
    def digest(self) -> str:
        return combined_digest(self.digests)

    def describe(self) -> dict[str, Any]:
        return dict(self.details)

    def __getstate__(self) -> dict[str, object]:
        """Leaves the folds out of the pickle."""
        return {name: each for name, each in vars(self).items() if name not in ("make", "_kept")}

    def of(self, fold: int | None) -> Splits:
        """Returns the training and the validation part of a fold, counted from 0.

        For `ALL_FOLDS`, returns all samples as the training part, and the test part. The validation
        part is then the first sample, because `Splits` needs one.
        """
        if fold is None or not ALL_FOLDS <= fold < self.folds:
            raise InternalError(f"The data has folds 0 to {self.folds - 1}, and no {fold!r}.")
        if fold not in self._kept:
            self._kept[fold] = self.make(fold)
        self._kept.move_to_end(fold)
        while len(self._kept) > 1 and sum(map(_bytes_of, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[fold]

    @property
    def whole(self) -> Splits:
        return self.of(ALL_FOLDS)


def _bytes_of(splits: Splits) -> int:
    """Returns the bytes of the arrays in memory. Arrays in files don't count."""
    arrays = [*splits.train.named.values(), *splits.validation.named.values()]
    return sum(array.nbytes for array in arrays if file_of(array) is None)


def make_folds(
    read: Callable[[], Contents], options: Options, how: CrossValidation, folder: Path | None
) -> FoldedSplits:
    """Splits all samples but the test part into folds.

    A share for validation is ignored. A ready-made validation part is appended to the other
    samples. The test part is the same as without folds. Processes that share `folder` make each
    fold once, and map it to memory. Raises DataError if no study can be run on the data.
    """
    if folder is None:
        return _folded(*_folds_of(read(), options, how))
    place: Path = folder

    def written(make: Make) -> Make:
        def shared_fold(fold: int) -> Splits:
            own = place / ("all-folds" if fold == ALL_FOLDS else f"fold-{fold}")
            own.mkdir(exist_ok=True)
            return shared(lambda: make(fold), own)

        return shared_fold

    def load() -> FoldedSplits:
        count, validated, make = _folds_of(read(), options, how)
        return _folded(count, validated, written(make))

    return replace(shared(load, place), make=written(_gone))


def _gone(fold: int) -> Splits:
    raise InternalError(f"Fold {fold} of the data is gone from the temporary folder.")


def _folded(count: int, validated: int, make: Make) -> FoldedSplits:
    """Makes each fold once, for its digest. `validated` is the number of validation samples."""
    folds = []
    for fold in range(count):
        splits = make(fold)
        folds.append({**splits.sizes, "digest": splits.digest})
    whole = make(ALL_FOLDS)
    by_fold = {f"fold {number}": str(each["digest"]) for number, each in enumerate(folds, start=1)}
    digests = {**whole.digests, "validation": combined_digest(by_fold)}
    sizes = {**whole.sizes, "validation": validated}
    details = {name: whole.describe()[name] for name in ("classes", "preprocessing")}
    for name in ("shapes", "dtypes"):
        parts = whole.describe()[name].items()
        details[name] = {part: each for part, each in parts if part != "validation"}
    return FoldedSplits(count, digests, sizes, {**details, "folds": folds}, make)


def _folds_of(contents: Contents, options: Options, how: CrossValidation) -> tuple[int, int, Make]:
    """Returns the numbers of folds and of validation samples, and a function that makes a fold."""
    in_time = contents.pool.in_time
    if in_time and not how.name:
        how = forward(how.folds)
    to_draw = "test" not in contents.ready and isinstance(options.test, int | float)
    reason = _TEST_NOT_DRAWN.get(how.name)
    if to_draw and reason and not (in_time and how.name == "forward"):
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: {reason}",
            hint="Pass a ready-made test part, such as test=(x_test, y_test), or test=None.",
        )
    divided = divide(contents, options, folds=True)
    part, y_name = divided.parts["train"], divided.pool.y_name
    if "validation" in divided.parts:
        part = joined(part, divided.parts["validation"])
    part = replace(part, groups=how.groups_of(len(part))).grouped
    samples = replace(divided.pool, x=part.x, y=part.y, sample_weight=part.sample_weight)
    labels, strata = labels_of(samples, options.stratify)
    check_several_classes(labels, y_name)
    folds = how.indices(len(part), strata, y_name)
    for number, (train, _) in enumerate(folds, start=1):
        if labels is not None:
            check_several_classes(labels[train], f"The training part of fold {number}, {y_name}")
    validated = np.unique(np.concatenate([validation for _, validation in folds]))
    return len(folds), len(validated), partial(_made, divided, part, folds)


def _made(divided: Divided, part: Part, folds: tuple[Indices, ...], fold: int) -> Splits:
    if fold == ALL_FOLDS:
        test = {name: each for name, each in divided.parts.items() if name == "test"}
        return divided.sealed({"train": part, **test})
    pairs = zip(("train", "validation"), folds[fold], strict=True)
    parts = {name: part.rows(chosen) for name, chosen in pairs}
    for name, own in parts.items():
        check_some_weight(own.sample_weight, f"sample_weight of the {name} part of fold {fold + 1}")
    return divided.sealed(parts)

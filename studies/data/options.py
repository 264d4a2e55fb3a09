"""The options of a data set, checked when it is described, before it is read."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from search_spaces.errors import DataError, shown, suggestion

DEFAULT_SHARE = 0.2
PREPROCESSING_NAMES = ("standardize", "minmax")


@dataclass(frozen=True, eq=False)
class ReadyMade:
    """A part that the user made; checked when it is read."""

    x: object
    y: object
    sample_weight: object = None


# A share in (0, 1) of all samples, a count of samples, or a ready-made part.
Size = float | int | ReadyMade


@dataclass(frozen=True, eq=False)
class Options:
    """How data is split and preprocessed; see `datasets.arrays`."""

    validation: Size
    test: Size | None
    stratify: bool | str | None
    preprocess: object
    seed: int
    class_names: tuple[str, ...] = ()


def check_options(
    *,
    validation: object,
    test: object,
    stratify: object = None,
    preprocess: object = None,
    seed: object,
    class_names: object = None,
) -> Options:
    """Checks the options of `datasets.arrays` without the data, and makes plain numbers of them.

    Raises DataError if one is wrong, or if the shares leave nothing to train on.
    """
    no_test = test is None or (not isinstance(test, bool) and _is_zero(test))
    options = Options(
        validation=_check_size("validation", validation),
        test=None if no_test else _check_size("test", test),
        stratify=_check_stratify(stratify),
        preprocess=_check_preprocess(preprocess),
        seed=_check_seed(seed),
        class_names=_check_class_names(class_names),
    )
    if isinstance(options.validation, float) and isinstance(options.test, float):
        total = options.validation + options.test
        if total >= 1:
            raise DataError(
                f"validation={options.validation} and test={options.test} sum to {total:g}: "
                "nothing is left to train on. Pass shares that sum to less than 1."
            )
    return options


def _is_zero(value: object) -> bool:
    return isinstance(value, numbers.Real) and value == 0


def _check_size(name: str, value: object) -> Size:
    if isinstance(value, tuple | list) and len(value) in (2, 3):
        return ReadyMade(*value)
    # True and False are integers to Python: validation=True would mean one sample.
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if int(value) > 0:
            return int(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        if 0 < float(value) < 1:
            return float(value)
    else:
        zero = ", or None for no such part" if name == "test" else ""
        raise DataError(
            f"{name} must be a share, a count or a ready-made part, not {shown(value)}. Pass a "
            "share between 0 and 1 (0.2), a count of samples (1000), or a ready-made (x, y) pair, "
            f"as (x, y, sample_weight) with weights{zero}."
        )
    raise DataError(
        f"{name}={value} is neither a share between 0 and 1 (both excluded) nor a count of "
        f"samples above 0. Pass for instance {name}=0.2 or {name}=1000."
    )


def _check_stratify(value: object) -> bool | str | None:
    if value is None or isinstance(value, bool | str):
        return value
    raise DataError(
        f"stratify must be True, False or None, not {shown(value)}. "
        "Splits are stratified by y itself: pass True, or leave it out; of several outputs, pass "
        "the name of one."
    )


def _check_preprocess(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _check_preprocess(each) for name, each in value.items()}
    if value is None or (isinstance(value, str) and value in PREPROCESSING_NAMES):
        return value
    if isinstance(value, str):
        raise DataError(
            f"preprocess={value!r} is not known. {suggestion(value, PREPROCESSING_NAMES)} A "
            "scikit-learn transformer may be passed as well."
        )
    if isinstance(value, type):
        raise DataError(
            f"preprocess is the class {value.__name__}, not an object of it. "
            f"Pass `{value.__name__}()`."
        )
    if not all(callable(getattr(value, method, None)) for method in ("fit", "transform")):
        raise DataError(
            f"preprocess must have the methods fit and transform; received {shown(value)}. "
            "Pass 'standardize', 'minmax', or a scikit-learn transformer."
        )
    return value


def _check_class_names(value: object) -> tuple[str, ...]:
    # A fitted label encoder of scikit-learn has these.
    value = getattr(value, "classes_", value)
    if value is None:
        return ()
    names = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    if not names or len(set(map(str, names))) != len(names):
        raise DataError(
            "class_names must be different names, in the order of the labels 0, 1, 2 and so "
            f"on, or a fitted LabelEncoder; not {shown(value)}. Pass for instance "
            "class_names=['cat', 'dog']."
        )
    return tuple(map(str, names))


def _check_seed(value: object) -> int:
    # The range of numpy's RandomState, which scikit-learn draws with.
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        seed = int(value)
        if 0 <= seed < 2**32:
            return seed
    raise DataError(
        f"seed must be an integer from 0 to 2**32 - 1, not {shown(value)}. "
        "Pass for instance seed=0."
    )

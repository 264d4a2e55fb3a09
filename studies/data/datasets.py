"""Descriptions of data sets, which workers read when they first need them.

datasets.digits()
datasets.breast_cancer(preprocess="standardize")
datasets.arrays(x, y, validation=0.2, test=(x_test, y_test), preprocess="standardize")
datasets.npz("mnist.npz", validation=0.1)
datasets.table("houses.csv", target="price")
datasets.table(df, target="price")
datasets.batches(make_training, make_validation)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from search_spaces.errors import DataError
from studies.data.arrays.checks import check_samples
from studies.data.arrays.partition import Contents
from studies.data.dataset import Dataset, call_text, unless
from studies.data.folders import images, text
from studies.data.known import breast_cancer, diabetes, digits, fashion_mnist, mnist
from studies.data.npz_files import absolute_path, read_parts
from studies.data.options import DEFAULT_SHARE, check_options
from studies.data.streams.sources import check_source, check_steps, shown
from studies.data.streams.streamed_dataset import StreamedDataset
from studies.data.tables.table import table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Some = ArrayLike | Mapping[str, ArrayLike] | tuple[ArrayLike, ...]
    Pair = tuple[Some, Some | None] | tuple[Some, Some, ArrayLike]

__all__ = [
    "Dataset",
    "StreamedDataset",
    "arrays",
    "batches",
    "breast_cancer",
    "diabetes",
    "digits",
    "fashion_mnist",
    "images",
    "mnist",
    "npz",
    "table",
    "text",
]

# What `repr` leaves out.
_DEFAULTS: dict[str, object] = {"stratify": None, "preprocess": None, "seed": 0}


def __dir__() -> list[str]:
    return __all__


def arrays(
    x: Some,
    y: Some | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    validation: float | int | Pair = DEFAULT_SHARE,
    test: float | int | Pair | None = DEFAULT_SHARE,
    stratify: bool | str | None = None,
    preprocess: object = None,
    class_names: object = None,
    rule: Callable[[Any], Any] | None = None,
    seed: int = 0,
    name: str = "arrays",
) -> Dataset:
    """Describes arrays that are in memory.

    They are checked and copied when the data is loaded: don't change them before. Dtypes
    stay as they are (uint8 images stay uint8) unless `preprocess` changes them.

    Args:
        x: samples, of shape (n, ...): a numpy array, a pandas DataFrame, nested lists, or anything
            else that `np.asarray` turns into an array of numbers or texts. For a model of several
            inputs: a dict of these by the inputs' names, or a tuple of arrays in their order.
        y: targets, of shape (n, ...); for a model of several outputs, several likewise. One array
            is classes if it is booleans, integers from 0 up, floats that are all 0 or 1, or
            one-hot rows; texts are classes too, numbered in their order as LabelEncoder does;
            anything else makes a regression. None: there are no targets, as for an autoencoder
            whose training step compares samples with themselves; ready-made parts are then (x,
            None).
        sample_weight: how much each sample counts, of shape (n,), or each step of its targets, of
            shape (n, steps): finite, from 0 up, not all 0.
            Each part gets the weights of its samples. They weight the loss, in training and in
            validation, and the model's `weighted_metrics`, but not its `metrics`.
        validation: share in (0, 1) of all samples, count of samples, or a ready-made part:
            (x, y), or (x, y, sample_weight). Without weights its samples count alike.
        test: likewise; None or 0: no test part.
        stratify: whether each part gets the classes in equal proportions; None: if y is classes,
            in one array. Of several targets by name, the name of those to stratify by.
        preprocess: None, "standardize", "minmax", or a scikit-learn transformer. A clone is fitted
            on the training part's x alone, and applied to all parts. It gets samples of rank 3 and
            more flattened, and its results are converted to float32; see
            `preprocessing.fit_and_apply`. For several inputs by name, a dict, such as
            {"tabular": "standardize"}; the others stay as they are. The registered model takes
            samples as you pass them here: scalings, by these names or by scikit-learn's
            StandardScaler and similar classes, become layers of it.
        class_names: the names of the labels 0, 1, 2 and so on, or the LabelEncoder that made them;
            kept with the registered model. Targets that are texts need none.
        rule: of made data: the function of x, before preprocessing, that gives the targets without
            noise. The report draws it next to what the champion found, if a sample is one number.
        seed: what the splits are drawn with; from 0 to 2**32 - 1.
        name: what records call the data.

    Raises:
        DataError: an option is wrong. `load` reports what is wrong with the data.

    Example:
        >>> import numpy as np
        >>> x, y = np.zeros((10, 2)), np.arange(10) % 2
        >>> dict(ks.datasets.arrays(x, y, validation=0.2, test=2).load().sizes)
        {'train': 6, 'validation': 2, 'test': 2}
    """
    options = check_options(
        validation=validation,
        test=test,
        stratify=stratify,
        preprocess=preprocess,
        seed=seed,
        class_names=class_names,
    )
    text = call_text(
        "arrays",
        x,
        *(() if y is None else (y,)),
        **({} if sample_weight is None else {"sample_weight": sample_weight}),
        validation=validation,
        test=test,
        **unless(_DEFAULTS, stratify=stratify, preprocess=preprocess, seed=seed),
        **unless({"name": "arrays"}, name=name),
    )
    read = partial(_read_memory, x, y, sample_weight)
    if rule is not None and not callable(rule):
        raise DataError(f"rule must be a function of x. Received: {rule!r:.200}")
    return Dataset(name, "arrays in memory", text, options, read, rule)


def npz(
    path: str | PathLike[str],
    *,
    validation: float | int | Pair = DEFAULT_SHARE,
    test: float | int | Pair | None = None,
    stratify: bool | None = None,
    preprocess: object = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a file of numpy's `savez`, with arrays x_train and y_train.

    If it holds x_validation and y_validation, or x_test and y_test, those are the parts;
    else they are split from x_train and y_train. Each part may have sample weights, named
    sample_weight_train and so on. Files that need pickles are refused.

    Args:
        path: the file. A relative path starts from the current folder; `~` is the home folder.
        validation: as in `arrays`. The file's own validation part replaces the default.
        test: as in `arrays`; None: the file's own test part, else a share of 0.2; 0: no test part,
            whatever the file holds.
        stratify: as in `arrays`.
        preprocess: as in `arrays`.
        seed: as in `arrays`.
        name: name in records; None: the file's name without its ending.

    Raises:
        DataError: an option is wrong. `load` reports what is wrong with the file, or that it has
            a part that `validation` (other than 0.2) or `test` gives too.

    Example:
        >>> ks.datasets.npz("mnist.npz", validation=0.1).name
        'mnist'
    """
    file = absolute_path(path)
    options = check_options(
        validation=validation, test=test, stratify=stratify, preprocess=preprocess, seed=seed
    )
    if test is None:
        # Only now: validation=0.9 is fine if the file has a test part.
        options = replace(options, test=DEFAULT_SHARE)
    defaults = {**_DEFAULTS, "test": None, "name": None}
    given = {"test": test, "stratify": stratify, "preprocess": preprocess, "seed": seed}
    text = call_text(
        "npz", str(path), validation=validation, **unless(defaults, **given, name=name)
    )
    asked = {"validation": not isinstance(validation, float) or validation != DEFAULT_SHARE}
    asked["test"] = test is not None
    read = partial(read_parts, file, asked, options)
    return Dataset(file.stem if name is None else name, str(file), text, options, read)


def batches(
    train: Any,
    validation: Any,
    *,
    test: Any = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    targets: bool | None = None,
    name: str = "batches",
) -> StreamedDataset:
    """Describes data that comes in batches: tf.data, a `keras.utils.PyDataset`, a generator.

    `model.fit` trains on it, in the order in which it comes. Batches are (x, y) or
    (x, y, sample_weight), or x alone, as large as they are: such a study has no batch size.

    Args:
        train: a function that returns a new `tf.data.Dataset`, `PyDataset` or iterable of batches.
            It is called for each epoch. If it has a parameter ``seed``, it gets
            ``kerastudy.epoch_seed(seed of the trial, epoch)``: if shuffling and all other
            randomness depend on that alone, trials can be resumed and reproduced to the bit.
            Python's, numpy's and TensorFlow's global generators are seeded with it too, even
            without such a parameter. Or a `tf.data.Dataset` or `PyDataset` itself, which is read
            again for each epoch.
        validation: likewise, but always the same: without a seed.
        test: likewise, or None for no test part.
        steps_per_epoch: batches that an epoch reads, from the beginning each time; None: all. Data
            without end needs it.
        validation_steps: likewise for the validation data.
        targets: whether batches have targets. False: a batch is samples alone, such as (anchor,
            positive, negative), for a model with its own training step. None: three arrays of one
            shape and type are samples alone, all other tuples have targets.
        name: what records call the data.

    Raises:
        DataError: an argument can't be read repeatedly, a function needs other arguments, or a
            number of steps is wrong.

    Example:
        >>> def train(seed):
        ...     yield from [([[0.0]], [0])]
        >>> def validation():
        ...     yield from [([[1.0]], [1])]
        >>> ks.datasets.batches(train, validation).name
        'batches'
    """
    options = {"steps_per_epoch": steps_per_epoch, "validation_steps": validation_steps}
    for option, steps in options.items():
        check_steps(option, steps)
    given = {"train": train, "validation": validation, "test": test}
    steps_of = {"train": steps_per_epoch, "validation": validation_steps}
    sources = {
        part: replace(check_source(part, each, steps_of.get(part)), targets=targets)
        for part, each in given.items()
        if part != "test" or each is not None
    }
    said = [f"{part}=<{shown(source.given)}>" for part, source in sources.items()]
    said += [f"{option}={steps}" for option, steps in options.items() if steps is not None]
    said += [] if targets is None else [f"targets={targets}"]
    text = f"datasets.batches({', '.join(said)})"
    return StreamedDataset(name, f"batches of {shown(train)}", text, sources)


def _read_memory(x: object, y: object, sample_weight: object) -> Contents:
    return Contents(check_samples(x, y, "x", "y", sample_weight))

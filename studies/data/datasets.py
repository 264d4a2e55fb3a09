"""Functions that describe data sets. The data is read later, when a worker first needs it.

datasets.digits()
datasets.breast_cancer(preprocess="standardize")
datasets.arrays(x, y, validation=0.2, test=(x_test, y_test), preprocess="standardize")
datasets.npz("mnist.npz", validation=0.1)
datasets.table("houses.csv", target="price")
datasets.table(df, target="price")
datasets.batches(make_training, make_validation)

The named data sets come with scikit-learn, except MNIST and Fashion-MNIST, which Keras downloads.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from search_spaces.texts import shown
from studies.data.arrays.users_samples_and_labels import Contents, check_samples, is_frame
from studies.data.data_option import name_of
from studies.data.dataset_base import DEFAULT_SHARE, Dataset, options_of
from studies.data.files_and_folders import Folder, absolute_path, place_of_table, read_npz
from studies.data.tables import Table
from studies.data.tf_data_and_generators import StreamedDataset, check_source

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Some = ArrayLike | Mapping[str, ArrayLike] | tuple[ArrayLike, ...]
    Pair = (
        tuple[Some, Some | None]
        | tuple[Some, Some, ArrayLike]
        | tuple[Some, Some | None, ArrayLike | None, ArrayLike]
    )

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
DATA_VARIABLE: Final = "KERASTUDY_DATA"
"""The environment variable that names a file to read instead of a download."""
_CLOTHES: Final = "T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot"


def __dir__() -> list[str]:
    return __all__


def arrays(
    x: Some,
    y: Some | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    validation: float | int | Pair = DEFAULT_SHARE,
    test: float | int | Pair | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    preprocess: str | Mapping[str, str | None] | None = None,
    class_names: object = None,
    seed: int = 0,
    name: str = "arrays",
) -> Dataset:
    """Describes arrays that are in memory.

    The arrays are checked and copied when the data is loaded. Don't change them before. Dtypes stay
    (uint8 images stay uint8) unless `preprocess` changes them.

    Args:
        x: Samples of shape (n, ...), numbers or texts: a numpy array, a pandas DataFrame, nested
            lists, or anything else that `np.asarray` takes. For a model of several inputs: a dict
            by the inputs' names, or a tuple in the inputs' order.
        y: Targets of shape (n, ...). For a model of several outputs: a dict or a tuple, as for `x`.
            A single array holds classes if its values are booleans, integers from 0 up, floats that
            are all 0 or 1, one-hot rows, or texts. Texts are numbered in sorted order, as
            LabelEncoder does. Other targets make a regression. None: there are no targets, e.g. for
            an autoencoder with its own training step. Ready-made parts are then (x, None).
        sample_weight: A weight for each sample, of shape (n,), or for each step of each target, of
            shape (n, steps). Weights are finite, from 0 up, and not all 0. They weight the loss, in
            training and in validation, and the model's `weighted_metrics`, but not its `metrics`.
        groups: The group of each sample, of shape (n,), all numbers or all texts: samples that
            belong together, e.g. of one patient. All samples of a group are then in the same part
            and the same fold, and intervals count groups, not samples. None: samples are
            independent.
        validation: The validation part: a share in (0, 1) of all samples, a number of samples, or a
            ready-made part (x, y), (x, y, sample_weight) or (x, y, sample_weight, groups).
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes, if y is one
            array of classes.
        preprocess: None; "standardize": each number gets mean 0 and standard deviation 1; or
            "minmax": each number gets the range from 0 to 1. The scale is fitted on the x of the
            training part. The x of all parts becomes float32. For several inputs by name, pass a
            dict, such as {"tabular": "standardize"}; other inputs stay as they are. The scaling
            becomes layers of the registered model, which takes samples as you pass them here.
        class_names: The names of the labels 0, 1, 2 and so on, or the LabelEncoder that made them.
            They are saved with the registered model. Leave this out if targets are texts.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the data.

    Example:
        >>> import numpy as np
        >>> x, y = np.zeros((10, 2)), np.arange(10) % 2
        >>> dict(ks.datasets.arrays(x, y, validation=0.2, test=2).load().sizes)
        {'train': 6, 'validation': 2, 'test': 2}
    """
    options = options_of(locals())
    read = partial(_read_memory, x, y, sample_weight, groups)
    return Dataset(name, "arrays in memory", options, read)


def _read_memory(x: object, y: object, sample_weight: object, groups: object) -> Contents:
    return Contents(check_samples(x, y, sample_weight, groups))


def npz(
    path: str | PathLike[str],
    *,
    validation: float | int | Pair | None = None,
    test: float | int | Pair | None = None,
    stratify: bool | None = None,
    preprocess: str | Mapping[str, str | None] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a file of numpy's `savez`, with arrays x_train and y_train.

    The file may also hold x_validation and y_validation, and x_test and y_test. A missing part is
    split from x_train and y_train. Sample weights are named sample_weight_train and so on. Groups
    of samples that belong together, as in `arrays`, are named groups_train and so on. Files with
    pickled Python objects are refused.

    Args:
        path: The file. A relative path starts from the current folder; `~` is the home folder.
        validation: As in `arrays`. It replaces a validation part in the file. None: the validation
            part in the file or, if there is none, a share of 0.2.
        test: As in `arrays`. It replaces a test part in the file. None: the test part in the file
            or, if there is none, a share of 0.2. 0: no test part.
        stratify: As in `arrays`.
        preprocess: As in `arrays`.
        seed: As in `arrays`.
        name: Name in records; None: the file's name without its ending.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the file.

    Example:
        >>> ks.datasets.npz("mnist.npz", validation=0.1).name
        'mnist'
    """
    ready = [part for part, size in (("validation", validation), ("test", test)) if size is None]
    # This share is drawn only if the file lacks the part.
    sizes = {part: DEFAULT_SHARE for part in ready}
    options = options_of(locals(), **sizes)
    file = absolute_path(path)
    read = partial(read_npz, file, ready)
    return Dataset(name or file.stem, str(file), options, read)


def table(
    source: Any,
    *,
    target: str,
    drop: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    missing: Collection[str] | None = None,
    merge: Collection[str] = (),
    dates: Collection[str] = (),
    classes: bool | None = None,
    time: str | Literal[False] | None = None,
    groups: str | None = None,
    validation: Any = DEFAULT_SHARE,
    test: Any = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a table: columns of numbers, booleans and categories, and a column to predict.

    The study's data is one array with a row for each sample. Numbers are scaled to mean 0 and
    standard deviation 1, booleans are 0 and 1, and categories are one-hot. A missing number or
    boolean is replaced by the column's mean, and a further column marks the row by a 1. Means,
    deviations and categories are taken from the training part. The registered model takes the
    columns as they are in the table.

    If there is a column of dates, rows are split in time: training rows come first, then validation
    rows, then test rows. Rules decide about the options `drop`, `categories`, `missing` and `time`
    that you leave out, and `load().warnings` says how.

    Args:
        source: A CSV file in UTF-8 whose first line names the columns, a Parquet file, or a pandas
            DataFrame. A relative path starts from the current folder; `~` is the home folder. The
            index of a DataFrame is ignored. Don't change the DataFrame before the data is loaded.
        target: The column to predict. Texts and booleans are classes, numbered in sorted order.
            Whole numbers 0, 1, 2 and so on without a gap are classes, too, if there are enough rows
            of each. Other numbers are quantities.
        drop: The columns to leave out. None: columns that teach nothing are left out, i.e.
            identifiers, free text, and columns without values or with one value. In any case, rows
            without a target are left out.
        categories: The columns whose numbers are read as categories. None: columns of whole numbers
            with names such as "zip", or with numbers that begin with 0.
        missing: Texts that stand for missing values, such as "?", besides empty cells, "NA", "NaN",
            "null" and "None". None: "?", "-" and the like in any column. In columns of
            numbers, words are missing values too, if there are only a few different words.
        merge: Columns of categories. Those that differ only by case or blanks, such as "yes" and
            "Yes ", are one category.
        dates: Columns of dates whose day, month and weekday become inputs.
        classes: Whether the target is classes; None: as described for `target`.
        time: The column of dates or numbers that orders the rows before they are split. None: the
            first column of dates without gaps and with few rows of each date. False: parts are
            drawn at random.
        groups: The column that names what each row belongs to, e.g. its patient. All rows of a
            group are then in the same part and the same fold, intervals count groups, and the
            column is no input. Parts are not split in time. None: rows are independent.
        validation: The validation part: a share in (0, 1) of all rows, a number of rows, or another
            table with the same columns.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes, if the
            target is classes and parts are drawn at random.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the file's name without its ending, or "table".

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the table.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": [50.0, 80.0, 120.0], "price": [1.5, 2.0, 3.5]})
        >>> ks.datasets.table(houses, target="price").load().train.x.shape
        (1, 1)
    """
    arguments = locals()
    place = place_of_table("source", source)
    ready: dict[str, Any] = {}
    sizes: dict[str, Any] = {"validation": validation, "test": test}
    for part, size in sizes.items():
        if is_frame(size) or isinstance(size, str | PathLike | tuple):
            # A size of 1 passes the checks. It has no effect, because the ready-made part is used.
            ready[part], sizes[part] = place_of_table(part, size), 1
    options = options_of(arguments, **sizes)
    if classes is not None:
        checks.truth("classes", classes, DataError)
    if not isinstance(target, str) or not target:
        hint = "For several targets, take datasets.arrays."
        raise DataError.of_setting("target", "the name of a column", target, hint)
    by_column = isinstance(time, str) and time not in ("", target) and not stratify
    if time not in (None, False) and not by_column:
        expected = "False, or the name of another column than the target, without stratify=True"
        raise DataError.of_setting("time", expected, time)
    if groups is not None and (not isinstance(groups, str) or groups in ("", target)):
        expected = "the name of another column than the target"
        raise DataError.of_setting("groups", expected, groups)
    if groups is not None and time:
        raise DataError(
            f"Rows can't be split in time (time={time!r}) and by groups (groups={groups!r}): rows "
            "of a group may be before and after each other",
            hint="Make parts of different groups in the order of time yourself, and pass them: "
            "validation='later.csv', test='latest.csv'.",
        )
    lists = {
        "drop": drop,
        "categories": categories,
        "missing": missing,
        "merge": merge,
        "dates": dates,
    }
    names: dict[str, Any] = {n: checks.names(n, v or (), DataError) for n, v in lists.items()}
    reader = Table(
        place,
        target,
        **names,
        classes=classes,
        time=False if stratify and time is None else time,
        groups=groups,
        ready=tuple(ready.items()),
        open=frozenset(option for option, value in lists.items() if value is None),
    )
    in_file = isinstance(place, Path)
    own_name, where = (name_of(place), str(place)) if in_file else ("table", "table in memory")
    return Dataset(name or own_name, where, options, reader)


def images(
    folder: str | PathLike[str],
    *,
    image_size: tuple[int, int] = (256, 256),
    color_mode: str = "rgb",
    interpolation: str = "bilinear",
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a folder of images, with a subfolder for each class, or for each part.

    `keras.utils.image_dataset_from_directory` reads bmp, gif, jpeg and png files, also in deeper
    folders, resizes them, and orders the classes by name. The loaded x is uint8 of shape
    (n, height, width, channels), from 0 to 255. Let the model scale x, by
    `keras.layers.Rescaling(1 / 255)`. y is int64 of shape (n,). Arrays of 256 MiB and more are in
    files that are mapped to memory, so images may take more bytes than the memory has.

    Args:
        folder: The folder. A relative path starts from the current folder. Subfolders called train,
            validation and test are parts, with a subfolder for each class.
        image_size: Height and width to resize to.
        color_mode: "grayscale", "rgb" or "rgba": 1, 3 or 4 channels.
        interpolation: How to resize, such as "bilinear" or "nearest".
        validation: How many images to validate on: a share in (0, 1), or a count. This is ignored
            if there is a validation folder.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the folder's name.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the images.

    Example:
        >>> ks.datasets.images("flowers", image_size=(64, 64)).name
        'flowers'
    """
    options = options_of(locals())
    sides = tuple(image_size) if isinstance(image_size, tuple | list) else ()
    if len(sides) != 2 or not all(checks.is_whole(side) and side > 0 for side in sides):
        raise DataError.of_setting("image_size", "height and width, such as (64, 64)", image_size)
    size, place = tuple(map(int, sides)), absolute_path(folder)
    reader_options = {"image_size": size, "color_mode": color_mode, "interpolation": interpolation}
    return Dataset(name or place.name, str(place), options, Folder("images", place, reader_options))


def text(
    path: str | PathLike[str],
    *,
    text: str = "text",
    target: str = "target",
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes texts: a folder with a subfolder of txt files for each class, or a table.

    The loaded x is texts of shape (n,). The model's first layer is
    `keras.layers.TextVectorization`, adapted to the training part by `ks.preprocessing.adapted`.

    Args:
        path: The folder, or a table: a csv file in UTF-8, compressed or not, or a Parquet file. A
            relative path starts from the current folder. A folder may have the subfolders train,
            validation and test, as for `images`.
        text: The column of the texts, if the file is a table.
        target: The column of the targets, if the file is a table. Texts and whole numbers from 0 up
            are classes. Other numbers make a regression.
        validation: How many texts to validate on: a share in (0, 1), or a count. This is ignored if
            there is a validation folder.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes, if the
            targets are classes.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the folder's or file's name without its ending.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the texts.

    Example:
        >>> ks.datasets.text("reviews.csv", text="review", target="stars").name
        'reviews'
    """
    options = options_of(locals())
    if text == target:
        raise DataError(f"text and target are both {text!r}. Name two columns.")
    place = absolute_path(path)
    reader = Folder("texts", place, {"text": text, "target": target})
    return Dataset(name or name_of(place), str(place), options, reader)


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

    `model.fit` trains on the batches in their order. A batch is (x, y), (x, y, sample_weight), or x
    alone. The data decides the batch size, so leave out the study's `batch_size`.

    Args:
        train: A function that returns a new `tf.data.Dataset`, `PyDataset` or iterable of batches.
            The function is called for each epoch. If it has a parameter ``seed``, it gets
            ``kerastudy.epoch_seed(seed of the trial, epoch)``. Trials can be resumed and reproduced
            to the bit if shuffling and all other randomness depend on this seed alone. Python's,
            numpy's and TensorFlow's global generators are always seeded with it. You may also pass
            a `tf.data.Dataset` or `PyDataset` itself, which is then read for each epoch.
        validation: As `train`, but the function gets no seed, and must give the same batches at
            each call.
        test: As `validation`; None: no test part.
        steps_per_epoch: The number of batches in an epoch. Each epoch starts from the first batch.
            None: all batches. Endless data needs a number.
        validation_steps: The number of validation batches; None: all.
        targets: Whether batches have targets. False: a batch is samples alone, such as (anchor,
            positive, negative), for a model with its own training step. None: batches that are
            tuples have targets. But a tuple of three arrays of the same shape and type is refused,
            because it may be samples alone or (x, y, sample_weight).
        name: Name in records.

    Raises:
        DataError: An argument can't be read repeatedly, a function needs other arguments, or a
            number of steps is wrong.

    Example:
        >>> def train(seed):
        ...     yield from [([[0.0]], [0])]
        >>> def validation():
        ...     yield from [([[1.0]], [1])]
        >>> ks.datasets.batches(train, validation).name
        'batches'
    """
    steps = {"train": steps_per_epoch, "validation": validation_steps}
    for option, value in zip(("steps_per_epoch", "validation_steps"), steps.values(), strict=True):
        if value is not None:
            checks.whole_number(option, value, DataError)
    parts = {"train": train, "validation": validation, "test": test}
    sources = {
        part: check_source(part, source, steps.get(part), targets)
        for part, source in parts.items()
        if part != "test" or source is not None
    }
    return StreamedDataset(name, f"batches of {shown(train)}", sources)


def digits(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's digits: 1,797 images of handwritten digits, of 8 by 8 pixels.

    Source: https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits.
    The images come with scikit-learn. Nothing is downloaded.

    The loaded x is float32 of shape (n, 64), from 0 to 1. y is int64 of shape (n,), from 0 to 9.
    Splits are stratified.

    Args:
        validation: The samples to validate on, as a share in (0, 1) or a count.
        test: The samples of the test part, as a share or a count. None or 0: no test part.
        seed: The seed of the splits.

    Raises:
        DataError: A share, count or seed is out of range.

    Example:
        >>> ks.datasets.digits().name
        'digits'
    """
    return _of_scikit_learn("digits", locals())


def breast_cancer(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    preprocess: str | Mapping[str, str | None] | None = None,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's breast cancer data: 569 tumours, 30 measurements of each.

    Source: https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic. The data
    comes with scikit-learn. Nothing is downloaded.

    The loaded x is float64 of shape (n, 30): radius, texture, area and so on of the cell nuclei in
    an image, each as its mean, standard error and worst value. Their ranges differ by a factor of
    up to 10,000, so a network needs `preprocess="standardize"`. y is int64 of shape (n,): 0 for
    malignant, 1 for benign (63 %). Splits are stratified.

    Args:
        validation: The samples to validate on, as a share in (0, 1) or a count.
        test: The samples of the test part, as a share or a count. None or 0: no test part.
        preprocess: As in `arrays`.
        seed: The seed of the splits.

    Raises:
        DataError: An option is wrong.
    """
    return _of_scikit_learn("breast_cancer", locals())


def diabetes(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    preprocess: str | Mapping[str, str | None] | None = None,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's diabetes data: 442 patients, 10 measurements of each.

    Source: https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html (Efron et al. 2004, "Least
    Angle Regression"). The data comes with scikit-learn. Nothing is downloaded.

    The loaded x is float64 of shape (n, 10): age, sex, body mass index, blood pressure and six
    blood serum measurements. scikit-learn has scaled them to values of about 0.05, so a network
    needs `preprocess="standardize"`. y is float64 of shape (n,): the progression of the disease a
    year later, from 25 to 346.

    Args:
        validation: The samples to validate on, as a share in (0, 1) or a count.
        test: The samples of the test part, as a share or a count. None or 0: no test part.
        preprocess: As in `arrays`.
        seed: The seed of the splits.

    Raises:
        DataError: An option is wrong.
    """
    return _of_scikit_learn("diabetes", locals())


def mnist(*, validation: float | int = DEFAULT_SHARE, seed: int = 0) -> Dataset:
    """Describes MNIST: 70,000 images of handwritten digits, of 28 by 28 pixels.

    Source: https://keras.io/api/datasets/mnist/ (LeCun et al. 1998). Keras downloads 11 MB to
    `~/.keras/datasets` when the data is loaded for the first time. Without a network, set the
    environment variable KERASTUDY_DATA to an npz file with the arrays x_train, y_train, x_test and
    y_test. The same images give the same digest either way.

    The loaded x is uint8 of shape (n, 28, 28), from 0 to 255. Let the model scale x, by
    `keras.layers.Rescaling(1 / 255)`. y is uint8 of shape (n,), from 0 to 9. MNIST's own 10,000
    test images are the test part. The validation part is split from the other 60,000, stratified.

    Args:
        validation: How many of the 60,000 samples to validate on: a share in (0, 1), or a count.
        seed: The seed of the split.

    Raises:
        DataError: A share, count or seed is out of range. `load` raises if the data can be neither
            read nor downloaded.
    """
    return _of_keras("mnist", locals())


def fashion_mnist(*, validation: float | int = DEFAULT_SHARE, seed: int = 0) -> Dataset:
    """Describes Fashion-MNIST: 70,000 images of clothes in ten classes, of 28 by 28 pixels.

    Source: https://keras.io/api/datasets/fashion_mnist/ (Xiao et al. 2017, arXiv:1708.07747). Keras
    downloads 30 MB. Shapes, parts and KERASTUDY_DATA are as for `mnist`.

    Args:
        validation: How many of the 60,000 samples to validate on: a share in (0, 1), or a count.
        seed: The seed of the split.

    Raises:
        DataError: As for `mnist`.
    """
    return _of_keras("fashion_mnist", locals())


def _of_keras(name: str, arguments: Mapping[str, Any]) -> Dataset:
    names = _CLOTHES.split(", ") if name == "fashion_mnist" else None
    options = options_of(arguments, test=DEFAULT_SHARE, class_names=names)
    path = os.environ.get(DATA_VARIABLE)
    if not path:
        return Dataset(name, f"keras.datasets.{name}", options, partial(_download, name))
    file = absolute_path(path)
    # If the user leaves `validation` at its default, a validation part in the file is used. Any
    # other value takes precedence over the file's part.
    ready = ["validation", "test"] if arguments["validation"] == DEFAULT_SHARE else ["test"]
    return Dataset(name, str(file), options, partial(read_npz, file, ready))


def _of_scikit_learn(name: str, arguments: Mapping[str, Any]) -> Dataset:
    source = f"scikit-learn {name.replace('_', ' ')}"
    return Dataset(name, source, options_of(arguments), partial(_bundled, name))


def _bundled(name: str) -> Contents:
    # Imported late, because scikit-learn is slow to import.
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "digits":
        # Pixels are whole numbers from 0 to 16. Division by a power of two rounds nothing.
        x = x.astype(np.float32) / 16
    return Contents(check_samples(x, y.astype(np.int64) if y.dtype.kind == "i" else y))


def _download(name: str) -> Contents:
    import keras

    title = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}[name]
    try:
        # Keras prints progress to standard output, which must hold only the command's answer.
        with contextlib.redirect_stdout(sys.stderr):
            (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a plain Exception for a failed download, so all exceptions are caught.
        file = f"{name}.npz"
        raise DataError(
            f"{title} could not be downloaded: {' '.join(str(error).split())}",
            hint=f"Give a file instead, by --data {file} or {DATA_VARIABLE}={file}, with arrays "
            "x_train, y_train, x_test and y_test.",
        ) from error
    test = check_samples(x_test, y_test, names="{}_test")
    return Contents(check_samples(x, y, names="{}_train"), {"test": test})

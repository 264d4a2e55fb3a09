"""Data sets by name: those that scikit-learn contains, MNIST and Fashion-MNIST.

Nothing is read, imported or downloaded before a data set is loaded.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial
from typing import Final

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import check_samples
from studies.data.arrays.partition import Contents
from studies.data.dataset import Dataset, call_text, unless
from studies.data.npz_files import absolute_path, read_parts
from studies.data.options import DEFAULT_SHARE, check_options

DATA_VARIABLE = "KERASTUDY_DATA"
"""The environment variable with a file to read instead of a download."""

_CLOTHES: Final = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


def digits(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's digits: 1,797 images of handwritten digits, of 8 by 8 pixels.

    Source: https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits,
    which scikit-learn contains: nothing is downloaded.

    The loaded x is float32 of shape (n, 64), from 0 to 1 (16 shades of gray; the factor is a
    constant, so nothing is fitted); y is int64 of shape (n,), from 0 to 9. Splits are stratified.

    Args:
        validation: share in (0, 1), or count, of samples to validate on.
        test: share or count of samples to seal for the test; None or 0: no test part.
        seed: what the splits are drawn with.

    Raises:
        DataError: a share, count or seed is out of range.

    Example:
        >>> ks.datasets.digits().name
        'digits'
    """
    return _of_scikit_learn("digits", validation, test, None, seed)


def breast_cancer(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    preprocess: object = None,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's breast cancer data: 569 tumours, 30 measurements of each.

    Source: https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic, which
    scikit-learn contains: nothing is downloaded.

    The loaded x is float64 of shape (n, 30): radius, texture, area and so on of the cell nuclei in
    an image, each as its mean, standard error and worst value. Their ranges differ by a factor of
    up to 10,000: take `preprocess="standardize"` for a network. y is int64 of shape (n,): 0 for
    malignant, 1 for benign (63 %). Splits are stratified.

    Args:
        validation: share in (0, 1), or count, of samples to validate on.
        test: share or count of samples to seal for the test; None or 0: no test part.
        preprocess: as in `arrays`.
        seed: what the splits are drawn with.

    Raises:
        DataError: an option is wrong.
    """
    return _of_scikit_learn("breast_cancer", validation, test, preprocess, seed)


def diabetes(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    preprocess: object = None,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's diabetes data: 442 patients, 10 measurements of each.

    Source: https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html (Efron et al. 2004, "Least
    Angle Regression"), which scikit-learn contains: nothing is downloaded.

    The loaded x is float64 of shape (n, 10): age, sex, body mass index, blood pressure and six
    blood serum measurements. scikit-learn has centred them and scaled them to a sum of squares of
    1 over all patients, so that they are about 0.05: take `preprocess="standardize"` for a
    network. y is float64 of shape (n,): the progression of the disease a year later, from 25 to
    346.

    Args:
        validation: share in (0, 1), or count, of samples to validate on.
        test: share or count of samples to seal for the test; None or 0: no test part.
        preprocess: as in `arrays`.
        seed: what the splits are drawn with.

    Raises:
        DataError: an option is wrong.
    """
    return _of_scikit_learn("diabetes", validation, test, preprocess, seed)


def mnist(*, validation: float | int = DEFAULT_SHARE, seed: int = 0) -> Dataset:
    """Describes MNIST: 70,000 images of handwritten digits, of 28 by 28 pixels.

    Source: https://keras.io/api/datasets/mnist/ (LeCun et al. 1998), which downloads 11 MB to
    `~/.keras/datasets` when it is loaded for the first time. Where there is no network, the
    environment variable KERASTUDY_DATA names an npz file to read instead, as `npz` does: with
    arrays x_train, y_train, x_test and y_test. The same images give the same digest either way.

    The loaded x is uint8 of shape (n, 28, 28), from 0 to 255, and stays so, which takes a quarter
    of the memory of floats; the model scales it (`keras.layers.Rescaling(1 / 255)`). y is uint8 of
    shape (n,), from 0 to 9. MNIST's own 10,000 test images are the test part; the validation part
    is split from the other 60,000, stratified.

    Args:
        validation: share in (0, 1), or count, of the 60,000 samples to validate on.
        seed: what the split is drawn with.

    Raises:
        DataError: a share, count or seed is out of range. `load` raises if the data can be neither
            read nor downloaded.
    """
    return _of_keras("mnist", validation, seed)


def fashion_mnist(*, validation: float | int = DEFAULT_SHARE, seed: int = 0) -> Dataset:
    """Describes Fashion-MNIST: 70,000 images of clothes in ten classes, of 28 by 28 pixels.

    Source: https://keras.io/api/datasets/fashion_mnist/ (Xiao et al. 2017, arXiv:1708.07747), which
    downloads 30 MB. All else is as for `mnist`: shapes, parts, and a file where there is no
    network.

    Args:
        validation: share in (0, 1), or count, of the 60,000 samples to validate on.
        seed: what the split is drawn with.

    Raises:
        DataError: as for `mnist`.
    """
    return _of_keras("fashion_mnist", validation, seed)


def _of_keras(name: str, validation: float | int, seed: int) -> Dataset:
    options = check_options(
        validation=validation,
        test=DEFAULT_SHARE,
        seed=seed,
        class_names=_CLOTHES if name == "fashion_mnist" else None,
    )
    text = call_text(name, validation=validation, **unless({"seed": 0}, seed=seed))
    given = os.environ.get(DATA_VARIABLE)
    if not given:
        source = f"keras.datasets.{name}"
        return Dataset(name, source, text, options, partial(_download, name))
    file = absolute_path(given)
    # The file's own validation part replaces only the default share, as in `npz`.
    asked = {"validation": validation != DEFAULT_SHARE, "test": False}
    return Dataset(name, str(file), text, options, partial(read_parts, file, asked, options))


def _of_scikit_learn(
    name: str, validation: float | int, test: float | int | None, preprocess: object, seed: int
) -> Dataset:
    options = check_options(validation=validation, test=test, preprocess=preprocess, seed=seed)
    text = call_text(
        name,
        validation=validation,
        test=test,
        **unless({"preprocess": None, "seed": 0}, preprocess=preprocess, seed=seed),
    )
    source = f"scikit-learn {name.replace('_', ' ')}"
    return Dataset(name, source, text, options, partial(_read_scikit_learn, name))


def _read_scikit_learn(name: str) -> Contents:
    # Late: importing scikit-learn takes longer than describing a hundred data sets.
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "digits":
        # Pixels are whole numbers up to 16, a power of two: the division is exact.
        x = x.astype(np.float32) / 16
    return Contents(check_samples(x, y.astype(np.int64) if y.dtype.kind == "i" else y, "x", "y"))


def _download(name: str) -> Contents:
    import keras

    title = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}[name]
    try:
        # Keras prints progress to standard output, which is for the command's answer.
        with contextlib.redirect_stdout(sys.stderr):
            (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a plain Exception for a failed download; disks and proxies raise others.
        file = f"{name}.npz"
        raise DataError(
            f"{title} could not be downloaded: {' '.join(str(error).split())}. Give a file "
            f"instead, by --data {file} or {DATA_VARIABLE}={file}, with arrays x_train, y_train, "
            "x_test and y_test."
        ) from error
    test = check_samples(x_test, y_test, "x_test", "y_test")
    return Contents(check_samples(x, y, "x_train", "y_train"), {"test": test})

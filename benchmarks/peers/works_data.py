"""The works' data, made ready once: one file that every system reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pair = tuple[NDArray[Any], NDArray[Any]]

SIZES = (10_000, 2_000)
QUICK_SIZES = (1_000, 200)


def prepare(work: str, file: Path, images: Path | None, sizes: tuple[int, int]) -> dict[str, int]:
    """Writes a file of x_train, y_train, x_validation and y_validation; x is float32.

    Args:
        work: The work's name.
        file: The file to write.
        images: MNIST as an npz file; None: images are made up, of the same shapes and types.
        sizes: How many images are for training and for validation. Breast cancer uses all rows.

    Returns:
        How many samples there are for training and for validation.

    Raises:
        ValueError: If the file of images is not MNIST's, or holds too few of them.
    """
    import numpy as np

    if work == "tabular":
        train, validation = _breast_cancer()
    else:
        x, y = _made_up(sum(sizes)) if images is None else _mnist(images, sum(sizes))
        x = x.astype("float32") / 255
        train = x[: sizes[0]], y[: sizes[0]]
        validation = x[sizes[0] :], y[sizes[0] :]
    np.savez(
        file,
        x_train=train[0],
        y_train=train[1],
        x_validation=validation[0],
        y_validation=validation[1],
    )
    return {"training": len(train[0]), "validation": len(validation[0])}


def load(file: Path) -> tuple[Pair, Pair]:
    """Returns the (x, y) of training and of validation."""
    import numpy as np

    with np.load(file) as arrays:
        return (
            (arrays["x_train"], arrays["y_train"]),
            (arrays["x_validation"], arrays["y_validation"]),
        )


def _mnist(path: Path, count: int) -> Pair:
    import numpy as np

    try:
        with np.load(path) as arrays:
            x, y = arrays["x_train"], arrays["y_train"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"--data {str(path)!r} cannot be read as MNIST: {error}") from None
    if x.shape[1:] != (28, 28) or len(x) < count or len(x) != len(y):
        raise ValueError(
            f"--data {str(path)!r} must hold at least {count} images of 28 by 28 in x_train and "
            f"their labels in y_train. Received shapes: {x.shape} and {y.shape}."
        )
    return x[:count], y[:count]


def _made_up(count: int) -> Pair:
    """Returns noisy pictures of ten patterns, and the pattern of each."""
    import numpy as np

    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (10, 28, 28))
    y = random.integers(0, 10, count)
    noise = random.integers(0, 256, (count, 28, 28))
    x: NDArray[np.uint8] = (0.3 * patterns[y] + 0.7 * noise).astype("uint8")
    return x, y.astype("uint8")


def _breast_cancer() -> tuple[Pair, Pair]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_validation, y_train, y_validation = train_test_split(
        x, y, test_size=0.2, random_state=0, stratify=y
    )
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    return (
        (((x_train - mean) / deviation).astype("float32"), y_train),
        (((x_validation - mean) / deviation).astype("float32"), y_validation),
    )

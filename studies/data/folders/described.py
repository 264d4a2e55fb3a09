"""Descriptions of data in folders: images and texts."""

from __future__ import annotations

from os import PathLike
from typing import Any, Literal

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion
from studies.data.dataset import Dataset, call_text, unless
from studies.data.folders.folder import Folder
from studies.data.folders.images import CHANNELS
from studies.data.npz_files import absolute_path
from studies.data.options import DEFAULT_SHARE, check_options

Place = str | PathLike[str]
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian")
_DEFAULTS: dict[str, object] = {
    # None: always shown.
    "image_size": None,
    "color_mode": "rgb",
    "interpolation": "bilinear",
    "text": "text",
    "target": "target",
    "stratify": None,
    "seed": 0,
    "name": None,
}


def images(
    folder: Place,
    *,
    image_size: tuple[int, int] = (256, 256),
    color_mode: str = "rgb",
    interpolation: str = "bilinear",
    validation: float | int | Place = DEFAULT_SHARE,
    test: float | int | Place | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a folder of images, with a subfolder for each class.

    It reads what `keras.utils.image_dataset_from_directory` reads: bmp, gif, jpeg and png files,
    also further down, classes in the order of their names, resized. The loaded x is uint8 of shape
    (n, height, width, channels), from 0 to 255; the model scales it
    (`keras.layers.Rescaling(1 / 255)`), so that its champion takes images as they come. y is int64
    of shape (n,). Arrays of 256 MiB and more are in files that are mapped to memory, so that the
    images may be larger than the memory.

    Args:
        folder: The folder. A relative path starts from the current folder.
        image_size: Height and width to resize to.
        color_mode: "grayscale", "rgb" or "rgba": 1, 3 or 4 channels.
        interpolation: How to resize, such as "bilinear" or "nearest".
        validation: Share in (0, 1) of all images, count of images, or another such folder with
            the same classes.
        test: Likewise; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions; None: yes.
        seed: What the splits are drawn with; from 0 to 2**32 - 1.
        name: Name in records; None: the folder's name.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the images.

    Example:
        >>> ks.datasets.images("flowers", image_size=(64, 64)).name
        'flowers'
    """
    size = _checked_size(image_size)
    for option, value, known in (
        ("color_mode", color_mode, tuple(CHANNELS)),
        ("interpolation", interpolation, _INTERPOLATIONS),
    ):
        if value not in known:
            raise DataError(f"{option}={value!r} is not known. {suggestion(str(value), known)}")

    read = {"image_size": size, "color_mode": color_mode, "interpolation": interpolation}
    return _described("images", folder, read, validation, test, stratify, seed, name)


def text(
    path: Place,
    *,
    text: str = "text",
    target: str = "target",
    validation: float | int | Place = DEFAULT_SHARE,
    test: float | int | Place | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes texts: a folder with a subfolder of txt files for each class, or a csv file.

    The loaded x is texts of shape (n,), as they are: the model's first layer is
    `keras.layers.TextVectorization`, adapted to the training part alone
    (`vectorize.adapt(data.load().train.x)`), so that the champion takes texts.

    Args:
        path: The folder, or the csv file, in UTF-8. A relative path starts from the current folder.
        text: Of a csv file, the column of the texts.
        target: Of a csv file, the column of the targets: texts and whole numbers from 0 up are
            classes, other numbers make a regression.
        validation: Share in (0, 1) of all texts, count of texts, or another such folder or file.
        test: Likewise; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions; None: if there are some.
        seed: What the splits are drawn with; from 0 to 2**32 - 1.
        name: Name in records; None: the folder's or file's name without its ending.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the texts.

    Example:
        >>> ks.datasets.text("reviews.csv", text="review", target="stars").name
        'reviews'
    """
    for option, value in (("text", text), ("target", target)):
        if not isinstance(value, str) or not value:
            raise DataError(f"{option} must be the name of a column, not {value!r}.")
    if text == target:
        raise DataError(f"text and target are both {text!r}. Name two columns.")
    read = {"text": text, "target": target}
    return _described("texts", path, read, validation, test, stratify, seed, name)


def _described(
    kind: Literal["images", "texts"],
    path: Place,
    read: dict[str, Any],
    validation: float | int | Place,
    test: float | int | Place | None,
    stratify: bool | None,
    seed: int,
    name: str | None,
) -> Dataset:
    place = absolute_path(path)
    given = {"validation": validation, "test": test}
    others = {
        part: absolute_path(each)
        for part, each in given.items()
        if isinstance(each, str | PathLike)
    }
    sizes: dict[str, Any] = {p: each for p, each in given.items() if p not in others}
    options = check_options(
        validation=sizes.get("validation", DEFAULT_SHARE if "validation" not in others else 1),
        test=sizes.get("test"),
        stratify=stratify,
        seed=seed,
    )
    shown = {part: str(each) if part in others else each for part, each in given.items()}
    text = call_text(
        "images" if kind == "images" else "text",
        str(path),
        **unless(_DEFAULTS, **read),
        **shown,
        **unless(_DEFAULTS, stratify=stratify, seed=seed, name=name),
    )
    own = place.stem if place.suffix.lower() == ".csv" else place.name
    return Dataset(
        own if name is None else name,
        str(place),
        text,
        options,
        Folder(kind, place, read, others).contents,
    )


def _checked_size(value: object) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, tuple | list) else ()
    whole = [side for side in sides if isinstance(side, int) and not isinstance(side, bool)]
    if len(sides) != 2 or len(whole) != 2 or min(whole) < 1:
        raise DataError(f"image_size must be height and width, such as (64, 64), not {value!r}.")
    return whole[0], whole[1]

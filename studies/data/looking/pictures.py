"""A picture of image samples: a row for each class."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from studies.data.arrays.images import image_of
from studies.data.looking.seen import Seen

_LARGEST_SIDE = 48
_ROWS, _COLUMNS = 10, 10
_GAP = 2
_WHITE = 255


def picture_of(seen: Seen) -> tuple[bytes, tuple[int, ...]]:
    """Returns the first samples of the training part as one PNG, of at most 10 by 10 images.

    Returns:
        The PNG, empty if no input is images; and the label of each row, if there are classes.
    """
    name = next((each for each, kind in seen.kinds().items() if kind == "images"), None)
    if name is None:
        return b"", ()
    array, labels = seen.x["train"][name], seen.labels("train")
    if labels is None:
        places = np.arange(min(len(array), _ROWS * _COLUMNS // 2))
        rows = [places[start : start + _COLUMNS] for start in range(0, len(places), _COLUMNS)]
        shown: tuple[int, ...] = ()
    else:
        classes = np.unique(labels)[:_ROWS]
        rows = [np.flatnonzero(labels == each)[:_COLUMNS] for each in classes]
        shown = tuple(int(each) for each in classes)
    tiles = [[_tile(seen.original(name, array[[place]])[0]) for place in row] for row in rows]
    return _png(_grid(tiles)), shown


def _tile(sample: np.ndarray) -> np.ndarray:
    """Returns a sample in 8-bit pixels of three colours."""
    image = image_of(sample)
    if image is None:
        # One among images that is none: all its pixels lie outside.
        image = np.zeros((_LARGEST_SIDE, _LARGEST_SIDE, 1))
    step = -(-max(image.shape[:2]) // _LARGEST_SIDE)
    pixels = image[::step, ::step, :3].astype(np.float64)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > _WHITE:
        pixels = (pixels - low) / ((high - low) or 1)
    if pixels.max() <= 1 and image.dtype != np.uint8:
        pixels = pixels * _WHITE
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] < 3 else pixels


def _grid(tiles: list[list[np.ndarray]]) -> np.ndarray:
    flat = [tile for row in tiles for tile in row]
    height, width = (max(tile.shape[axis] for tile in flat) + _GAP for axis in (0, 1))
    grid = np.full((height * len(tiles), width * max(map(len, tiles)), 3), _WHITE, np.uint8)
    for down, row in enumerate(tiles):
        for across, tile in enumerate(row):
            top, left = down * height, across * width
            grid[top : top + tile.shape[0], left : left + tile.shape[1]] = tile.round()
    return grid


def _png(pixels: np.ndarray) -> bytes:
    """Returns 8-bit pixels as PNG; see https://www.w3.org/TR/png-3/ for its parts."""
    height, width, _ = pixels.shape
    # Each row begins with its filter: none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )  # fmt: skip

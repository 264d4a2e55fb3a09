"""Parts of Keras that are loaded at their first use, in processes that are kerastudy's own.

Importing Keras imports scikit-learn and Matplotlib where they are installed: a quarter of its time.
Only its wrappers for scikit-learn and its galleries of images need them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

# The packages of Keras that import them, each under all of its names.
_LATE: Final = frozenset(
    ("keras.wrappers", "keras.src.wrappers", "keras.visualization", "keras.src.visualization")
)


def load_late() -> None:
    """Makes imports of Keras leave out, until they are used, its parts that load slowly.

    For worker processes and the command line. A process of the user's imports Keras as it is.
    """
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())


class _LateFinder:
    """Finds those parts as Python does, and lets them be executed at their first use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec

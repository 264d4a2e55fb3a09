"""Names of layers after a user's names: of columns of a table, of inputs."""

from __future__ import annotations

import re


def layer_name(text: str) -> str:
    """Returns a text without what TensorFlow refuses in the name of a layer that it calls.

    Example:
        >>> layer_name("area (m²)/도시")
        'area__m______'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)

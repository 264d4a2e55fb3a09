"""Python that is refused, and what the error says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import kerastudy as ks


def refusal(code: str, names: Mapping[str, Any]) -> ks.errors.SearchSpaceError:
    """Returns the error that an expression raises; it knows what `kerastudy` exports, and names."""
    with pytest.raises(ks.errors.SearchSpaceError) as raised:
        eval(code, {**{name: getattr(ks, name) for name in ks.__all__}, **names})
    return raised.value

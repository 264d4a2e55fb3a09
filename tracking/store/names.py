"""Names of studies."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches

from search_spaces.errors import StudyNameError

# A path's and an address's own characters. MLflow's registry refuses '/' and ':';
# '@', '?', '#' and '%' would break "models:/NAME@champion" and file addresses;
# the rest cannot stand in a file name on Windows.
_FORBIDDEN = set('/\\:@?#%"<>|*')
# Control characters, halves of characters, separators of lines and paragraphs.
_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_LONGEST_IN_BYTES = 200
_NAMES_TOLD = 5


def check_study_name(name: object) -> str:
    r"""Checks a study's name and returns it in Unicode's normal form C.

    Names may have spaces and any script. Normalizing makes a name typed on one
    system (macOS decomposes Hangul) the same as that typed on another.

    Args:
        name: 1 to 200 bytes of UTF-8, without ``/ \ : @ ? # % " < > | *``,
            control characters, or space or dots at its ends.

    Raises:
        StudyNameError: If it is no string, empty, or has what names can't have.
    """
    rule = "Give a plain name such as 'digits' or '손글씨 연구 1'."
    if not isinstance(name, str):
        raise StudyNameError(f"A study's name must be a string. Received: {name!r}. {rule}")
    name = unicodedata.normalize("NFC", name)
    if not name.strip():
        raise StudyNameError(f"A study's name must not be empty. Received: {name!r}. {rule}")
    found = sorted({c for c in name if c in _FORBIDDEN or unicodedata.category(c) in _NO_TEXT})
    if found:
        raise StudyNameError(
            f"A study's name must not contain {' '.join(map(repr, found))}: it names a folder and "
            f"a registered model. Received: {name!r}. {rule}"
        )
    if name == "Default" or name.startswith("-"):
        raise StudyNameError(
            "A study must not be called 'Default', as MLflow's own experiment is, nor begin with "
            f"'-', as an option does. Received: {name!r}. {rule}"
        )
    if name != name.strip(" .") or len(name.encode()) > _LONGEST_IN_BYTES:
        raise StudyNameError(
            f"A study's name must not begin or end with a space or a dot, and be at most "
            f"{_LONGEST_IN_BYTES} bytes long. Received: {name!r}. {rule}"
        )
    return name


def known_names(name: str, names: Sequence[str]) -> str:
    """Returns a hint for a name of which the store has no study."""
    if not names:
        return "It is empty."
    by_folded = {each.casefold(): each for each in reversed(names)}
    near = [by_folded[each] for each in get_close_matches(name.casefold(), by_folded, n=3)]
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}? All are listed by: kerastudy list"
    more = len(names) - _NAMES_TOLD
    told = ", ".join(map(repr, names[:_NAMES_TOLD]))
    if more > 0:
        told += f" and {more} more, listed by: kerastudy list"
    return f"It has: {told}"

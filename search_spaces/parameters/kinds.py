"""The kinds of parameters, and reading one back that `to_dict` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choice_parameter import Boolean, Choice, Fixed
from search_spaces.parameters.parameter import ROLES, Parameter
from search_spaces.parameters.ranged import Float, Int
from search_spaces.parameters.scalars import opened
from search_spaces.suggestions import suggestion

__all__ = ["ROLES", "Boolean", "Choice", "Fixed", "Float", "Int", "Parameter"]

_OPTIONAL: Final = ("when", "otherwise")
_KINDS: Final = {each.kind: each for each in (Float, Int, Choice, Boolean, Fixed)}


def parameter_from_dict(content: object) -> Parameter:
    """Returns the parameter that `Parameter.to_dict` wrote.

    Raises:
        SearchSpaceError: If something is missing, unknown or wrong.
    """
    if not isinstance(content, Mapping):
        raise SearchSpaceError(f"A parameter must be a JSON object, received {content!r}.")
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SearchSpaceError(
            f"Unknown kind {kind!r} of parameter in {dict(content)!r}. {suggestion(kind, _KINDS)}"
        )
    make: Any = _KINDS[kind]
    arguments: dict[str, Any] = {key: value for key, value in content.items() if key != "kind"}
    if make in (Choice, Fixed):
        objects = arguments.pop("objects", ())
        for key, value in arguments.items():
            if key == "value" and value in objects:
                arguments[key] = opened(value)
            elif key == "values" and isinstance(value, list | tuple):
                arguments[key] = [opened(each) if each in objects else each for each in value]
    known = [field.alias for field in attrs.fields(make) if field.init]
    if make is Fixed:
        # Written for readers of the JSON; a Fixed derives both.
        arguments = {k: v for k, v in arguments.items() if k not in ("default", "role")}
    missing = [key for key in known if key not in arguments and key not in _OPTIONAL]
    if missing:
        raise SearchSpaceError(
            f"A parameter of kind {kind!r} must have {', '.join(map(repr, missing))}, received "
            f"{dict(content)!r}."
        )
    for key in arguments:
        if key not in known:
            raise SearchSpaceError(
                f"A parameter of kind {kind!r} has no {key!r}, received {dict(content)!r}. "
                f"{suggestion(key, known)}"
            )
    made: Parameter = make(**arguments)
    return made

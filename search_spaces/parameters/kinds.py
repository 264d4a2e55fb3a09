"""The kinds of parameters, and reading one back that `to_dict` wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choice_parameter import Boolean, Choice, Fixed
from search_spaces.parameters.float_parameter import Float
from search_spaces.parameters.int_parameter import Int
from search_spaces.parameters.parameter import ROLES, Parameter
from search_spaces.parameters.scalars import NOT_GIVEN
from search_spaces.parameters.spelled import opened
from search_spaces.suggestions import suggestion

__all__ = [
    "ROLES",
    "Boolean",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Parameter",
    "conditioned",
    "parameter_from_dict",
    "renamed",
]

_SHARED: Final = ("default", "role")
_OPTIONAL: Final = ("when", "otherwise")

_KINDS: Final[dict[str, tuple[Callable[..., Parameter], tuple[str, ...]]]] = {
    Float.kind: (Float, ("low", "high", "scale", "step", *_SHARED)),
    Int.kind: (Int, ("low", "high", "scale", "step", *_SHARED)),
    Choice.kind: (Choice, ("values", *_SHARED)),
    Boolean.kind: (Boolean, _SHARED),
    Fixed.kind: (Fixed, ("value",)),
}


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
    make, required = _KINDS[kind]
    arguments: dict[str, Any] = {key: value for key, value in content.items() if key != "kind"}
    if kind in (Choice.kind, Fixed.kind):
        _open_objects(arguments)
    if kind == Fixed.kind:
        # Written for readers of the JSON; a Fixed derives both.
        for derived in _SHARED:
            arguments.pop(derived, None)
    for key in ("name", *required):
        if key not in arguments:
            raise SearchSpaceError(
                f"A parameter of kind {kind!r} must have {key!r}, received {dict(content)!r}."
            )
    for key in arguments:
        if key not in ("name", *required, *_OPTIONAL):
            raise SearchSpaceError(
                f"A parameter of kind {kind!r} has no {key!r}, received {dict(content)!r}. "
                f"{suggestion(key, ('name', *required, *_OPTIONAL))}"
            )
    return make(**arguments)


def conditioned(
    parameter: Parameter, when: Mapping[str, Any], otherwise: object = NOT_GIVEN
) -> Parameter:
    """Returns the same parameter under this condition; without one, nothing reads `otherwise`."""
    content = parameter.to_dict()
    content.pop("when", None)
    content.pop("otherwise", None)
    if when:
        content["when"] = dict(when)
        if otherwise is not NOT_GIVEN:
            content["otherwise"] = otherwise
    return parameter_from_dict(content)


def renamed(parameter: Parameter, name: str) -> Parameter:
    """Returns the same parameter under another name."""
    return parameter_from_dict({**parameter.to_dict(), "name": name})


def _open_objects(arguments: dict[str, Any]) -> None:
    """Puts tuples, lists and dicts in place of their spellings."""
    objects = arguments.pop("objects", ())
    for key in ("value", "values"):
        value = arguments.get(key)
        if isinstance(value, list | tuple):
            arguments[key] = [opened(each) if each in objects else each for each in value]
        elif isinstance(value, str) and value in objects:
            arguments[key] = opened(value)

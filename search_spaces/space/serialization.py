"""A space as JSON, its digest, and what differs between two spaces, in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.kinds import parameter_from_dict
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import canonical_json

VERSION: Final = 1
"""The version of the schema. Readers refuse other versions."""


def parameters_to_dict(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Returns the content of a space in JSON's types: `version` and `parameters`."""
    return {"version": VERSION, "parameters": [parameter.to_dict() for parameter in parameters]}


def parameters_from_dict(content: object) -> list[Parameter]:
    """Returns the parameters that `parameters_to_dict` wrote.

    Raises:
        SearchSpaceError: If it is of another version, or something is missing or wrong.
    """
    if not isinstance(content, Mapping):
        raise SearchSpaceError(f"A search space must be a JSON object, received {content!r}.")
    version = content.get("version")
    if version != VERSION or isinstance(version, bool):
        raise SearchSpaceError(
            f"Unknown version {version!r} of a search space: this kerastudy reads version "
            f"{VERSION}. Use the kerastudy that wrote it, or a newer one."
        )
    parameters = content.get("parameters")
    if not isinstance(parameters, list | tuple):
        raise SearchSpaceError(
            f"A search space must have a list of 'parameters', received {parameters!r}."
        )
    unknown = [key for key in content if key not in ("version", "parameters")]
    if unknown:
        raise SearchSpaceError(
            f"A search space has 'version' and 'parameters', received also {unknown[0]!r}: "
            f"take it out."
        )
    return [parameter_from_dict(each) for each in parameters]


def parse_json(text: str) -> Any:
    """Returns what a JSON text holds. Raises SearchSpaceError if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        shown = text if not isinstance(text, str) or len(text) <= 80 else text[:77] + "…"
        raise SearchSpaceError(
            f"A search space could not be read from JSON: {error}; received {shown!r}. Was the "
            f"file cut short, or edited?"
        ) from error


def digest(parameters: Sequence[Parameter]) -> str:
    """Returns the SHA-256, in hex, of what a space declares, in any order."""
    by_name = sorted(parameters, key=lambda parameter: parameter.name)
    return hashlib.sha256(canonical_json(parameters_to_dict(by_name)).encode("ascii")).hexdigest()


def differences(before: Sequence[Parameter], after: Sequence[Parameter]) -> list[str]:
    """Returns what differs between two spaces."""
    old = {parameter.name: parameter for parameter in before}
    new = {parameter.name: parameter for parameter in after}
    sentences = [f"{name!r} is gone; it was {old[name]!r}." for name in old if name not in new]
    sentences += [f"{name!r} is new: {new[name]!r}." for name in new if name not in old]
    for name, parameter in old.items():
        if name in new and new[name] != parameter:
            sentences += _changes(parameter, new[name])
    return sentences


def _changes(before: Parameter, after: Parameter) -> list[str]:
    if before.kind != after.kind:
        return [f"{before.name!r} was {before!r}, and is now {after!r}."]
    old, new = before.to_dict(), after.to_dict()
    sentences = []
    for key in dict.fromkeys([*old, *new]):
        was = _shown(old, key)
        now = _shown(new, key)
        if was != now:
            sentences.append(f"{before.name!r}: {key} was {was}, and is now {now}.")
    return sentences


def _shown(content: Mapping[str, Any], key: str) -> str:
    # repr distinguishes 1, 1.0 and True, unlike ==.
    return repr(content[key]) if key in content else "not given"

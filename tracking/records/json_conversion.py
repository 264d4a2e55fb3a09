"""Converts the records of studies and trials to JSON and back, by cattrs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from search_spaces import SearchSpace
from search_spaces.errors import InternalError

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

Record = TypeVar("Record")


class RecordError(InternalError):
    """A text is not the JSON of a record."""


def to_json(record: object) -> str:
    """Returns a record as one line of JSON. Floats are exact, and may be NaN or infinite."""
    return _converter().dumps(record, ensure_ascii=False)


def from_json(kind: type[Record], text: str) -> Record:
    """Reads a record from a text of `to_json`. Raises RecordError for other texts."""
    from cattrs.errors import BaseValidationError

    try:
        return _converter().loads(text, kind)
    except (BaseValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"not a {kind.__name__} ({type(error).__name__}: {error})") from error


@cache
def _converter() -> JsonConverter:
    # cattrs is imported here, because commands that read no record don't need it.
    from cattrs.gen import make_dict_unstructure_fn, override
    from cattrs.preconf.json import make_converter

    from tracking.records.study_code_and_data_records import CodeDescription, StudyDescription

    converter = make_converter(detailed_validation=False)
    converter.register_unstructure_hook(SearchSpace, lambda space: space.to_dict())
    converter.register_structure_hook(SearchSpace, lambda value, _: SearchSpace.from_dict(value))
    # The JSON has no source texts and no findings, because the journal records them in columns of
    # their own. It has no warnings, because warnings are not recorded.
    for kind, omitted in (
        (CodeDescription, ("source", "texts")),
        (StudyDescription, ("warnings", "looked")),
    ):
        overrides: dict[str, Any] = {name: override(omit=True) for name in omitted}
        hook = make_dict_unstructure_fn(kind, converter, **overrides)
        converter.register_unstructure_hook(kind, hook)
    return converter

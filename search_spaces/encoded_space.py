"""What translations to both libraries share: an encoding for each parameter that varies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from search_spaces.errors import SearchSpaceError, suggestion
from search_spaces.parameters.parameter import Parameter, condition_in_words
from search_spaces.space import SearchSpace, holds


class Encoding(Protocol):
    """How a library gets one parameter."""

    parameter: Parameter
    name: str
    """Its name in the library."""

    def encode(self, value: Any) -> Any:
        """Returns what the library stores for a value of the domain."""
        ...

    def decode(self, stored: Any) -> Any:
        """Returns the value of the domain for what the library stored."""
        ...


AnyEncoding = TypeVar("AnyEncoding", bound=Encoding)


class EncodedSpace(Generic[AnyEncoding]):
    """Translates between the values of a search space and what a library stores of a trial."""

    library: ClassVar[str]

    def __init__(
        self, space: SearchSpace, encoding_of: Callable[[Parameter], AnyEncoding | None]
    ) -> None:
        """Chooses an encoding for each parameter; None for one that the library need not know."""
        self._space = space
        self._by_name = {parameter.name: parameter for parameter in space}
        self._encodings: dict[str, AnyEncoding] = {}
        for parameter in space.parents_first:
            encoding = encoding_of(parameter)
            if encoding is not None:
                self._encodings[parameter.name] = encoding
        self._stored_names = {each.name: name for name, each in self._encodings.items()}
        for name, encoding in self._encodings.items():
            if encoding.name != name and encoding.name in self._encodings:
                raise SearchSpaceError(
                    f"{self.library} gets {name!r} under the name {encoding.name!r}, which is also "
                    f"a parameter of the space: give that one another name."
                )

    @property
    def space(self) -> SearchSpace:
        """The space that is translated."""
        return self._space

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of a trial, from the library's values by its names.

        They are exactly as declared, in declared order: those of the active parameters, Fixed ones
        included.
        """
        for name in stored:
            if name not in self._stored_names:
                raise SearchSpaceError(
                    f"{self.library}'s {name!r} is not of this search space. "
                    f"{suggestion(name, self._stored_names)}"
                )

        def value_of(encoding: AnyEncoding) -> Any:
            if encoding.name not in stored:
                raise SearchSpaceError(
                    f"{self.library}'s values have no {encoding.name!r}, and "
                    f"{encoding.parameter.subject} is active; received {dict(stored)!r}. Is the "
                    f"trial unfinished, or of another space?"
                )
            return encoding.decode(stored[encoding.name])

        values = self._walk(value_of)
        for name in stored:
            inactive = self._stored_names[name]
            if inactive not in values:
                raise SearchSpaceError(
                    f"{self.library}'s values have {name!r}: {stored[name]!r}, which is not "
                    f"active: {condition_in_words(self._space[inactive])}."
                )
        return values

    def _active(self, values: Mapping[str, Any]) -> list[AnyEncoding]:
        """Returns the encodings of the active parameters, parents first."""
        self._space.validate(values)
        return [each for name, each in self._encodings.items() if name in values]

    def _walk(self, value_of: Callable[[AnyEncoding], Any]) -> dict[str, Any]:
        """Goes through the active parameters, parents first, taking the value of each."""
        values: dict[str, Any] = {}
        for parameter in self._space.parents_first:
            if holds(parameter, self._by_name, values):
                encoding = self._encodings.get(parameter.name)
                values[parameter.name] = (
                    parameter.default if encoding is None else value_of(encoding)
                )
        return {name: values[name] for name in self._space.names if name in values}

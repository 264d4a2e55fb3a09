"""A space tailored from the command line: what varies, from which range, and what is fixed.

The text forms, the same wherever a tailoring is written:

    --only a,b                          these vary, all others are Fixed at their defaults
    --set learning_rate=1e-4            Fixed at this value
    --set dropout=0.1..0.5              a range: LOW..HIGH
    --set learning_rate=1e-5..1e-2:log  …and on which scale: linear, log or reverse_log
    --set units=16..128:16              …and in which steps
    --set units=16..128:2:log           …and both: here 2 is a ratio, as in Float and Int
    --set optimizer=adam,sgd            a choice among values
    --set 'pool=["a,b", 3, null]'       a choice, as a list in JSON

How values are read: see `spellings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter import Parameter
from search_spaces.space.alterations import (
    altered,
    check_known,
    fixed_others,
    replaced,
)
from search_spaces.space.search_space import SearchSpace
from search_spaces.spellings import read_domain


# Not a dataclass: importing those takes as long as importing all of this package.
class Tailoring(NamedTuple):
    """Changes to a space; a value that can be pickled, and written as JSON.

    Attributes:
        only: What varies: names, or several in one text, separated by commas; None for all.
        ranges: Ranges, lists of values and single values by name, in the text form of `--set`.
    """

    only: tuple[str, ...] | None = None
    ranges: Mapping[str, str] = {}

    @classmethod
    def from_arguments(
        cls, only: Iterable[str] | None = None, ranges: Iterable[str] = ()
    ) -> Tailoring:
        """Returns the tailoring that a command line asks for.

        Args:
            only: What was given to `--only`, once for each time; None or empty if it was not given.
            ranges: What was given to `--set`: `NAME=RANGE`, `NAME=VALUE` or `NAME=VALUE,VALUE`.

        Raises:
            SearchSpaceError: If a text has no `=`, or a name is given twice.
        """
        return cls(tuple(only or ()) or None, _edits(ranges))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.only is None and not self.ranges

    def apply(self, space: SearchSpace) -> SearchSpace:
        """Returns the tailored space: ranges are set, then all others fixed.

        Conditions are settled once, at the end, as `alterations` says: `--set optimizer=sgd` and
        `--only momentum` go together.

        Args:
            space: The space as the study declares it.

        Raises:
            SearchSpaceError: If a name is unknown, with near matches; if a text can't be read as
                what it is for, quoting it; if a parameter that is named could never be active.
        """
        if self.empty:
            return space
        before = {parameter.name: parameter for parameter in space}
        changes: dict[str, Parameter] = {}
        for name, text in self.ranges.items():
            check_known(name, before)
            changes[name] = read_domain(before[name], text)
        changes = replaced(changes, before)
        named = [*changes]
        if self.only is not None:
            varying = _names(self.only, before)
            changes |= fixed_others(varying, {**before, **changes})
            named += varying
        return SearchSpace(altered(before, changes, named))

    def to_dict(self) -> dict[str, Any]:
        """Returns the tailoring in JSON's types."""
        return {
            "only": None if self.only is None else list(self.only),
            "ranges": dict(self.ranges),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Tailoring:
        """Returns the tailoring that `to_dict` wrote.

        Raises:
            SearchSpaceError: If something is missing, unknown or wrong.
        """
        if set(content) != set(cls._fields):
            raise SearchSpaceError(
                f"A tailoring has {', '.join(map(repr, cls._fields))}, received {dict(content)!r}."
            )
        only = content["only"]
        return cls(None if only is None else tuple(only), dict(content["ranges"]))


def parse_edit(text: str) -> tuple[str, str]:
    """Returns the name and the value of `NAME=VALUE`; a name never has `=` in it.

    Raises:
        SearchSpaceError: If there is no `=`, or nothing before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SearchSpaceError(f"--set takes NAME=VALUE, received {text!r}.")
    return name.strip(), value.strip()


def _names(texts: Iterable[str], known: Mapping[str, Parameter]) -> list[str]:
    """Returns names from texts, each a name or several with commas between."""
    names: list[str] = []
    for text in texts:
        # A name may have a comma in it.
        names += [text] if text in known else [name.strip() for name in text.split(",")]
    for name in names:
        check_known(name, known)
    return names


def _edits(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, value = parse_edit(text)
        if name in found:
            raise SearchSpaceError(
                f"--set gives {name!r} twice, as {found[name]!r} and as {value!r}: give it once."
            )
        found[name] = value
    return found

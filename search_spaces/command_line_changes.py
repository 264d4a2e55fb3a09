"""A space tailored from the command line: names that vary, ranges, and fixed values.

    --only a,b                          these vary, all others are Fixed at their defaults
    --set learning_rate=1e-4            Fixed at this value
    --set dropout=0.1..0.5              a range: LOW..HIGH
    --set learning_rate=1e-5..1e-2:log  …and on which scale: linear, log or reverse_log
    --set units=16..128:16              …and in which steps
    --set units=16..128:2:log           …and both: here 2 is a ratio, as in Float and Int
    --set optimizer=adam,sgd            a choice among values
    --set 'pool=["a,b", 3, null]'       a choice, as a list in JSON
    --set 'hidden=(64,), (64, 32)'      tuples, lists and dicts, as in Python or JSON

A Float or an Int takes a number, a Boolean takes true or false. For a Choice or a Fixed, a text
such as `3`, `true` or `null` is read as JSON if the result is one of its values, else as a string.
New values that contain a comma or dots need a list in JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from search_spaces.conditions import with_changes
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.base import Parameter
from search_spaces.parameters.choices import Boolean, Choice, Fixed, Listed
from search_spaces.parameters.ranges import SCALES, Float, Int
from search_spaces.parameters.values import Scalar, identity, is_object, read_object
from search_spaces.space import (
    SearchSpace,
    check_known,
    fixed_others,
    replaced,
    types_of,
    value_of_type,
)

Kind = TypeVar("Kind", bound=Parameter)

_PYTHON_WORDS: Final[dict[str, Scalar]] = {"True": True, "False": False, "None": None}


# Not a dataclass: importing `dataclasses` takes as long as importing all of this package.
class Tailoring(NamedTuple):
    """Changes to a space, as by ``--only`` and ``--set``.

    Attributes:
        only: The names of the parameters that vary. A text may have several names, separated by
            commas. None: all vary.
        ranges: A text such as "0.1..0.5", "adam,sgd" or "64" by name, as ``--set`` takes it.
    """

    only: tuple[str, ...] | None = None
    ranges: Mapping[str, str] = {}

    @classmethod
    def from_arguments(
        cls, only: Iterable[str] | None = None, ranges: Iterable[str] = ()
    ) -> Tailoring:
        """Returns the tailoring that a command line asks for.

        Args:
            only: The texts of all `--only` options; None or empty if there is none.
            ranges: The texts of all `--set` options: `NAME=RANGE`, `NAME=VALUE` or
                `NAME=VALUE,VALUE`.

        Raises:
            SearchSpaceError: If a text has no `=`, or a name is given twice.
        """
        by_name: dict[str, str] = {}
        for text in ranges:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals or not name:
                raise SearchSpaceError("--set takes NAME=VALUE", received=text)
            if name in by_name:
                raise SearchSpaceError(f"--set gives {name!r} twice: give it once.")
            by_name[name] = value
        return cls(tuple(only or ()) or None, by_name)

    @property
    def empty(self) -> bool:
        """Whether the tailoring changes nothing."""
        return self.only is None and not self.ranges

    def apply(self, space: SearchSpace) -> SearchSpace:
        """Returns the tailored space: sets ranges, then fixes what `only` leaves out.

        Conditions are adapted once, at the end. So `--set optimizer=sgd` makes `--only momentum`
        possible. `search_spaces.conditions` says how conditions are adapted.

        Args:
            space: The space as the study declares it.

        Raises:
            SearchSpaceError: If a name is unknown, if a text can't be read as a range or values, or
                if a named parameter could never be active.
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
        return SearchSpace(with_changes(before, changes, named))

    def to_dict(self) -> dict[str, Any]:
        """Returns the tailoring in JSON's types."""
        return {"only": self.only and list(self.only), "ranges": dict(self.ranges)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Tailoring:
        """Returns the tailoring that `to_dict` wrote.

        Raises:
            SearchSpaceError: If something is missing, unknown or wrong.
        """
        if set(content) != set(cls._fields):
            raise SearchSpaceError.of_setting(
                "A tailoring", f"a mapping of {' and '.join(cls._fields)}", dict(content)
            )
        return cls(content["only"] and tuple(content["only"]), dict(content["ranges"]))


def _names(texts: Iterable[str], known: Mapping[str, Parameter]) -> list[str]:
    """Returns the names in texts. A text has one name, or several separated by commas."""
    names: list[str] = []
    for text in texts:
        # A name may have a comma in it.
        names += [text] if text in known else [name.strip() for name in text.split(",")]
    for name in names:
        check_known(name, known)
    return names


def read_domain(parameter: Parameter, text: str) -> Parameter:
    """Returns a new declaration of a parameter, from a text such as "0.1..0.5".

    A range makes a Float or an Int, several values make a Choice, and one value makes a Fixed. Both
    values of a Boolean make a Boolean. The role is kept. So are the declared default, scale and
    step if they fit the new range. The new declaration has no condition.
    """
    low, dots, rest = text.partition("..")
    is_value = isinstance(parameter, Listed) and text in parameter.values
    if dots and _number(low) is not None and not is_value:
        return _read_range(parameter, text, low, rest)
    values = _read_values(parameter, text)
    if len(values) == 1:
        return Fixed(parameter.name, values[0])
    if isinstance(parameter, Boolean) and {False, True} == set(values) and len(values) == 2:
        return Boolean(parameter.name, default=parameter.default, role=parameter.role)
    return _like(parameter, Choice(parameter.name, values, role=_searched_role(parameter)))


def read_value(parameter: Parameter, text: str) -> Any:
    """Returns the value that a text spells, perhaps outside the domain, in the parameter's type."""
    if not text and not parameter.contains(text):
        raise SearchSpaceError(f"{parameter.subject} has no value: give one after the '='.")
    if isinstance(parameter, Listed):
        value = _read_listed(parameter, text)
    else:
        number = _number(text)
        value = text if number is None else number
    return value_of_type(parameter, value)


def spell_domain(parameter: Parameter) -> str:
    """Returns the text from which `read_domain` makes the same domain again."""
    if isinstance(parameter, Float | Int):
        step = "" if parameter.step == parameter.usual_step else f":{parameter.step!r}"
        return f"{parameter.low!r}..{parameter.high!r}{step}:{parameter.scale}"
    assert isinstance(parameter, Listed), "no other kinds"
    return spell_values(parameter, parameter.values)


def spell_values(parameter: Listed, values: Sequence[Scalar]) -> str:
    """Returns these values as text that `read_domain` reads as a Choice."""
    if parameter.objects:
        opened = [parameter.opened(value) for value in values]
        return repr(opened if len(opened) > 1 or not is_object(opened[0]) else opened[0])
    text = ",".join(each if isinstance(each, str) else json.dumps(each) for each in values)
    with contextlib.suppress(SearchSpaceError):
        read = read_domain(parameter, text)
        if isinstance(read, Listed) and [*map(identity, read.values)] == [*map(identity, values)]:
            return text
    return json.dumps(list(values), ensure_ascii=False)


def _read_range(parameter: Parameter, text: str, low: str, rest: str) -> Float | Int:
    """Returns a Float or Int from `LOW..HIGH`, followed by `:STEP` and `:SCALE` in any order."""
    kinds = types_of(parameter)
    if not kinds <= {int, float}:
        hint = f"List its values, as in --set '{parameter.name}=VALUE,VALUE'."
        raise SearchSpaceError(f"{parameter.subject} has no range", received=text, hint=hint)
    high, *extras = (part.strip() for part in rest.split(":"))
    ends = [_number(low), _number(high)]
    scales = [extra for extra in extras if extra in SCALES]
    steps = [_number(extra) for extra in extras if extra not in SCALES]
    if None in (*ends, *steps) or len(scales) > 1 or len(steps) > 1:
        expected = f"LOW..HIGH, perhaps with :STEP and :SCALE (one of {', '.join(SCALES)})"
        hint = "Write such as 16..128:16 or 1e-5..1e-2:log."
        raise parameter.wrong("a range", expected, text, hint)
    make: Callable[..., Float | Int] = Int if kinds == {int} else Float
    options: dict[str, Any] = {"role": _searched_role(parameter)}
    if scales:
        options["scale"] = scales[0]
    elif isinstance(parameter, Float | Int):
        keeps_scale = parameter.scale == "linear" or (ends[0] is not None and ends[0] > 0)
        options["scale"] = parameter.scale if keeps_scale else "linear"
    if steps:
        options["step"] = steps[0]
    # The declared step is kept on the same scale only, since it means a ratio on a log scale.
    elif isinstance(parameter, Float | Int) and options["scale"] == parameter.scale:
        # A declared step that does not fit is dropped. The last line raises all other errors.
        with contextlib.suppress(SearchSpaceError):
            return _like(parameter, make(parameter.name, *ends, step=parameter.step, **options))
    return _like(parameter, make(parameter.name, *ends, **options))


def _read_values(parameter: Parameter, text: str) -> list[Any]:
    """Returns the values that a text spells, in the parameter's type."""
    if isinstance(parameter, Listed) and parameter.objects:
        content = read_object(text)
        is_value = content is not None and parameter.contains(content)
        if not is_value and isinstance(content, list | tuple) and any(map(is_object, content)):
            return [value_of_type(parameter, each) for each in content]
        if is_value or isinstance(content, tuple | dict):
            return [value_of_type(parameter, content)]
    if text.startswith("["):
        content = _json(text)
        if not isinstance(content, list) or not content:
            raise parameter.wrong("values", 'a list in JSON, such as ["a", 3, null]', text)
        return [value_of_type(parameter, each) for each in content]
    if isinstance(parameter, Listed) and text in parameter.values:
        # This is one value with a comma in it.
        return [read_value(parameter, text)]
    return [read_value(parameter, each.strip()) for each in text.split(",")]


def _read_listed(parameter: Listed, text: str) -> Any:
    """Returns the value that a text spells, if possible one of the parameter's own values."""
    if parameter.objects:
        content = read_object(text)
        if content is not None:
            return content
    content = _json(text)
    readings: list[Any] = [content]
    if type(content) is int and float(content) == content:
        readings.append(float(content))
    # Python writes True, a spreadsheet TRUE.
    readings += [text, _PYTHON_WORDS.get(text.capitalize(), text)]
    for reading in readings:
        if not isinstance(reading, list | dict) and parameter.contains(reading):
            return parameter.canonical(reading)
    # The value is new. Take the first reading that has the type of one of the parameter's values.
    types = types_of(parameter)
    return next((reading for reading in readings if type(reading) in types), text)


def _like(parameter: Parameter, domain: Kind) -> Kind:
    """Gives a new declaration the parameter's default, if the new domain has that value."""
    has_it = domain.contains(parameter.default)
    return domain.with_default(parameter.default) if has_it else domain


def _searched_role(parameter: Parameter) -> str:
    return "nuisance" if parameter.role == "fixed" else parameter.role


def _number(text: str) -> int | float | None:
    """Returns the int or finite float that a text spells, or None."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _json(text: str) -> object:
    """Returns the content of a JSON text, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

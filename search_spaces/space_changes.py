"""Changes of a space by `fix`, `only` and `replace`, and by texts of the command line.

The options `--only` and `--set` take these texts:

    --only a,b                          a and b vary; all others are Fixed at their defaults
    --set learning_rate=1e-4            Fixed at this value
    --set dropout=0.1..0.5              a range: LOW..HIGH
    --set learning_rate=1e-5..1e-2:log  a range and its scale: linear, log or reverse_log
    --set units=16..128:16              a range and its step
    --set units=16..128:2:log           a range, its step and its scale: here the step is a ratio
    --set optimizer=adam,sgd            a choice among values
    --set 'pool=["a,b", 3, null]'       a choice among values, as a list in JSON
    --set 'hidden=(64,), (64, 32)'      a choice among tuples, lists or dicts, in Python or JSON

A Float or an Int takes a number, a Boolean takes true or false. For a Choice or a Fixed, a text
such as `3`, `true` or `null` is JSON or a string, whichever fits the parameter's values: `3` is an
int for a choice among ints, and a string for a choice among strings. If both fit, it is JSON.

A new string that contains a comma or `..` must be in a list in JSON, such as `["a,b"]`, because
commas separate values and `..` makes a range.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from search_spaces.conditions import ByName, with_changes
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import (
    NOT_GIVEN,
    SCALES,
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    Listed,
    Parameter,
    Scalar,
    identity,
    is_object,
    plain_scalar,
    plain_value,
    read_object,
)
from search_spaces.texts import suggestion

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

Kind = TypeVar("Kind", bound=Parameter)

_LARGEST: Final = sys.float_info.max
_TYPES: Final[Mapping[type, str]] = {
    float: "a number",
    int: "an int",
    bool: "true or false",
    str: "a text",
    type(None): "None",
}
_PYTHON_WORDS: Final[dict[str, Scalar]] = {"True": True, "False": False, "None": None}


# This is a NamedTuple and not a dataclass, because importing `dataclasses` takes as long as
# importing all of this package.
class Tailoring(NamedTuple):
    """The changes of a space that the options ``--only`` and ``--set`` ask for.

    Attributes:
        only: The names of the parameters that vary. Each text has one name, or several names
            separated by commas. None if all parameters vary.
        ranges: The new domains by the parameters' names. A domain is the text after the ``=`` of
            ``--set``, such as "0.1..0.5", "adam,sgd" or "64".
    """

    only: tuple[str, ...] | None = None
    ranges: Mapping[str, str] = {}

    @classmethod
    def from_arguments(
        cls, only: Iterable[str] | None = None, ranges: Iterable[str] = ()
    ) -> Tailoring:
        """Returns the changes that the options of a command line make.

        Args:
            only: The texts of all `--only` options. None or empty if there is none.
            ranges: The texts of all `--set` options, such as `NAME=VALUE`.

        Raises:
            SearchSpaceError: If a text of `--set` has no `=`, or if two texts have the same name.
        """
        by_name: dict[str, str] = {}
        for text in ranges:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals or not name:
                raise SearchSpaceError("--set takes NAME=VALUE", received=text)
            if name in by_name:
                raise SearchSpaceError(f"--set gives {name!r} twice", hint="Give it once.")
            by_name[name] = value
        return cls(tuple(only or ()) or None, by_name)

    @property
    def empty(self) -> bool:
        """Whether no option changes the space."""
        return self.only is None and not self.ranges

    def apply(self, space: SearchSpace) -> SearchSpace:
        """Returns the changed space. Applies `ranges` first, and then `only`.

        Conditions are adapted once, after both. So `--set optimizer=sgd --only momentum` works,
        even if the default optimizer has no momentum. `search_spaces.conditions` says how
        conditions are adapted.

        Args:
            space: The space as the study declares it.

        Raises:
            SearchSpaceError: If a name is unknown, if a text can't be read as a range or values, or
                if a named parameter could never be active.
        """
        if self.empty:
            return space
        before = {parameter.name: parameter for parameter in space}
        domains = {name: read_domain(space[name], text) for name, text in self.ranges.items()}
        changes = replaced(domains, before)
        named = [*changes]
        if self.only is not None:
            varying = _names(self.only, before)
            changes |= fixed_others(varying, {**before, **changes})
            named += varying
        return type(space)(with_changes(before, changes, named))

    def with_ranges(
        self, ranges: Mapping[str, str], before: SearchSpace, after: SearchSpace
    ) -> Tailoring:
        """Returns these changes together with new ranges.

        `before` is the space with these changes, `after` the space that has the new ranges, too.
        """
        # A hyperparameter that is gone or fixed in the new space can't have its former range.
        former = {
            name: text
            for name, text in self.ranges.items()
            if name in after
            and (name not in before or before[name].count == 1 or after[name].count != 1)
        }
        only = self.only
        if only is not None:
            varying = [name for name in before.names if before[name].count != 1]
            only = tuple(name for name in varying if name in after and after[name].count != 1)
        return Tailoring(only, {**former, **ranges})

    def to_dict(self) -> dict[str, Any]:
        """Returns the changes in JSON's types."""
        return {"only": self.only and list(self.only), "ranges": dict(self.ranges)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Tailoring:
        """Returns the changes that `to_dict` wrote."""
        return cls(content["only"] and tuple(content["only"]), dict(content["ranges"]))


def _names(texts: Iterable[str], parameters: Mapping[str, Parameter]) -> list[str]:
    """Returns the names in texts. A text has one name, or several names separated by commas."""
    names: list[str] = []
    for text in texts:
        # The name of a parameter may have a comma in it.
        names += [text] if text in parameters else [name.strip() for name in text.split(",")]
    for name in names:
        check_known(name, parameters)
    return names


def fixed_others(names: Iterable[str], parameters: ByName) -> dict[str, Parameter]:
    """Returns a Fixed for each parameter that varies and is not in `names`, at its default."""
    varying = tuple(names)
    if not varying:
        raise SearchSpaceError(
            "only() needs the name of a parameter that varies", hint="To fix one: fix(name=value)."
        )
    for name in varying:
        check_known(name, parameters)
        if isinstance(parameters[name], Fixed):
            raise SearchSpaceError(
                f"{name!r} can't vary: it is {parameters[name]!r}",
                hint=f"Give it a domain first, with replace(Float({name!r}, …)), or leave it out.",
            )
    return {
        name: fixed_at(parameter, parameter.default)
        for name, parameter in parameters.items()
        if name not in varying and not isinstance(parameter, Fixed)
    }


def replaced(new: ByName, parameters: ByName) -> dict[str, Parameter]:
    """Returns the new declarations of parameters.

    A declaration without a `when` gets the `when` of the old declaration. The same goes for
    `otherwise`.
    """
    merged = {}
    for name, parameter in new.items():
        check_known(name, parameters)
        old = parameters[name]
        otherwise = old.otherwise if parameter.otherwise is NOT_GIVEN else parameter.otherwise
        merged[name] = parameter.conditioned(parameter.when or old.when, otherwise)
    return merged


def fixed_at(parameter: Parameter, value: Any) -> Fixed:
    """Returns a Fixed with this value and the parameter's condition."""
    fixed = Fixed(parameter.name, parameter.opened(value))
    return fixed.conditioned(parameter.when, parameter.otherwise)


def value_of_type(parameter: Parameter, value: object) -> Any:
    """Checks that the type of a value suits a parameter, and returns the value.

    The value may lie outside the domain. A Float takes any finite number, an Int any int, a Boolean
    False or True. A Choice or a Fixed takes any value that has the type of one of the parameter's
    own values. If one of these is a tuple, list or dict, the parameter takes any tuple, list or
    dict.
    """
    what = f"The value to fix {parameter.subject} at"
    if isinstance(parameter, Listed) and parameter.objects:
        if parameter.contains(value):
            return parameter.opened(parameter.canonical(value))
        if is_object(value):
            return plain_value(value, what)
    plain = plain_scalar(value, what)
    types = parameter.types
    if type(plain) in types:
        return plain
    if type(plain) is int and float in types and abs(plain) <= _LARGEST:
        return float(plain)
    accepted = " or ".join(name for kind, name in _TYPES.items() if kind in types)
    hint = "Another kind of value needs another declaration, by replace(…)."
    raise SearchSpaceError(f"{parameter.subject} takes {accepted}", received=value, hint=hint)


def unknown_name(name: object, names: Iterable[str]) -> SearchSpaceError:
    """Returns the error for a name that is not in the space, whose names are `names`."""
    wrong = f"{name!r} is not in the search space"
    return SearchSpaceError(wrong, hint=suggestion(name, names))


def check_known(name: str, parameters: ByName) -> None:
    """Raises SearchSpaceError if no parameter has this name."""
    if name not in parameters:
        raise unknown_name(name, parameters)


def read_domain(parameter: Parameter, text: str) -> Parameter:
    """Returns a new declaration of a parameter, from a text such as "0.1..0.5".

    A range makes a Float or an Int, several values make a Choice, and one value makes a Fixed. For
    a Boolean, "false,true" makes a Boolean. The new declaration has no condition. The parameter's
    default, scale and step are kept as far as they fit the new domain.
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
    return _with_default_of(parameter, Choice(parameter.name, values, role=_role(parameter)))


def _read_value(parameter: Parameter, text: str) -> Any:
    """Reads a value of the parameter's type from a text. The value may lie outside the domain."""
    if not text and not parameter.contains(text):
        raise SearchSpaceError(f"{parameter.subject} has no value", hint="Give one after the '='.")
    if isinstance(parameter, Listed):
        return value_of_type(parameter, _read_listed(parameter, text))
    number = _number(text)
    return value_of_type(parameter, text if number is None else number)


def spell_domain(parameter: Parameter) -> str:
    """Returns a text from which `read_domain` makes the same domain."""
    if isinstance(parameter, Float | Int):
        step = "" if parameter.step == parameter.usual_step else f":{parameter.step!r}"
        return f"{parameter.low!r}..{parameter.high!r}{step}:{parameter.scale}"
    assert isinstance(parameter, Listed), "no other kinds"
    return spell_values(parameter, parameter.values)


def spell_values(parameter: Listed, values: Sequence[Scalar]) -> str:
    """Returns a text from which `read_domain` makes a Choice with these values."""
    if parameter.objects:
        opened = [parameter.opened(value) for value in values]
        return repr(opened if len(opened) > 1 or not is_object(opened[0]) else opened[0])
    text = ",".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    with contextlib.suppress(SearchSpaceError):
        same = read_domain(parameter, text)
        if isinstance(same, Listed) and [*map(identity, same.values)] == [*map(identity, values)]:
            return text
    return json.dumps(list(values), ensure_ascii=False)


def _read_range(parameter: Parameter, text: str, low: str, rest: str) -> Float | Int:
    """Reads a range such as `LOW..HIGH:STEP:SCALE`. The step and the scale may be missing."""
    kinds = parameter.types
    if not kinds <= {int, float}:
        hint = f"List its values, as in --set '{parameter.name}=VALUE,VALUE'."
        raise SearchSpaceError(f"{parameter.subject} takes no range", received=text, hint=hint)
    high, *extras = (part.strip() for part in rest.split(":"))
    ends = [_number(low), _number(high)]
    scales = [extra for extra in extras if extra in SCALES]
    steps = [_number(extra) for extra in extras if extra not in SCALES]
    if None in (*ends, *steps) or len(scales) > 1 or len(steps) > 1:
        expected = f"LOW..HIGH, perhaps with :STEP and :SCALE (one of {', '.join(SCALES)})"
        hint = "For example, write 16..128:16 or 1e-5..1e-2:log."
        raise parameter.wrong("a range", expected, text, hint)
    make: Callable[..., Float | Int] = Int if kinds == {int} else Float
    options: dict[str, Any] = {"role": _role(parameter)}
    if scales:
        options["scale"] = scales[0]
    elif isinstance(parameter, Float | Int):
        options["scale"] = parameter.scale if ends[0] is not None and ends[0] > 0 else "linear"
    if steps:
        options["step"] = steps[0]
    # The declared step is kept only on the declared scale, because a step is a difference on a
    # linear scale, but a ratio on a log scale.
    elif isinstance(parameter, Float | Int) and options["scale"] == parameter.scale:
        # If the declared step does not fit the new range, the error is suppressed, and the last
        # line of this function makes the range without a step. If another argument is wrong, that
        # line raises the error.
        with contextlib.suppress(SearchSpaceError):
            same_step = make(parameter.name, *ends, step=parameter.step, **options)
            return _with_default_of(parameter, same_step)
    return _with_default_of(parameter, make(parameter.name, *ends, **options))


def _read_values(parameter: Parameter, text: str) -> list[Any]:
    """Reads one or several values of the parameter's type from a text."""
    if isinstance(parameter, Listed) and parameter.objects:
        content = read_object(text)
        is_value = content is not None and parameter.contains(content)
        if not is_value and isinstance(content, list | tuple) and any(map(is_object, content)):
            return [value_of_type(parameter, value) for value in content]
        if is_value or isinstance(content, tuple | dict):
            return [value_of_type(parameter, content)]
    if text.startswith("["):
        content = _json(text)
        if not isinstance(content, list) or not content:
            raise parameter.wrong("values", 'a list in JSON, such as ["a", 3, null]', text)
        return [value_of_type(parameter, value) for value in content]
    # A value of the parameter may have a comma in it.
    is_value = isinstance(parameter, Listed) and text in parameter.values
    texts = [text] if is_value else [part.strip() for part in text.split(",")]
    return [_read_value(parameter, value) for value in texts]


def _read_listed(parameter: Listed, text: str) -> Any:
    """Reads a value from a text. Prefers a reading that is one of the parameter's values."""
    if parameter.objects:
        content = read_object(text)
        if content is not None:
            return content
    content = _json(text)
    readings: list[Any] = [content]
    if type(content) is int and float(content) == content:
        readings.append(float(content))
    # JSON has only `true`, but users also write `True` as in Python, or `TRUE` as in spreadsheets.
    readings += [text, _PYTHON_WORDS.get(text.capitalize(), text)]
    for reading in readings:
        if not isinstance(reading, list | dict) and parameter.contains(reading):
            return parameter.canonical(reading)
    # The value is new, so the first reading that has the type of one of the parameter's values
    # counts.
    types = parameter.types
    return next((reading for reading in readings if type(reading) in types), text)


def _with_default_of(parameter: Parameter, new: Kind) -> Kind:
    """Gives a new declaration the default of the old one, if the new domain has that value."""
    return new.with_default(parameter.default) if new.contains(parameter.default) else new


def _role(parameter: Parameter) -> str:
    """Returns the role of a new declaration.

    A parameter that was Fixed becomes "nuisance", because it may vary now.
    """
    return "nuisance" if parameter.role == "fixed" else parameter.role


def _number(text: str) -> int | float | None:
    """Reads an int or a finite float from a text. Returns None if the text is neither."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _json(text: str) -> object:
    """Reads a text as JSON. Returns the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

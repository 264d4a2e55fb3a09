"""Runs a builder with chosen values, and records which hyperparameters it declares or reads."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self, TypeVar

from search_spaces.conditions import holds
from search_spaces.errors import HyperparameterError, InternalError, SearchSpaceError
from search_spaces.hp_and_trial_methods import InlineDeclarations, categorical, copied
from search_spaces.parameters import (
    NOT_GIVEN,
    Fixed,
    Int,
    Listed,
    Parameter,
    Ranged,
    Scalar,
    same_domain,
)
from search_spaces.space import SearchSpace
from search_spaces.texts import suggestion
from search_spaces.trial_hyperparameters import Hyperparameters, read_as

_SHOWN_VALUES: Final = 6
_MOST_VARIANTS: Final = 6
"""The most domains of one name that become separate parameters. If a builder declares a name with
more domains than this, they are merged into one parameter. Then the bounds probably depend on
another hyperparameter, as in `hp.Int("units_2", 8, units_1)`: this has a domain for each value of
`units_1`."""

_MOST_TRIED: Final = 6
"""All values of a numeric range are tried if there are at most this many. That takes at most five
builds besides the build with the default. In a longer range, bisection takes four or five builds if
the declarations depend on the number."""
_MOST_ROWS: Final = 8
"""The largest number of builds that go through the values of choices and short ranges."""
_MOST_DRAWN: Final = 16
"""The largest number of builds with random values. These builds find names that are read only in
rare branches."""

Occurrence = dict[str, tuple[Scalar, ...]]
"""The conditional scopes around a declaration: the values that they allow, by the parent's name."""

Key = tuple[str, object]
"""A value with its type, as `Parameter.identity` returns it."""

Result = TypeVar("Result")


class Trace(NamedTuple):
    """The record of one build, which is one run of the builder.

    Attributes:
        values: The values of the parameters that the build declared, in the order of declaration.
        keys: The `Key` of each of these values, by the parameter's name.
        error: The text of the error that the builder raised, or None.
    """

    values: dict[str, Any]
    keys: dict[str, Key]
    error: str | None


class LimitReachedError(InternalError):
    """The allowed number of builds is reached."""


class ClashError(InternalError):
    """A build declared one name with domains that must be merged before any further build.

    `Tracer.clashes` has the name.
    """


class Tracer:
    """Runs a builder with chosen values, never twice with the same values.

    If the builder declares "units" with two domains, the tracer has two parameters, "units" and
    "units ⟨2⟩". These names are the keys of `parameters` and `occurrences`.

    Attributes:
        space: The space declared outside the builder, or None. The domains in this space override
            the domains that the builder declares.
        merged: For each name whose several domains are merged, the one parameter that has the
            values of all these domains.
        parameters: The parameters declared so far. Each is as in its first declaration, but has no
            condition.
        occurrences: For each parameter, the different conditional scopes in which it is declared.
        variants: For each name in the builder, the names of its parameters in the tracer, such as
            "units" and "units ⟨2⟩".
        clashes: The names whose several domains must be merged into one.
        widened: Whether a build gave a parameter in `merged` a wider domain.
        traces: The records of the builds so far.
        first_error: The first exception that a build raised.
    """

    def __init__(
        self,
        build: Callable[[Any], object],
        before: Callable[[], object] | None,
        limit: int,
        stops: Callable[[Exception], bool],
        space: SearchSpace | None = None,
        merged: Mapping[str, Parameter] | None = None,
    ) -> None:
        self._build, self._before, self._limit, self._stops = build, before, limit, stops
        self.space = space
        self.merged = dict(merged or {})
        self.parameters: dict[str, Parameter] = {}
        self.occurrences: dict[str, list[Occurrence]] = {}
        self.variants: dict[str, list[str]] = {}
        self.clashes: set[str] = set()
        self.widened = False
        self.traces: list[Trace] = []
        self.first_error: Exception | None = None

    def key(self, name: str, value: Any) -> Key:
        """Returns the key of a parameter's value."""
        return self.parameters[name].identity(value)

    def keys(self, name: str, values: tuple[Scalar, ...]) -> set[Key]:
        """Returns the keys of a parameter's values."""
        return {self.key(name, value) for value in values}

    def known(self, assignment: Mapping[str, Any]) -> Trace | None:
        """Returns the record of an earlier build with these values, or None if there is none.

        Parameters that are not in `assignment` have their defaults. Only the parameters that the
        earlier build declared are compared, because others can't have influenced the build.
        """
        keys = {n: self.key(n, assignment.get(n, p.default)) for n, p in self.parameters.items()}
        return next((t for t in reversed(self.traces) if t.keys.items() <= keys.items()), None)

    def run(self, assignment: Mapping[str, Any]) -> Trace:
        """Runs a build with these values, and returns its record.

        Parameters that are not in `assignment` have their defaults. If there was a build with the
        same values before, returns the record of that build, and runs nothing.
        """
        trace = self.known(assignment)
        if trace is not None:
            return trace
        if len(self.traces) >= self._limit:
            raise LimitReachedError
        if self._before is not None:
            self._before()
        hp = TracedHyperparameters(self, assignment)
        error = None
        try:
            self._build(hp)
        except SearchSpaceError:
            raise  # A wrong declaration stays wrong with other values, so discovery ends.
        except Exception as raised:
            if self._stops(raised):
                raise
            error = f"{type(raised).__name__}: {raised}".removesuffix(".")
            self.first_error = self.first_error or raised
        if self.clashes:
            raise ClashError
        keys = {name: self.key(name, value) for name, value in hp.traced.items()}
        self.traces.append(Trace(hp.traced, keys, error))
        return self.traces[-1]

    def declare(self, parameter: Parameter, occurrence: Occurrence) -> None:
        """Records a declaration, and the conditional scopes around it."""
        name, key = parameter.name, self.key_of(parameter)
        if key is None:
            variants = self.variants.setdefault(name, [])
            key = f"{name} ⟨{len(variants) + 1}⟩" if variants else name
            self.parameters[key] = self.merged.get(name, parameter).renamed(key)
            variants.append(key)
            if len(variants) > _MOST_VARIANTS:
                self.clashes.add(name)
        if name in self.merged:
            wider = self._one([self.parameters[name], parameter])
            if wider != self.parameters[name]:
                self.parameters[name] = self.merged[name] = wider
                self.widened = True
        occurrences = self.occurrences.setdefault(key, [])
        if occurrence not in occurrences:
            occurrences.append(occurrence)

    def key_of(self, parameter: Parameter) -> str | None:
        """Returns the tracer's name, such as "units ⟨2⟩", for a parameter's name and domain.

        Returns None if no parameter with this name and domain was declared so far.
        """
        name = parameter.name
        if name in self.merged:
            return name if name in self.parameters else None
        variants = self.variants.get(name, [])
        return next((v for v in variants if same_domain(self.parameters[v], parameter)), None)

    def declared_as(self, key: str) -> str:
        """Returns the name that the builder declares: "units" for the tracer's "units ⟨2⟩"."""
        names = (name for name, variants in self.variants.items() if key in variants)
        return next(names, read_as(key))

    def one_domain(self, name: str) -> Parameter:
        """Merges the domains that were declared under a name into one parameter."""
        return self._one([self.parameters[key].renamed(name) for key in self.variants[name]])

    def _one(self, parameters: list[Parameter]) -> Parameter:
        domain = _with_all_values(parameters)
        if domain is None:
            raise SearchSpaceError(
                f"{parameters[1].name!r} is declared twice with different domains, as "
                f"{parameters[0]!r} and as {parameters[1]!r}",
                hint="Rename one, declare one in a name_scope, or give both the same domain.",
            )
        return domain

    def notes(self) -> list[str]:
        """Returns a sentence for each different error of the builds, with values that cause it."""
        errors: dict[str, list[Trace]] = {}
        for trace in self.traces:
            if trace.error is not None:
                errors.setdefault(trace.error, []).append(trace)
        return [
            f"The builder raised {error} with {self._in_words(traces[0])}"
            + (f", and in {len(traces) - 1} more of the builds" if len(traces) > 1 else "")
            + ": trials with such values are infeasible."
            for error, traces in errors.items()
        ]

    def _in_words(self, trace: Trace) -> str:
        different = [
            f"{self.declared_as(name)}={self.parameters[name].opened(trace.values[name])!r}"
            for name, key in trace.keys.items()
            if key != self.key(name, self.parameters[name].default)
        ]
        values = ", ".join(different[:_SHOWN_VALUES]) + (", …" if different[_SHOWN_VALUES:] else "")
        return f"{values} and otherwise defaults" if values else "its defaults"


def _with_all_values(declared: Sequence[Parameter]) -> Parameter | None:
    """Returns one parameter with the values of all declarations.

    The parameter has the name and default of the first declaration, and the scale of the first
    range. It has a step only if all ranges have the same step, and the ends of all declarations are
    on one grid. Returns None if the declarations are of different kinds, such as Int and Float.
    """
    first = declared[0]
    if all(isinstance(parameter, Listed) for parameter in declared):
        values = [p.opened(value) for p in declared for value in p.grid_values() or ()]
        return categorical(first.name, values).with_default(first.opened(first.default))
    ranges: list[Any] = [parameter for parameter in declared if isinstance(parameter, Ranged)]
    model = ranges[0]
    kind, scalar = type(model), int if isinstance(model, Int) else float
    # A declared range with only one value became a Fixed, so a Fixed counts as a range here.
    if not all(type(p) in (kind, Fixed) and type(p.default) is scalar for p in declared):
        return None
    ends: list[Any] = [
        end
        for p in declared
        for end in ((p.low, p.high) if isinstance(p, Ranged) else (p.default,))
    ]
    low, high = min(ends), max(ends)
    options = {"default": first.default, "scale": model.scale if low > 0 else "linear"}
    with contextlib.suppress(SearchSpaceError):
        wide: Ranged = kind(model.name, low, high, step=model.step, **options)
        if all(map(wide.contains, ends)) and {p.step for p in ranges} == {model.step}:
            return wide
    return kind(model.name, low, high, **options)  # type: ignore[no-any-return]


class TracedHyperparameters(InlineDeclarations):
    """The `hp` of a traced build. Parameters without a chosen value have their defaults.

    Attributes:
        traced: The values of the parameters declared so far. The keys are the tracer's names, such
            as "units ⟨2⟩".
    """

    def __init__(self, tracer: Tracer, assignment: Mapping[str, Any]) -> None:
        super().__init__({})
        self._tracer, self._assignment, self._recorded = tracer, assignment, True
        self.traced: dict[str, Any] = {}
        # The tracer's name of each parameter, by the name that the builder reads.
        self._keys: dict[str, str] = {}
        if tracer.space is not None:
            self._declare_space(tracer.space)

    @property
    def number(self) -> int:
        """The trial's number. A traced build gets 0, the number of a study's first trial."""
        return 0

    @property
    def params(self) -> dict[str, Any]:
        """The values of all declarations so far."""
        return self.values

    def copy(self) -> Self:
        """Returns a copy. Declarations on the copy do not count."""
        new = super().copy()
        new._recorded = False
        return new

    def _declare_space(self, space: SearchSpace) -> None:
        """Declares all parameters of the space, as if the builder began with these declarations."""
        by_name = {parameter.name: parameter for parameter in space}
        for parameter in space.parents_first:
            name, bare = parameter.name, parameter.conditioned({})
            visible = name if read_as(name) in by_name else read_as(name)
            self._tracer.declare(bare, dict(parameter.when))
            if holds(parameter, by_name, self.traced):
                self._set_value(visible, name, bare)
                self._declared[visible] = bare
            elif visible not in self._declared:
                self._out_of_scope.setdefault(visible, bare)
                if parameter.otherwise is not NOT_GIVEN:
                    self._readable.setdefault(visible, parameter.otherwise)

    def _set_value(self, name: str, key: str, parameter: Parameter) -> None:
        """Gives a parameter the chosen value, or the default. The builder reads it as `name`."""
        first = self._tracer.parameters.get(key, parameter)
        value = self._assignment.get(key, first.default)
        value = first.canonical(value) if first.contains(value) else first.default
        self._keys[name], self.traced[key] = key, value
        self._readable[name] = first.opened(value)

    def _declare(self, parameter: Parameter) -> Any:
        name, space = parameter.name, self._tracer.space
        if space is not None and any(name in (n, read_as(n)) for n in space.names):
            # The space declares this name, too, and only the space's declaration counts. If the
            # space's parameter is not active, the builder gets the default of its own declaration.
            if not all(scope.met for scope in self._scopes):
                return None
            if name in self._keys:
                return copied(self._readable[name])
            return parameter.opened(parameter.default)
        if self._recorded:
            self._tracer.declare(parameter, self._occurrence())
        return super()._declare(parameter)

    def _value_of(self, parameter: Parameter) -> Any:
        name = parameter.name
        another = not same_domain(self._declared[name], parameter)
        if another and self._recorded and name not in self._tracer.merged:
            # This build declares the name with two domains. As in Keras Tuner, a name has only one
            # value in a build, so the two domains must be merged.
            self._tracer.clashes.add(name)
        if name not in self._keys:
            self._set_value(name, self._tracer.key_of(parameter) or name, parameter)
        return copied(self._readable[name])

    def _parent(self, name: str) -> tuple[Parameter | None, Any]:
        if name in self._keys:
            key = self._keys[name]
            return self._tracer.parameters.get(key, self._declared[name]), self.traced[key]
        return self._out_of_scope.get(name), NOT_GIVEN

    def _unreadable(self, name: str) -> HyperparameterError:
        names = [*self._declared, *self._out_of_scope]
        return HyperparameterError(
            f"{name!r} is read where it has not been declared",
            hint=f"Declare it first, in every case in which it is read, or use hp.get({name!r}), "
            f"which then returns None. {suggestion(name, names)}",
        )

    def _occurrence(self) -> Occurrence:
        occurrence: Occurrence = {}
        for scope in self._scopes:
            parent = self._keys.get(scope.parent, "")
            if not parent and scope.parent in self._out_of_scope:
                parent = self._tracer.key_of(self._out_of_scope[scope.parent]) or ""
            parent = parent or scope.parent
            outer = occurrence.get(parent, scope.values)
            occurrence[parent] = tuple(value for value in scope.values if value in outer)
        return occurrence


def is_few(parameter: Parameter) -> bool:
    """Returns whether a parameter has so few values that discovery tries all of them."""
    if isinstance(parameter, Listed):
        return True
    return parameter.count is not None and parameter.count <= _MOST_TRIED


def values_of(parameter: Parameter) -> Sequence[Any]:
    """Returns all values of a parameter. For a continuous one, returns its ends and its default."""
    values = parameter.grid_values()
    if values is not None:
        return values
    ends: Any = parameter
    return tuple(dict.fromkeys((ends.low, parameter.default, ends.high)))


def landmarks(parameter: Parameter) -> list[int]:
    """Returns the indices of a parameter's lowest, highest and middle values."""
    count = len(values_of(parameter))
    return [0, count - 1, count // 2]


def survey(places: Iterable[int], look: Callable[[int], Result]) -> dict[int, Result]:
    """Looks at some places, and finds by bisection where the results of `look` change.

    Calls `look` with each index in `places`. If two neighbouring places have different results,
    calls `look` with the index in the middle between them, and so on. Returns the results by index.
    """
    results = {index: look(index) for index in places}
    while True:
        ordered = sorted(results)
        between = [
            (low + high) // 2
            for low, high in itertools.pairwise(ordered)
            if high - low > 1 and results[low] != results[high]
        ]
        if not between:
            return results
        results.update((index, look(index)) for index in between)


class Reading(NamedTuple):
    """The outcome of `reading_of`: which hyperparameters a builder reads.

    Attributes:
        unread: Names of parameters that were active in a build and that no build read.
        undeclared: Names that the builder declares and that are not in the space.
        builds: How many times the builder was run.
    """

    unread: tuple[str, ...]
    undeclared: tuple[str, ...]
    builds: int


def reading_of(
    build: Callable[[Any], object],
    space: SearchSpace,
    *,
    before: Callable[[], object] = lambda: None,
    read_elsewhere: Collection[str] = (),
    stops: Callable[[Exception], bool] = lambda error: False,
) -> Reading:
    """Runs a builder with a few sets of values, the defaults first, and records what it reads.

    If the builder declares nothing inline, the runs end when all names of the space have been read,
    usually after the first run. `before` is called before each run. `read_elsewhere` are names that
    the training reads, such as "epochs". `stops` gets each exception of the builder. If `stops`
    returns True, the exception is raised.
    """
    read: set[str] = set(read_elsewhere)
    active: set[str] = set()
    undeclared: dict[str, None] = {}
    declares = False
    builds = 0
    for is_random, values in _sets_of_values(space):
        if builds and not declares and read.issuperset(space.dimensions):
            break
        if is_random and read.issuperset(active):
            break
        before()
        hp = _DeclaringHyperparameters(space, values, number=0)
        builds += 1
        try:
            build(hp)
            active.update(values)
        except Exception as error:
            if stops(error):
                raise
            # The error is ignored here, because a trial with these values will report it.
        read |= hp.read
        # "use_l2" counts as read if "l2" is read, since "l2" is active only if "use_l2" is True.
        for parameter in reversed(space.parents_first):
            if parameter.name in read:
                read.update(parameter.when)
        declares = declares or hp.declares
        names = {read_as(name) for name in space.names}
        undeclared.update((p.name, None) for p in hp.defaulted if p.name not in names)
    unread = [name for name in space.dimensions if name in active and name not in read]
    return Reading(tuple(unread), tuple(undeclared), builds)


class _DeclaringHyperparameters(Hyperparameters):
    @property
    def declares(self) -> bool:
        """Whether the builder has declared anything."""
        return bool(self._declared or self._out_of_scope)


def _sets_of_values(space: SearchSpace) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yields sets of values, the defaults first, each after True if it is random, else False."""
    yield False, space.defaults()
    few = {p.name: values_of(p) for p in space if is_few(p)}
    for row in range(min(_MOST_ROWS, max(map(len, few.values()), default=2))):
        values = {
            p.name: few[p.name][row % len(few[p.name])]
            if p.name in few
            else p.from_unit(float(row % 2))
            for p in space
        }
        yield False, {name: values[name] for name in space.active(values)}
    source = random.Random(0)
    for _ in range(_MOST_DRAWN):
        yield True, space.from_unit({name: source.random() for name in space.dimensions})

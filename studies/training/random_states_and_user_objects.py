"""Sets random states before each trial and epoch, and restores objects of the user's code.

The result of a training may depend only on its spec. So seeds are set before each trial and epoch.
But a training may also change objects of a study file, or of a module that the file imports: a
`keras.Variable`, a random generator, a callback that trials share, a list, a counter in a class. So
all objects that the study's functions reach through the user's code are noted once, and restored
before each training. Only generators, variables and small arrays are copied. Larger arrays and
collections are not noted, as they are probably data that no training changes.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import pickle
import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from search_spaces.texts import listed
from studies.definition import epoch_seed
from studies.library_internals import keras_internals, tensorflow_internals
from studies.training.model_structure_digest import HEAP_TYPE, WRAPPERS, Parts, Structure
from studies.training.tensorflow_settings_and_environment import restore_settings
from studies.user_code import is_users

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


_log = logging.getLogger(__name__)
# The seeds that were set since TensorFlow last dropped its kernels, at most `_MOST_SEEDS`.
_seeds_set: Final[list[int]] = []
_MOST_SEEDS = 50


def begin_trial(seed: int) -> None:
    """Sets the seeds. Resets Keras's name counters, changed settings, and changed user objects."""
    # Models with several outputs name metrics after layers. If the counters went on, a layer
    # 'dense' would be 'dense_7' in a later trial.
    keras_internals.begin_anew()
    restore_settings()
    set_back()
    _set_random_seed(seed)


def _set_random_seed(seed: int) -> None:
    """Works like `keras.utils.set_random_seed`, but keeps TensorFlow's kernels where it can.

    `set_random_seed` drops all kernels and optimized functions, because random kernels keep a
    state. Making them again takes 0.2 s for a small model. But each random kernel belongs to one
    seed, so the kernels are dropped only if the seed was used before.
    """
    import keras

    # TensorFlow shortens seeds like this (tensorflow/python/framework/random_seed.py).
    is_new = seed % (2**31 - 1) not in (earlier % (2**31 - 1) for earlier in _seeds_set)
    # Kernels of deleted models stay in memory, so drop them from time to time.
    keeps_kernels = is_new and 0 < len(_seeds_set) < _MOST_SEEDS
    # If TensorFlow's seed is not the last one in `_seeds_set`, other code has set a seed. Kernels
    # with that seed may exist, so drop all kernels.
    if keeps_kernels and tensorflow_internals.global_seed() == _seeds_set[-1]:
        keras_internals.set_global_seed(seed)
        tensorflow_internals.set_global_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
    else:
        _seeds_set.clear()
        keras.utils.set_random_seed(seed)
    _seeds_set.append(seed)


def global_random_states() -> tuple[Any, ...]:
    """Returns the states of Python's, numpy's and Keras's global generators."""
    generator = keras_internals.global_generator()
    state = None if generator is None else generator.state.numpy()
    return random.getstate(), np.random.get_state(), generator, state


def set_global_random_states(states: tuple[Any, ...]) -> None:
    """Sets the states that `global_random_states` returned."""
    python, numpy, generator, state = states
    random.setstate(python)
    np.random.set_state(numpy)
    keras_internals.set_global_generator(generator)
    if generator is not None:
        generator.state.assign(state)


def begin_epoch(model: object, seed: int, epoch: int, others: Sequence[Any] = ()) -> None:
    """Sets the random states for an epoch. `seed` is the trial's seed, and epochs count from 1.

    The seed generator at position i gets the seed ``epoch_seed(seed, epoch, i)``. Positions are
    counted first over the model's own generators, and then over `others`.
    """
    for position, state in enumerate([*seed_generator_states(model), *others]):
        state.assign(np.array([epoch_seed(seed, epoch, position), 0], dtype="uint32"))
    random.seed(epoch_seed(seed, epoch, -1 % 2**32))
    np.random.seed(epoch_seed(seed, epoch, -2 % 2**32))


def seed_generator_states(model: object) -> list[Any]:
    """Returns the state variables of the seed generators that Keras lists in a model, in order."""
    return list(filter(_is_seed_state, getattr(model, "non_trainable_variables", [])))


def other_states(model: object, variables: Iterable[Any]) -> list[Any]:
    """Returns the states of seed generators among `variables`.

    The states that `seed_generator_states` returns are left out.
    """
    own = {id(state) for state in seed_generator_states(model)}
    return [state for state in variables if _is_seed_state(state) and id(state) not in own]


def _is_seed_state(variable: Any) -> bool:
    return str(variable.name) == "seed_generator_state"


class SeedStates:
    """Finds the seed generators of losses and metrics, which Keras does not list in the model.

    Without `structure`, each call of `others` searches the model, because a callback may have
    changed the model, or a loss may have made a generator in the first epoch.
    """

    def __init__(self, model: keras.Model, structure: Structure | None = None) -> None:
        self._model, self._structure = model, structure

    def others(self) -> list[Any]:
        """Returns the state variables of the seed generators of losses and metrics.

        All models with the same structure have these variables in the same order.
        """
        structure = self._structure
        if structure is None:
            try:
                structure = Structure(self._model)
            except Exception:
                # Another version of Keras may cause this error, but `fit` must train all the same.
                _log.debug("the structure can't be read", exc_info=True)
                return []
            if structure.of_libraries:
                self._structure = structure
        # Losses and metrics that come from libraries draw no random numbers.
        return [] if structure.of_libraries else other_states(self._model, structure.variables)


# The largest array to copy, in bytes, and the largest collection to note, in items.
_LARGE = 2**20
_MANY = 10_000
_MOST_OBJECTS = 200_000
_ATOMS = (type(None), bool, int, float, complex, str, bytes)
# Objects of these types never change, but their parts may.
_PARTS: Parts = (*WRAPPERS, (tuple | frozenset, iter))
# Collections that may change, and how to copy them.
_COLLECTIONS: Mapping[type, Callable[[Any], Any]] = {
    OrderedDict: dict,
    dict: dict,
    set: frozenset,
    list: list,
    deque: list,
}

_active: Final[list[UsersState]] = []
_logged: Final[set[str]] = set()


class _Entry(NamedTuple):
    """An object that may change: its name in messages, how to read and set it, its first value."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    before: Any


class UsersState:
    """A snapshot of all objects that can be reached from `roots` through the user's code."""

    def __init__(self, *roots: object) -> None:
        self._entries: list[_Entry] = []
        self._modules = set(sys.modules)
        # The visited objects by id. This keeps them alive, so that no id is used again.
        self._seen: dict[int, object] = {}
        self._queue = deque(("", root) for root in roots)
        while self._queue and len(self._seen) < _MOST_OBJECTS:
            name, value = self._queue.popleft()
            if not isinstance(value, _ATOMS) and id(value) not in self._seen:
                self._seen[id(value)] = value
                # If an object can't be read, leave it out.
                with contextlib.suppress(Exception):
                    self._visit(name or type(value).__name__, value)

    @classmethod
    def of_study(cls, study: StudyDefinition) -> UsersState:
        """Returns the state that can be reached from a study's functions."""
        return cls(study.build, study.callbacks, study.data, study.class_weight)

    def changed(self) -> list[str]:
        """Returns the names of all changed objects."""
        return list(dict.fromkeys(name for entry in self._entries for name in _changes(entry)))

    def set_back(self) -> list[str]:
        """Restores all objects. Returns the names of the changed objects."""
        names: list[str] = []
        for entry in self._entries:
            # Reading or setting a user's object may raise an error, which must not end the study.
            with contextlib.suppress(Exception):
                changes = _changes(entry)
                if changes:
                    entry.write(entry.before)
                    names += changes
        for name in set(sys.modules) - self._modules:
            # Drop modules that a training has imported, so that the next training imports them
            # anew.
            with contextlib.suppress(Exception):
                if _is_own(vars(sys.modules[name])):
                    del sys.modules[name]
                    package, _, module = name.rpartition(".")
                    delattr(sys.modules[package], module)
        return list(dict.fromkeys(names))

    def _note(self, name: str, read: Callable[[], Any], write: Callable[[Any], None]) -> Any:
        """Adds an entry for an object. Returns the object's present value."""
        before = read()
        self._entries.append(_Entry(name, read, write, before))
        return before

    def _put(self, name: str, values: Iterable[object]) -> None:
        """Queues objects for a visit."""
        self._queue.extend((name, value) for value in values)

    def _visit(self, name: str, value: Any) -> None:
        """Notes an object if it may change, and queues its parts."""
        if isinstance(value, types.ModuleType):
            self._visit_globals(vars(value))
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, types.CellType):
            self._put(
                name, self._note(name, lambda: _content(value), lambda c: _set_cell(value, c))
            )
        elif isinstance(value, type):
            if _is_own_class(value):
                read, write = functools.partial(_names, value), functools.partial(_set_names, value)
                self._put(name, [*value.__bases__, *self._note(name, read, write).values()])
        elif parts_of := next((parts for kinds, parts in _PARTS if isinstance(value, kinds)), None):
            self._put(name, parts_of(value))
        elif not self._visit_values(name, value):
            # Copy by the methods of `dict`, `list` and so on, as methods of the user's subclass may
            # have side effects, e.g. count their calls.
            kind: Any = next((base for base in _COLLECTIONS if isinstance(value, base)), None)
            if kind is not None and len(value) <= _MANY:
                copied = functools.partial(_COLLECTIONS[kind], value)
                before = self._note(name, copied, functools.partial(_fill, kind, value))
                self._put(name, before.values() if isinstance(before, dict) else before)
            library, own = type(value).__module__.partition(".")[0], _is_own_class(type(value))
            if library in ("keras", "types") or own:
                self._put(name, [type(value), getattr(value, "__dict__", None)])

    def _visit_function(self, function: types.FunctionType) -> None:
        if not _is_own(function.__globals__):
            return
        where = self._visit_globals(function.__globals__)
        name = f"{function.__name__} ({where})"
        self._put(name, [function.__defaults__, function.__kwdefaults__, vars(function)])
        cells = function.__closure__ or ()
        for free, cell in zip(function.__code__.co_freevars, cells, strict=True):
            self._put(f"{free} ({where})", [cell])

    def _visit_globals(self, space: dict[str, Any]) -> str:
        """Notes the globals of a user's module. Returns the name of its file."""
        where = Path(space.get("__file__") or "the notebook").name
        if _is_own(space) and id(space) not in self._seen:
            self._seen[id(space)] = space
            read, write = functools.partial(_names, space), functools.partial(_set_names, space)
            for name, value in self._note(f" ({where})", read, write).items():
                self._put(f"{name} ({where})", [value])
        return where

    def _visit_values(self, name: str, value: Any) -> bool:
        """Notes an array, a variable or a random generator. Returns False for other objects."""
        import keras
        import tensorflow as tf

        if isinstance(value, np.ndarray):
            if value.flags.writeable and value.nbytes <= _LARGE and not value.dtype.hasobject:
                self._note(name, value.copy, functools.partial(np.copyto, value))
        elif isinstance(value, (tf.Variable, keras.Variable)):
            self._note(name, lambda: np.array(value.numpy()), value.assign)
        elif isinstance(value, tf.random.Generator):
            self._put(name, [value.state])
        elif isinstance(value, np.random.Generator):
            self._put(name, [value.bit_generator])
        elif isinstance(value, (np.random.BitGenerator, np.random.RandomState, random.Random)):
            put: Any = getattr(value, "__setstate__")  # noqa: B009 - unknown to their types
            self._note(
                name,
                lambda: pickle.dumps(value.__getstate__()),
                lambda state: put(pickle.loads(state)),
            )
        else:
            return False
        return True


@contextlib.contextmanager
def setting_back(state: UsersState) -> Iterator[None]:
    """Makes `set_back` restore the objects of `state` while this context is open."""
    _active.append(state)
    try:
        yield
    finally:
        _active.remove(state)


def set_back() -> None:
    """Restores the objects of each open `setting_back` context.

    The name of a changed object is logged only the first time.
    """
    new = [name for state in _active for name in state.set_back() if name not in _logged]
    if new:
        _logged.update(new)
        _log.warning(
            "restored objects of your code that a training had changed: %s",
            listed(new),
        )


def _is_own(space: Mapping[str, Any]) -> bool:
    """Returns whether a module with these globals is the user's own."""
    file, name = space.get("__file__"), space.get("__name__")
    return is_users(str(file)) if file else name == "__main__" or name not in sys.modules


def _is_own_class(kind: type) -> bool:
    if not kind.__flags__ & HEAP_TYPE:
        return False
    module = sys.modules.get(kind.__module__)
    # If a class was pickled by value, this process may lack the module that the class names.
    return kind.__module__ == "__main__" or module is None or _is_own(vars(module))


def _names(space: Any) -> dict[str, Any]:
    """Returns a module's globals or a class's attributes, without names like `__file__`."""
    names = space if isinstance(space, dict) else vars(space)
    return {k: v for k, v in names.items() if not (k.startswith("__") and k.endswith("__"))}


def _set_names(space: Any, before: Mapping[str, Any]) -> None:
    is_globals, now = isinstance(space, dict), _names(space)
    for name in {*before, *now}:
        if name not in before:
            space.pop(name) if is_globals else delattr(space, name)
        elif name not in now or before[name] is not now[name]:
            space.update({name: before[name]}) if is_globals else setattr(space, name, before[name])


def _fill(kind: Any, collection: Any, before: Any) -> None:
    kind.clear(collection)
    (kind.update if hasattr(kind, "update") else kind.extend)(collection, before)


def _content(cell: types.CellType) -> list[Any]:
    """Returns a list with the content of a closure's cell. An empty cell gives an empty list."""
    return [cell.cell_contents] if cell != types.CellType() else []


def _set_cell(cell: types.CellType, content: list[Any]) -> None:
    for value in content:
        cell.cell_contents = value


def _changes(entry: _Entry) -> list[str]:
    """Returns the names of changed objects: the entry's name or, for a module, changed globals."""
    before, now = entry.before, entry.read()
    if isinstance(before, np.ndarray):
        same = before.tobytes() == now.tobytes()
    elif isinstance(before, dict):
        names = [k for k in {**before, **now} if not _same(before.get(k, now), now.get(k, before))]
        if entry.name.startswith(" "):
            return [f"{name}{entry.name}" for name in names]
        same = not names and list(before) == list(now)
    elif isinstance(before, bytes | frozenset):
        same = before == now
    else:
        same = len(before) == len(now) and all(map(_same, before, now))
    return [] if same else [entry.name]


def _same(before: Any, now: Any) -> bool:
    atoms = type(before) is type(now) and isinstance(before, _ATOMS)
    return before is now or (atoms and bool(before == now))

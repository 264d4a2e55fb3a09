"""Full determinism: the same spec gives the same bits, in a fresh process or a warm one."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import StudyError
from search_spaces.library_parts import MissingPartError
from studies.definition.seeds import epoch_seed
from studies.libraries import keras_parts, tensorflow_parts
from studies.training.process import users_state
from studies.training.structure import Structure

if TYPE_CHECKING:
    import keras


_log = logging.getLogger(__name__)
# The seeds set since TensorFlow last dropped its kernels, and the largest number of them.
_seeds_set: Final[list[int]] = []
_MOST_SEEDS = 50


def prepare_environment(threads: int) -> None:
    """Sets environment variables that TensorFlow reads on import. Call it before the import."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # One of several workers must not take the whole GPU. Not tested, as no GPU was available.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def configure_tensorflow(threads: int | None) -> int:
    """Makes TensorFlow deterministic in this process, and sets its number of threads; returns it.

    `threads` None means the number that TensorFlow uses already, or 1. Raises StudyError if
    TensorFlow already runs in this process with another number.
    """
    import keras
    import tensorflow as tf

    # TensorFlow warns that each trial traces its model again, which is intended.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if keras.backend.backend() != "tensorflow":
        raise StudyError(
            "kerastudy trains with Keras on TensorFlow, and Keras runs on "
            f"{keras.backend.backend()!r} here. Set KERAS_BACKEND=tensorflow before Keras is "
            "imported."
        )
    tf.config.experimental.enable_op_determinism()
    tensorflow_parts.keep_order_of_large_sums()
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(threads or 1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow is running already; 0 means a thread for each core.
        running = threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
        if threads is not None and running != threads:
            raise StudyError(
                f"This study runs with {threads} thread(s) per trial, and TensorFlow was used in "
                f"this process before with {running}; threads change results. Launch before the "
                "first use of TensorFlow, or with executor='worker'."
            ) from None
        return running
    return threads or 1


def change_threads(before: int, threads: int) -> None:
    """Changes the number of threads of a process that was configured for `before` threads."""
    if threads == before:
        return
    configure_tensorflow(threads)
    # Another value is the user's own.
    if os.environ.get("OMP_NUM_THREADS") == str(before):
        from threadpoolctl import threadpool_limits

        os.environ["OMP_NUM_THREADS"] = str(threads)
        # Some libraries have read the variable already.
        threadpool_limits(threads)


def begin_trial(seed: int) -> None:
    """Resets random states, Keras's name counters, settings and the user's state for a trial."""
    # Models with several outputs name metrics after layers. Without this, a name such as 'dense_7'
    # would differ from trial to trial.
    keras_parts.begin_anew()
    restore_settings()
    users_state.set_back()
    _set_random_seed(seed)


def _set_random_seed(seed: int) -> None:
    """Works as `keras.utils.set_random_seed`, but keeps TensorFlow's kernels if possible.

    Setting the seed makes TensorFlow drop all its kernels and its optimized programs (0.2 s for a
    small one), because kernels that draw random numbers keep their state. But the seed is a part of
    such a kernel, so only a seed that was used before finds one with an old state.
    """
    import keras

    # TensorFlow shortens seeds in this way (tensorflow/python/framework/random_seed.py).
    was_set = seed % (2**31 - 1) in (each % (2**31 - 1) for each in _seeds_set)
    # Drop the kernels from time to time: those of deleted models stay too.
    if was_set or len(_seeds_set) >= _MOST_SEEDS or not _is_set_quietly(seed):
        _seeds_set.clear()
        keras.utils.set_random_seed(seed)
    _seeds_set.append(seed)


def _is_set_quietly(seed: int) -> bool:
    """Tries to set all seeds without dropping TensorFlow's kernels; returns whether it did."""
    import random

    import numpy as np

    try:
        if not _seeds_set or tensorflow_parts.global_seed() != _seeds_set[-1]:
            # Other code has set a seed since.
            return False
        keras_parts.set_global_seed(seed)
        tensorflow_parts.set_global_seed(seed)
    except MissingPartError:
        return False
    random.seed(seed)
    np.random.seed(seed)
    return True


def global_random_states() -> tuple[Any, ...]:
    """Returns the states of the generators that belong to no model."""
    import random

    import numpy as np

    generator = keras_parts.global_generator()
    state = None if generator is None else generator.state.numpy()
    return random.getstate(), np.random.get_state(), generator, state


def set_global_random_states(states: tuple[Any, ...]) -> None:
    """Sets the states that `global_random_states` returned."""
    import random

    import numpy as np

    python, numpy, generator, state = states
    random.setstate(python)
    np.random.set_state(numpy)
    keras_parts.set_global_generator(generator)
    if generator is not None:
        generator.state.assign(state)


def begin_epoch(model: object, seed: int, epoch: int, others: Sequence[Any] = ()) -> None:
    """Sets random states to functions of the trial's seed and the epoch, counted from 1.

    The model's seed generators come first, then the `others`.
    """
    import random

    import numpy as np

    for position, state in enumerate([*seed_generator_states(model), *others]):
        state.assign(np.array([epoch_seed(seed, epoch, position), 0], dtype="uint32"))
    # Callbacks and custom steps may draw from the global generators.
    random.seed(epoch_seed(seed, epoch, -1 % 2**32))
    np.random.seed(epoch_seed(seed, epoch, -2 % 2**32))


def seed_generator_states(model: object) -> list[Any]:
    """Returns the variables that hold the states of a model's own seed generators, in order."""
    return list(filter(is_seed_state, getattr(model, "non_trainable_variables", [])))


def other_states(model: object, variables: Iterable[Any]) -> list[Any]:
    """Returns those of `variables` that hold states of seed generators that are not the model's."""
    own = {id(state) for state in seed_generator_states(model)}
    return [state for state in variables if is_seed_state(state) and id(state) not in own]


def is_seed_state(variable: Any) -> bool:
    """Returns whether a variable holds the state of a seed generator."""
    return str(variable.name) == "seed_generator_state"


class SeedStates:
    """Finds the seed generators in a training's losses and metrics, which are not the model's own.

    It searches again for each epoch if callbacks may change what the model reaches.
    """

    def __init__(
        self, model: keras.Model, *, changes: bool, structure: Structure | None = None
    ) -> None:
        self._model, self._changes, self._structure = model, changes, structure
        # A loss may make generators when it is first called, so the second epoch searches again.
        self._readings = 2 if structure is None else 0

    def others(self) -> list[Any]:
        """Returns the generators' state variables, in an order that the structure fixes."""
        structure = self._structure
        if structure is None or (
            (self._changes or self._readings > 0) and not structure.of_libraries
        ):
            self._readings -= 1
            try:
                structure = self._structure = Structure(self._model)
            except Exception:
                # Keras may be of another version: `fit` must train nevertheless.
                _log.debug("the structure can't be read", exc_info=True)
                return []
        # Libraries' own losses and metrics draw nothing.
        return [] if structure.of_libraries else other_states(self._model, structure.variables)


_remembered: Final[dict[str, Any]] = {}
# The former values of environment variables that builders changed; None if one was not set.
_changed: Final[dict[str, str | None]] = {}


def remember_settings() -> None:
    """Remembers the present settings, with which each later trial begins."""
    _changed.clear()
    _remembered.clear()
    _remembered.update({name: get() for name, (get, _) in _settings().items()})


def restore_settings() -> None:
    """Restores changed environment variables, and the settings of `remember_settings` if any."""
    for name, value in _changed.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _changed.clear()
    for name, (get, put) in _settings().items() if _remembered else ():
        if _comparable(get()) != _comparable(_remembered[name]):
            put(_remembered[name])


@contextlib.contextmanager
def keeping_settings() -> Iterator[None]:
    """Restores all settings afterwards, for a study's code that runs within the user's own."""
    before, environment = dict(_remembered), dict(os.environ)
    remember_settings()
    settings = dict(_remembered)
    try:
        yield
    finally:
        _remembered.update(settings)
        now = dict(os.environ)
        names = [n for n in {*environment, *now} if environment.get(n) != now.get(n)]
        _changed.update({name: environment.get(name) for name in names})
        restore_settings()
        _remembered.clear()
        _remembered.update(before)


def present_settings() -> tuple[tuple[str, object], ...]:
    """Returns the present settings in a form that can be compared."""
    return tuple((name, _comparable(get())) for name, (get, _) in _settings().items())


@contextlib.contextmanager
def noting_environment() -> Iterator[None]:
    """Notes which environment variables change within the context, for `restore_settings`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        after = dict(os.environ)
        for name in {*before, *after}:
            if before.get(name) != after.get(name):
                _changed.setdefault(name, before.get(name))


def _settings() -> Mapping[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Returns, by name, the functions that read and set each setting."""
    import keras
    import tensorflow as tf

    config = keras.config

    def set_flash_attention(enabled: bool | None) -> None:
        if enabled is False:
            config.disable_flash_attention()
        else:
            config.enable_flash_attention()

    return {
        "floatx": (config.floatx, config.set_floatx),
        "epsilon": (config.epsilon, config.set_epsilon),
        "image_data_format": (config.image_data_format, config.set_image_data_format),
        # It depends on floatx, and so comes after it.
        "dtype_policy": (config.dtype_policy, config.set_dtype_policy),
        "flash_attention": (config.is_flash_attention_enabled, set_flash_attention),
        "max_epochs": (config.max_epochs, config.set_max_epochs),
        "max_steps_per_epoch": (config.max_steps_per_epoch, config.set_max_steps_per_epoch),
        "functions_run_eagerly": (tf.config.functions_run_eagerly, tf.config.run_functions_eagerly),
        "jit": (tf.config.optimizer.get_jit, tf.config.optimizer.set_jit),
        "tensor_float_32": (
            tf.config.experimental.tensor_float_32_execution_enabled,
            tf.config.experimental.enable_tensor_float_32_execution,
        ),
        "soft_device_placement": (
            tf.config.get_soft_device_placement,
            tf.config.set_soft_device_placement,
        ),
    }


def _comparable(value: Any) -> object:
    """Returns a setting as a value to compare: policies are objects without equality."""
    return getattr(value, "name", value)

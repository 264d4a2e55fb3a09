"""Determinism: the same spec gives the same bits, in a new process or after other trials."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import StudyError
from studies.definition.seeds import epoch_seed
from studies.library_internals import keras_internals, tensorflow_internals
from studies.library_internals.private_names import MissingPartError
from studies.training.process import users_state
from studies.training.structure import Structure

if TYPE_CHECKING:
    import keras


_log = logging.getLogger(__name__)
# The seeds that were set since TensorFlow last dropped its kernels, at most `_MOST_SEEDS`.
_seeds_set: Final[list[int]] = []
_MOST_SEEDS = 50


def prepare_environment(threads: int) -> None:
    """Sets environment variables that TensorFlow reads when it is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Without this, one worker would take the whole GPU. Not tested, as no GPU was available.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def configure_tensorflow(threads: int | None) -> int:
    """Makes TensorFlow deterministic and sets its number of threads. Returns the number.

    `threads` None means the number that TensorFlow already uses, or 1 if it has not run yet. Raises
    StudyError if TensorFlow has run with another number.
    """
    import keras
    import tensorflow as tf

    # TensorFlow warns that each trial traces its model again. That is intended.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if keras.backend.backend() != "tensorflow":
        raise StudyError(
            "kerastudy trains with Keras on TensorFlow, and Keras runs on "
            f"{keras.backend.backend()!r} here. Set KERAS_BACKEND=tensorflow before Keras is "
            "imported."
        )
    tf.config.experimental.enable_op_determinism()
    tensorflow_internals.keep_order_of_large_sums()
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(threads or 1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow has run already. 0 means a thread for each core.
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
    """Changes the number of threads of TensorFlow and of other libraries, if it was another."""
    if threads == before:
        return
    configure_tensorflow(threads)
    # If the user has set another value, it stays.
    if os.environ.get("OMP_NUM_THREADS") == str(before):
        from threadpoolctl import threadpool_limits

        os.environ["OMP_NUM_THREADS"] = str(threads)
        # Some libraries have read the variable already, and need this call.
        threadpool_limits(threads)


def begin_trial(seed: int) -> None:
    """Sets the seeds, and resets Keras's name counters, settings and the user's state."""
    # Models with several outputs name metrics after layers. If the counters went on, a layer
    # 'dense' would be 'dense_7' in a later trial.
    keras_internals.begin_anew()
    restore_settings()
    users_state.set_back()
    _set_random_seed(seed)


def _set_random_seed(seed: int) -> None:
    """Works like `keras.utils.set_random_seed`, but keeps TensorFlow's kernels if possible.

    `set_random_seed` drops all kernels and optimized functions, which costs 0.2 s for a small
    model, because random kernels keep a state. But each random kernel belongs to a seed. So only a
    seed that was used before would find a kernel with an old state.
    """
    import keras

    # TensorFlow shortens seeds like this (tensorflow/python/framework/random_seed.py).
    was_set = seed % (2**31 - 1) in (each % (2**31 - 1) for each in _seeds_set)
    # Kernels of deleted models stay in memory, so drop them from time to time.
    if was_set or len(_seeds_set) >= _MOST_SEEDS or not _is_set_quietly(seed):
        _seeds_set.clear()
        keras.utils.set_random_seed(seed)
    _seeds_set.append(seed)


def _is_set_quietly(seed: int) -> bool:
    """Sets all seeds without dropping TensorFlow's kernels. Returns False if it can't."""
    import random

    import numpy as np

    try:
        if not _seeds_set or tensorflow_internals.global_seed() != _seeds_set[-1]:
            # Other code has set a seed.
            return False
        keras_internals.set_global_seed(seed)
        tensorflow_internals.set_global_seed(seed)
    except MissingPartError:
        return False
    random.seed(seed)
    np.random.seed(seed)
    return True


def global_random_states() -> tuple[Any, ...]:
    """Returns the states of Python's, numpy's and Keras's global generators."""
    import random

    import numpy as np

    generator = keras_internals.global_generator()
    state = None if generator is None else generator.state.numpy()
    return random.getstate(), np.random.get_state(), generator, state


def set_global_random_states(states: tuple[Any, ...]) -> None:
    """Sets the states that `global_random_states` returned."""
    import random

    import numpy as np

    python, numpy, generator, state = states
    random.setstate(python)
    np.random.set_state(numpy)
    keras_internals.set_global_generator(generator)
    if generator is not None:
        generator.state.assign(state)


def begin_epoch(model: object, seed: int, epoch: int, others: Sequence[Any] = ()) -> None:
    """Sets random states for an epoch, counted from 1, of the trial with the given seed.

    The i-th seed generator gets the i-th epoch seed. The model's generators come first, then
    `others`.
    """
    import random

    import numpy as np

    for position, state in enumerate([*seed_generator_states(model), *others]):
        state.assign(np.array([epoch_seed(seed, epoch, position), 0], dtype="uint32"))
    random.seed(epoch_seed(seed, epoch, -1 % 2**32))
    np.random.seed(epoch_seed(seed, epoch, -2 % 2**32))


def seed_generator_states(model: object) -> list[Any]:
    """Returns the state variables of a model's own seed generators, in order."""
    return list(filter(is_seed_state, getattr(model, "non_trainable_variables", [])))


def other_states(model: object, variables: Iterable[Any]) -> list[Any]:
    """Returns those of `variables` that are states of other seed generators than the model's."""
    own = {id(state) for state in seed_generator_states(model)}
    return [state for state in variables if is_seed_state(state) and id(state) not in own]


def is_seed_state(variable: Any) -> bool:
    """Returns whether a variable holds the state of a seed generator."""
    return str(variable.name) == "seed_generator_state"


class SeedStates:
    """Finds the seed generators of losses and metrics, which Keras does not list with the model's.

    If callbacks may change the model, it searches anew for each epoch.
    """

    def __init__(
        self, model: keras.Model, *, changes: bool, structure: Structure | None = None
    ) -> None:
        self._model, self._changes, self._structure = model, changes, structure
        # A loss may make a random generator at its first call, so the second epoch looks again.
        self._readings = 2 if structure is None else 0

    def others(self) -> list[Any]:
        """Returns the state variables, in the same order for all models of a structure."""
        structure = self._structure
        if structure is None or (
            (self._changes or self._readings > 0) and not structure.of_libraries
        ):
            self._readings -= 1
            try:
                structure = self._structure = Structure(self._model)
            except Exception:
                # With another version of Keras, `fit` must still train.
                _log.debug("the structure can't be read", exc_info=True)
                return []
        # Losses and metrics of libraries draw no random numbers.
        return [] if structure.of_libraries else other_states(self._model, structure.variables)


_remembered: Final[dict[str, Any]] = {}
# The former values of environment variables that builders changed. None means not set.
_changed: Final[dict[str, str | None]] = {}


def remember_settings() -> None:
    """Remembers the present settings, so that each later trial begins with them."""
    _changed.clear()
    _remembered.clear()
    _remembered.update({name: get() for name, (get, _) in _settings().items()})


def restore_settings() -> None:
    """Restores changed environment variables, and the remembered settings if there are any."""
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
    """Restores all settings and environment variables at the end of the context."""
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
    """Returns the present settings, so that they can be compared."""
    return tuple((name, _comparable(get())) for name, (get, _) in _settings().items())


@contextlib.contextmanager
def noting_environment() -> Iterator[None]:
    """Notes the environment variables that change within the context, for `restore_settings`."""
    before = dict(os.environ)
    try:
        yield
    finally:
        after = dict(os.environ)
        for name in {*before, *after}:
            if before.get(name) != after.get(name):
                _changed.setdefault(name, before.get(name))


def _settings() -> Mapping[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
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
        # `set_floatx` may change the policy, so this comes after it.
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
    """A dtype policy counts as its name, as policies can't be compared."""
    return getattr(value, "name", value)

"""Private parts of Keras, where no public part suffices, and the late import of its slow parts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from studies.library_internals.private_api_lookup import AttributePart, ModulePart

if TYPE_CHECKING:
    import keras

_LIBRARY = "keras"
_STATE = "keras.src.backend.common.global_state"
_set_global = ModulePart(_LIBRARY, _STATE, "set_global_attribute")
_get_global = ModulePart(_LIBRARY, _STATE, "get_global_attribute")
_generator = ModulePart(_LIBRARY, "keras.src.random.seed_generator", "GLOBAL_SEED_GENERATOR")
_random_seed = ModulePart(_LIBRARY, "keras.src.utils.rng_utils", "GLOBAL_RANDOM_SEED")
_value = AttributePart(_LIBRARY, "Variable", "_value")
_autocast = AttributePart(_LIBRARY, "Variable", "_autocast")
_layout = AttributePart(_LIBRARY, "Variable", "_layout")
_key_of_variable = AttributePart(_LIBRARY, "Optimizer", "_var_key")
_trainable = AttributePart(_LIBRARY, "Optimizer", "_trainable_variables")
_metrics_to_log = AttributePart(_LIBRARY, "Model", "_get_metrics_result_or_logs")
_compiled_with = AttributePart(_LIBRARY, "Model", "_compile_config")
_metrics_of = AttributePart(_LIBRARY, "Model", "_compile_metrics")
_loss_of = AttributePart(_LIBRARY, "Model", "_compile_loss")
_flat_losses = AttributePart(_LIBRARY, "CompileLoss", "_flat_losses")
_flat_metrics = AttributePart(_LIBRARY, "CompileMetrics", "_flat_metrics")
_flat_weighted = AttributePart(_LIBRARY, "CompileMetrics", "_flat_weighted_metrics")
_flatten = AttributePart(_LIBRARY, "CompileMetrics", "_flatten_y")
_function = AttributePart(_LIBRARY, "MeanMetricWrapper", "_fn")
_arguments = AttributePart(_LIBRARY, "MeanMetricWrapper", "_fn_kwargs")
_thresholds = AttributePart(_LIBRARY, "AUC", "_thresholds")
_evenly = AttributePart(_LIBRARY, "AUC", "_thresholds_distributed_evenly")
_from_logits = AttributePart(_LIBRARY, "AUC", "_from_logits")
_symbolically = ModulePart(_LIBRARY, "keras.src.backend", "compute_output_spec")
_layers_within = AttributePart(_LIBRARY, "Layer", "_flatten_layers")
_made_by = AttributePart(_LIBRARY, "KerasTensor", "_keras_history")
_adapters = "keras.src.trainers.data_adapters"
_adapter_of = ModulePart(_LIBRARY, _adapters, "get_data_adapter")
_adapter = ModulePart(_LIBRARY, f"{_adapters}.data_adapter", "DataAdapter")

BOOKKEEPING: Final = frozenset(
    """
    _tracker _tracked _auto_config _compile_config _losses _loss_ids _losses_override
    _call_signature _compiled_trainable_state _saved_model_inputs_spec _saved_model_arg_spec
    _trainable_variables_indices _exclude_from_weight_decay_cache _build_shapes_dict
    _initial_epoch _eval_epoch_iterator _operations_by_depth
    _distribution_strategy _y_pred_build_structure _y_true_build_structure
    """.split()
)
"""Attributes that Keras or TensorFlow sets to track and to save objects. They don't count as parts
of a model's structure."""

BOOKKEEPING_OF_MODELS: Final = frozenset(
    "train_function test_function predict_function history stop_training _nodes".split()
)
"""Attributes of models that Keras sets in trainings. They don't count as parts of a model's
structure either."""

SEEDS: Final = frozenset({"seed", "_initial_seed", "_init_seed", "_random_seed_generator"})
"""Attributes that hold a seed."""

EXCLUDED_FROM_DECAY: Final = "_exclude_from_weight_decay"
"""The attribute in which an optimizer keeps the keys of variables that get no weight decay. The
keys of a variable differ in two models that are otherwise equal."""

GIVEN_TO_CALLBACKS: Final = frozenset({"_model", "params", "validation_data"})
"""Attributes of callbacks that Keras sets for each training."""


def begin_anew() -> None:
    """Makes Keras number the names of new layers from 1 again, and drop the global seed generator.

    The public `clear_session` also drops TensorFlow's kernels, and making new kernels takes 0.1 s.
    """
    set_global = _set_global.get()
    set_global("object_name_uids", None)
    set_global(_generator.get(), None)


def set_global_seed(seed: int) -> None:
    """Sets the seed of Keras alone. `keras.utils.set_random_seed` would set other seeds too."""
    set_global = _set_global.get()
    set_global(_generator.get(), None)
    set_global(_random_seed.get(), seed)


def global_generator() -> keras.random.SeedGenerator | None:
    """Returns Keras's global seed generator, or None if there is none."""
    return _get_global.get()(_generator.get())


def set_global_generator(generator: keras.random.SeedGenerator | None) -> None:
    """Sets the generator that `global_generator` returned."""
    _set_global.get()(_generator.get(), generator)


def value_held(variable: keras.Variable) -> Any:
    """Returns the TensorFlow variable in a Keras variable, or None if there is none yet.

    The public `variable.value` would make a TensorFlow variable, or return another value in a
    `keras.StatelessScope`.
    """
    return _value.of(variable)


def hold_value(variable: keras.Variable, value: Any) -> None:
    """Replaces the TensorFlow variable in a Keras variable, as the compiled trainer does."""
    _value.set(variable, value)


def traits_of(variable: keras.Variable) -> tuple[Any, Any]:
    """Returns a variable's autocast and layout. The graph of a traced step depends on both."""
    return _autocast.of(variable), _layout.of(variable)


def positions_of(keys: Iterable[Any], optimizer: keras.optimizers.Optimizer) -> list[int]:
    """Returns the positions of an optimizer's trainable variables whose keys are in `keys`."""
    key_of, chosen = _key_of_variable.of(optimizer), set(keys)
    return [i for i, v in enumerate(_trainable.of(optimizer)) if key_of(v) in chosen]


def logs_of_its_own(model: keras.Model) -> bool:
    """Returns whether a model or its class overrides the method that decides what Keras logs."""
    import keras

    base = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    own = _metrics_to_log.of(type(model)) is not _metrics_to_log.of(base)
    return own or _metrics_to_log.name in vars(model)


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns the arguments that a model was compiled with.

    In the public attributes, some of the arguments are wrapped in other objects. The public
    `get_compile_config` fails for functions that are not registered.
    """
    return dict(_compiled_with.of(model).config)


def has_all_variables(model: keras.Model) -> bool:
    """Returns whether a model, its metrics, loss and optimizer have all their variables.

    The first step makes the variables that metrics and the loss lack. No public attribute shows
    whether variables are lacking.
    """
    parts = [_metrics_of.of(model), _loss_of.of(model), model.optimizer]
    return model.built and all(part is None or part.built for part in parts)


def call_symbolically(function: Callable[..., Any], *arguments: Any) -> None:
    """Calls a function with symbolic tensors. This makes its variables, but changes no values.

    The public `compute_output_spec` is only for layers. If the call makes a global seed generator,
    the generator is dropped, because the training makes another one.
    """
    call, generator = _symbolically.get(), global_generator()
    try:
        call(function, *arguments)
    finally:
        set_global_generator(generator)


def layers_within(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns all layers of a model. Unlike `model.layers`, includes layers within other layers."""
    return list(_layers_within.of(model)())


def made_by(tensor: Any) -> Any:
    """Returns the operation that makes a symbolic tensor."""
    return _made_by.of(tensor).operation


def adapter_of(data: Any) -> Any:
    """Returns the object by which `fit` reads data in batches. No public function returns it."""
    return _adapter_of.get()(x=data)


def adapter_class() -> type:
    """Returns the base class of the objects by which `fit` reads data."""
    return _adapter.get()  # type: ignore[no-any-return]


def is_batches(kind: type) -> bool:
    """Returns whether a class is keras.utils.PyDataset, by name, without importing Keras."""
    return kind.__name__ == "PyDataset" and kind.__module__.startswith("keras.")


OfLoss = Callable[..., Any]


@dataclass(frozen=True)
class CompiledMetric:
    """A metric that a model is compiled with.

    Attributes:
        metric: The Keras object.
        output: The position, in the order of `flat`, of the output that the metric judges.
        weighted: Whether the metric counts sample weights.
    """

    metric: keras.metrics.Metric
    output: int
    weighted: bool


def compiled_metrics(model: keras.Model, y: Any, y_pred: Any) -> dict[str, CompiledMetric]:
    """Returns the metrics that a model is compiled with, by their names in the model's logs."""
    compiled = _metrics_of.of(model)
    if compiled is None:
        return {}
    if not compiled.built:
        compiled.build(y, y_pred)
    members, names = [], []
    for lists, weighted in (
        (_flat_metrics.of(compiled), False),
        (_flat_weighted.of(compiled), True),
    ):
        for output, metrics in enumerate(lists):
            for metric in () if metrics is None else metrics.metrics:
                members.append(CompiledMetric(metric, output, weighted))
                prefix = f"{metrics.output_name}_" if metrics.output_name else ""
                names.append(f"{prefix}{metric.name}")
    if len(set(names)) < len(names):
        # If several metrics have the same name, Keras renames some of them. `result` has the new
        # names, in the order of `members`.
        names = list(compiled.result())
    return dict(zip(names, members, strict=False))


def flat(model: keras.Model, arrays: Any) -> list[Any]:
    """Returns targets, predictions or weights as a list, in the order of a model's outputs."""
    return list(_flatten.of(_metrics_of.of(model))(arrays))


def function_of(metric: keras.metrics.MeanMetricWrapper) -> Callable[[Any, Any], Any]:
    """Returns the function that a metric averages. It takes targets and predictions."""
    function, arguments = _function.of(metric), _arguments.of(metric)
    return lambda y_true, y_pred: function(y_true, y_pred, **arguments)


def mask_of(tensor: Any) -> Any:
    """Returns a tensor's mask, or None. The mask marks which steps of the sequences count."""
    return getattr(tensor, "_keras_mask", None)


def thresholds_of(metric: keras.metrics.AUC) -> tuple[list[float], bool, bool]:
    """Returns an AUC's thresholds and two answers.

    The first answer is whether the thresholds are evenly spaced. The second is whether the AUC
    takes logits.
    """
    return list(_thresholds.of(metric)), bool(_evenly.of(metric)), bool(_from_logits.of(metric))


@contextlib.contextmanager
def losses_by(model: keras.Model, of_loss: OfLoss) -> Iterator[Any]:
    """Lets the function `of_loss` compute the losses that a model is compiled with.

    Args:
        model: A model that was compiled and has validated.
        of_loss: A function that takes a loss, targets, predictions, and sample weights or None. It
            returns the loss's value. Keras weights and adds these values, as in a training.

    Yields:
        A function that takes targets, predictions and weights, and returns the total loss. If the
        model has no loss, None.
    """
    compiled = _loss_of.of(model)
    if compiled is None:
        yield None
        return
    entries = _flat_losses.of(compiled)

    def replaced(entry: Any) -> Any:
        return entry._replace(loss=lambda *arrays: of_loss(entry.loss, *arrays))

    _flat_losses.set(compiled, [replaced(entry) for entry in entries])
    try:
        yield compiled
    finally:
        _flat_losses.set(compiled, entries)


def make_losses(model: keras.Model, y: Any, y_pred: Any, weights: Any) -> None:
    """Builds the losses that a model is compiled with, as the model's first step would do."""
    compiled = _loss_of.of(model)
    if compiled is not None and not compiled.built:
        compiled(y, y_pred, weights)


# The packages of Keras that load slowly. Each has a public and a private name.
_LATE: Final = frozenset(
    ("keras.wrappers", "keras.src.wrappers", "keras.visualization", "keras.src.visualization")
)


def load_late() -> None:
    """Makes `import keras` delay packages that load slowly until their first use.

    Only worker processes and the command line call this function. In a user's own process, Keras is
    imported as usual.
    """
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())


class _LateFinder:
    """Finds the packages in `_LATE`, and delays their execution to their first use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec

"""Replaces kerastudy, so that the study's files run where kerastudy is not installed.

This module has all parts of kerastudy that a builder may use to make a model. The other parts, such
as declarations of search spaces, do nothing here.
"""

import ast
import contextlib
import copy
import functools
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

HERE = Path(__file__).resolve().parent
loaded = SimpleNamespace(files=False)


def load_study(file, folders, package, variable, study):
    """Runs the study's file. Returns the study in the variable that `variable` names.

    If `variable` is empty, returns the study with the name `study`.
    """
    # The folders come last, so that no module of the study replaces one of Python's modules.
    sys.path.extend(str(HERE / "code" / folder) for folder in folders)
    place = importlib.util.spec_from_file_location(
        f"{package}.study_file".lstrip("."), HERE / "code" / file
    )
    module = importlib.util.module_from_spec(place)
    sys.modules[place.name] = module
    Study.wanted = study
    with contextlib.suppress(Launched):
        place.loader.exec_module(module)
    loaded.files = True
    return getattr(module, variable) if variable else Study.of_names[study]


def load_data(name):
    """Returns a part of the trial's data as `fit` takes it: x, (x, y) or (x, y, sample_weight)."""
    data = part(name)
    if data.y is None:
        return data.x
    if data.sample_weight is None:
        return data.x, data.y
    # Each output gets the same sample weights.
    return data.x, data.y, keras.tree.map_structure(lambda _: data.sample_weight, data.y)


def part(name):
    """Returns a part's `x`, `y` and `sample_weight`. Each is an array, several arrays, or None."""
    x, y, sample_weight = (arrays(f"{kind}_{name}") for kind in ("x", "y", "sample_weight"))
    return SimpleNamespace(x=x, y=y, sample_weight=sample_weight)


def arrays(name):
    """Returns the array `name`, or a tuple or dict of arrays such as x_train['image']."""
    with np.load(HERE / "data.npz") as file:
        if name in file:
            return file[name]
        keys = [key for key in file if key.startswith(f"{name}[")]
        several = {ast.literal_eval(key[len(name) + 1 : -1]): file[key] for key in keys}
    return tuple(several.values()) if 0 in several else several or None


class Study:
    """A study's settings, as the study's file gives them."""

    of_names = {}
    wanted = ""

    def __init__(self, name, **settings):
        self.name = name
        self.__dict__.update(settings)
        Study.of_names[name] = self

    def __getattr__(self, name):
        return getattr(Ignored(f"Study.{name}"), name)

    def launch(self, *arguments, **options):
        if self.name == Study.wanted:
            raise Launched
        return Ignored("the result of a launch")

    def make_model(self, hp):
        """Returns the compiled model for hyperparameters."""
        return self.build.build(hp) if hasattr(self.build, "build") else self.build(hp)

    def make_callbacks(self, hp):
        """Returns the callbacks for hyperparameters."""
        callbacks = vars(self).get("callbacks")
        return list((callbacks(hp) if callable(callbacks) else callbacks) or [])


class Launched(BaseException):
    """Ends the loading of a file that launches its study."""


class Hyperparameters(dict):
    """The trial's values by name, with the methods of Keras Tuner's `hp` and Optuna's `trial`."""

    def __init__(self, values, number):
        super().__init__(values)
        self.values, self.params, self.number = dict(values), dict(values), number
        self.user_attrs = {}
        self.scopes, self.met = [], True

    def scoped(self, name):
        return "/".join([*self.scopes, str(name)])

    def __getitem__(self, name):
        return copy.deepcopy(super().__getitem__(self.scoped(name)))

    def __contains__(self, name):
        return super().__contains__(self.scoped(name))

    def get(self, name, default=None):
        return copy.deepcopy(super().get(self.scoped(name), default))

    def Int(self, name, *domain, parent_name=None, parent_values=None, **options):
        with self.conditional_scope(parent_name, parent_values):
            return self[name] if self.met else None

    Float = Choice = Boolean = Fixed = Int

    @contextlib.contextmanager
    def conditional_scope(self, name, values):
        before = self.met
        values = values if isinstance(values, list | tuple | set | frozenset) else [values]
        self.met = before and (name is None or self.get(name) in values)
        yield
        self.met = before

    @contextlib.contextmanager
    def name_scope(self, name):
        self.scopes.append(name)
        yield
        self.scopes.pop()

    def suggest_float(self, name, *domain, **options):
        return self[name]

    suggest_int = suggest_categorical = suggest_float
    suggest_uniform = suggest_loguniform = suggest_discrete_uniform = suggest_float

    def set_user_attr(self, key, value):
        self.user_attrs[key] = value


class Ignored:
    """Stands in for any object of kerastudy that no builder needs, such as a search space.

    While the study's files are loaded, the stand-in's calls, items and attributes return the
    stand-in itself. After that, using it raises an error.
    """

    def __init__(self, name):
        self.named = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.again()

    def __iter__(self):
        return iter(())

    def again(self, *arguments, **options):
        if loaded.files:
            raise RuntimeError(f"it uses kerastudy's {self.named}, which this replacement lacks")
        return self

    __call__ = __getitem__ = __or__ = __ror__ = again


class Data(Ignored):
    """Stands in for the study's data description, and loads the parts of the trial's data."""

    def again(self, *arguments, **options):
        return self

    __call__ = again

    def load(self):
        return SimpleNamespace(train=part("train"), validation=part("validation"))


def output(units, activation, loss, metrics):
    """Returns the last layer, the loss and the metrics for a kind of targets."""
    layer = functools.partial(keras.layers.Dense, units, activation=activation)
    return SimpleNamespace(
        units=units, activation=activation, loss=loss, metrics=list(metrics), layer=layer
    )


def regression(count=1, *, loss="mean_squared_error", metrics=("mean_absolute_error",)):
    return output(count, "linear", loss, metrics)


outputs = SimpleNamespace(
    binary=lambda: output(1, "sigmoid", "binary_crossentropy", ["accuracy"]),
    classes=lambda n: output(n, "softmax", "sparse_categorical_crossentropy", ["accuracy"]),
    one_hot=lambda n: output(n, "softmax", "categorical_crossentropy", ["accuracy"]),
    regression=regression,
)


def adapted(layer, data, *, of=None):
    x = part("train").x
    layer.adapt(x if of is None else x[of])
    return layer


datasets, preprocessing = Data("datasets"), SimpleNamespace(adapted=adapted)


def __getattr__(name):
    return getattr(Ignored(name), name)

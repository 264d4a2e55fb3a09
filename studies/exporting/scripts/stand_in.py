"""The stand-in for `hp` in a script: a dict with the methods that the builder calls."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_DECLARING: Final = (
    "Int", "Float", "Choice", "Boolean", "Fixed", "suggest_int", "suggest_float",
    "suggest_categorical", "suggest_uniform", "suggest_loguniform", "suggest_discrete_uniform",
)  # fmt: skip
ALL: Final = frozenset((*_DECLARING, "conditional_scope", "name_scope"))
"""What a builder may call to declare hyperparameters."""

_OUTPUT = '''class Output:
    """The last layer, loss and metrics that fit the targets."""

    def __init__(self, units, activation, loss, metrics):
        self.units, self.activation = units, activation
        self.loss, self.metrics = loss, list(metrics)

    def layer(self, **options):
        return keras.layers.Dense(self.units, activation=self.activation, **options)
'''
_OUTPUTS = {
    "binary": """def binary_output():
    return Output(1, "sigmoid", "binary_crossentropy", ["accuracy"])
""",
    "classes": """def classes_output(count):
    return Output(count, "softmax", "sparse_categorical_crossentropy", ["accuracy"])
""",
    "one_hot": """def one_hot_output(count):
    return Output(count, "softmax", "categorical_crossentropy", ["accuracy"])
""",
    "regression": """def regression_output(
    count=1, *, loss="mean_squared_error", metrics=("mean_absolute_error",)
):
    return Output(count, "linear", loss, metrics)
""",
}
_HYPERMODEL = """class HyperModel:
    def __init__(self, name=None, tunable=True):
        self.name, self.tunable = name, tunable
"""


def helpers(outputs: Collection[str], hypermodel: bool) -> str:
    """Returns stand-ins for `kerastudy.outputs` and Keras Tuner's HyperModel, if any is needed."""
    parts = [_OUTPUT, *(_OUTPUTS[name] for name in outputs)] if outputs else []
    return "\n\n".join([*parts, *([_HYPERMODEL] if hypermodel else [])])


def stand_in(methods: Collection[str], conditional: bool, number: int) -> tuple[str, bool]:
    """Returns the class, empty if a dict will do, and whether it needs contextlib.

    Args:
        methods: What the builder may call.
        conditional: Whether it gives declarations a ``parent_name``.
        number: The trial's number.
    """
    declaring = [name for name in _DECLARING if name in methods]
    scoped = "name_scope" in methods
    conditional = conditional or "conditional_scope" in methods
    name = '"/".join([*self.scopes, name])' if scoped else "name"
    body = []
    if scoped:
        body.append("    scopes = ()\n")
    if conditional:
        body.append("    active = True  # False within a condition that is not met\n")
    if declaring and conditional:
        body.append(f"""
    def {declaring[0]}(self, name, *domain, parent_name=None, parent_values=None, **options):
        with self.conditional_scope(parent_name, parent_values):
            return self[{name}] if self.active else None
""")
    elif declaring:
        body.append(f"""
    def {declaring[0]}(self, name, *domain, **options):
        return self[{name}]
""")
    if declaring[1:]:
        body.append(f"\n    {' = '.join([*declaring[1:], declaring[0]])}\n")
    if conditional:
        body.append(f"""
    @contextlib.contextmanager
    def conditional_scope(self, name, values):
        before = self.active
        values = values if isinstance(values, (list, tuple, set)) else [values]
        self.active = before and (name is None or self.get({name}) in values)
        yield
        self.active = before
""")
    if scoped:
        body.append("""
    @contextlib.contextmanager
    def name_scope(self, name):
        before, self.scopes = self.scopes, (*self.scopes, name)
        yield
        self.scopes = before
""")
    if "number" in methods:
        body.append(f"    number = {number}\n")
    if "params" in methods:
        body.append("\n    @property\n    def params(self):\n        return dict(self)\n")
    if "set_user_attr" in methods:
        body.append("\n    def set_user_attr(self, key, value):\n        pass\n")
    text = "".join(body)
    if not text:
        return "", False
    return (
        'class Hyperparameters(dict):\n    """The trial\'s values, by name."""\n'
        + ("\n" if text and not text.startswith("\n") else "")
        + text
    ), conditional or scoped

"""The text of a script: a trial as plain Keras, to read from top to bottom."""

from __future__ import annotations

import math
import re

from studies.exporting.scripts.head import RecordedTrial, header, literal, settings
from studies.exporting.scripts.parts import ScriptParts, builder_section, call_of, model_lines
from studies.exporting.scripts.stand_in import ALL, stand_in

_NAMES = """
HYPERPARAMETERS SEED EPOCHS BEST_EPOCH BATCH_SIZE CLASS_WEIGHT DATA_SHA256 WEIGHTS_SHA256 METRICS
RECORDED x y train test validation arrays scaler scale offset rows_of x_train y_train x_validation
y_validation sample_weight_train sample_weight_validation sha256_of epoch_seed order state position
epoch logs best differing OneTraining ordered order_of states history recorded same told
same_weights
""".split()


def script_text(trial: RecordedTrial, parts: ScriptParts, name: str) -> str:
    """Returns the text of a script.

    Args:
        trial: The record.
        parts: What its study adds.
        name: The script's file name.
    """
    number = trial.spec.built_as
    imports = {"import hashlib", "import os", "import sys", "import keras", "import numpy as np"}
    imports |= {"import tensorflow as tf", *parts.data.imports}
    if parts.builder is None:
        hp, scopes = stand_in(ALL, True, number)
        method = ".build.build(hp)" if parts.hypermodel else ".build(hp)"
        builder = f"{hp}\n\n{_imported(trial, parts)}"
        model, callbacks = f"model = study{method}\nos.chdir(here)\n", "study.callbacks(hp)"
        imports.add("import runpy")
        plain = False
    else:
        builder, scopes = builder_section(parts.builder, number)
        plain = "class Hyperparameters" not in builder
        model = model_lines(parts.builder, parts.hypermodel)
        callbacks = call_of(parts.builder, "callbacks") if parts.callbacks else ""
        imports |= {*parts.builder.imports}
    imports |= {"import contextlib"} if scopes else set()
    if not parts.callbacks:
        callbacks = ""
    if callbacks or parts.own_steps:
        imports.add("import random")
    defined = set() if parts.builder is None else parts.builder.defined
    renamed = [each for each in _NAMES if each in defined]

    def ours(text: str) -> str:
        for each in renamed:
            text = re.sub(rf"(?<![\w.\"']){each}\b(?!=)", f"{each}_of_trial", text)
        return text

    training = ours(_training(parts, callbacks)).replace("@MODEL", model.rstrip("\n"))
    training = training.replace(
        "@HP", ours("HYPERPARAMETERS" if plain else "Hyperparameters(HYPERPARAMETERS)")
    )
    sections = [
        header(trial, parts, name),
        settings(trial, imports),
        ours(_constants(trial, parts)),
        ours(_data(parts)),
        f"{_title('The model')}\n{builder}",
        training.replace("@CALLBACKS", callbacks),
        ours(_recorded(trial)),
        ours(_loop(trial, parts, bool(callbacks))),
    ]
    text = "\n".join(section.strip("\n") + "\n\n" for section in sections)
    return _spaced(text)


def _spaced(text: str) -> str:
    """Returns a text with two empty lines above each definition and title, with its comment."""
    lines: list[str] = []
    # Not at all that `splitlines` takes for an end: texts may hold it.
    for line in text.split("\n"):
        if line.startswith(("def ", "class ", "@")) or line.endswith("-----"):
            own: list[str] = []
            while lines and (not lines[-1] or (lines[-1][0] == "#" and lines[-1][-1] != "-")):
                own.insert(0, lines.pop())
            if lines and lines[-1][0] != "@":
                lines += ["", ""]
            lines += [each for each in own if each]
        if line or lines[-2:] != ["", ""]:
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def _title(text: str) -> str:
    return f"# {text} {'-' * (77 - len(text))}\n"


def _constants(trial: RecordedTrial, parts: ScriptParts) -> str:
    spec = trial.spec
    values = "".join(
        f"    {literal(name)}: {literal(value)},\n" for name, value in parts.hyperparameters.items()
    )
    weights = f"CLASS_WEIGHT = {dict(spec.class_weight)!r}\n" if spec.class_weight else ""
    cut = f"  # it ended before epoch {spec.epochs}" if trial.trained < spec.epochs else ""
    return f"""{_title("The trial")}
HYPERPARAMETERS = {{
{values}}}
SEED = {spec.seed}
EPOCHS = {trial.trained}{cut}
BEST_EPOCH = {trial.best.epoch}
BATCH_SIZE = {spec.batch_size}
{weights}"""


def _data(parts: ScriptParts) -> str:
    return f'''{_title("The data")}
{parts.data.text.rstrip()}


def sha256_of(arrays):
    """SHA-256 over the types, shapes and bytes of arrays."""
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{{array.dtype.name}}{{array.shape}};".encode())
        sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()


DATA_SHA256 = "{parts.data.sha256}"
if sha256_of(keras.tree.flatten([{", ".join(_arrays(parts))}])) != DATA_SHA256:
    sys.exit("The data is not the one that the trial was trained on.")
'''


def _arrays(parts: ScriptParts) -> list[str]:
    kinds = ["x", *(["y"] if parts.targets else []), *(["sample_weight"] if parts.weighted else [])]
    return [f"{kind}_{part}" for part in ("train", "validation") for kind in kinds]


def _imported(trial: RecordedTrial, parts: ScriptParts) -> str:
    return f"""# Imported, because its text does not stand alone: see above. It may read files
# by paths from the folder that it was launched in.
here, folder = os.getcwd(), {trial.folder!r}
os.chdir(folder if os.path.isdir(folder) else here)
sys.path.append(os.path.dirname({trial.path!r}))
study = runpy.run_path({trial.path!r})[{trial.variable!r}]
"""


def _training(parts: ScriptParts, callbacks: str) -> str:
    made = ""
    if callbacks:
        made = """

class OneTraining(keras.callbacks.CallbackList):
    \"\"\"The callbacks of one training that is made of several calls of `fit`.\"\"\"

    def on_train_begin(self, logs=None):
        pass

    def on_train_end(self, logs=None):
        pass


callbacks = OneTraining(
    @CALLBACKS,
    add_history=True,
    model=model,
    epochs=EPOCHS,
    steps=-(-len(order_of(1)) // BATCH_SIZE),
    verbose=0,
)
keras.callbacks.CallbackList.on_train_begin(callbacks)
"""
    sample = "keras.tree.flatten(x_train)[0]" if parts.structured else "x_train"
    return f'''{_title("The training")}

def epoch_seed(epoch, position):
    """The seed that an epoch of the trial has for its generator at a position."""
    return np.random.SeedSequence([3, SEED, epoch, position]).generate_state(1)[0]


def order_of(epoch):
    """The order of the training samples in an epoch."""
    return np.random.default_rng([2, SEED, epoch]).permutation(len({sample}))


keras.utils.set_random_seed(SEED)
hp = @HP
@MODEL
{parts.built}{made}'''


def _recorded(trial: RecordedTrial) -> str:
    names = list(dict.fromkeys(name for metrics in trial.epochs.values() for name in metrics))
    rows = "".join(
        f"    {epoch}: {[_plain(metrics.get(name)) for name in names]!r},\n"
        for epoch, metrics in trial.epochs.items()
    )
    return f"""{_title("The record")}
METRICS = {literal(names)}
RECORDED = {{  # by epoch
{rows}}}
# After the best epoch.
WEIGHTS_SHA256 = {literal(trial.weights_sha256)}
"""


def _plain(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _loop(trial: RecordedTrial, parts: ScriptParts, callbacks: bool) -> str:
    def of(name: str, ordered: bool) -> str:
        if not ordered:
            return name
        return f"ordered({name})" if parts.structured else f"{name}[order]"

    weights = ["sample_weight"] if parts.weighted else []
    targets = ["y"] if parts.targets else []
    samples = ",\n        ".join(of(f"{kind}_train", True) for kind in ["x", *targets])
    given = [f"{kind}_validation" for kind in ["x", *targets, *weights]]
    validation = f"({', '.join(given)})" if len(given) > 1 else f"({given[0]}, None)"
    lines = [
        *(f"sample_weight={of('sample_weight_train', True)},\n" for _ in weights),
        *(["class_weight=CLASS_WEIGHT,\n"] if trial.spec.class_weight else []),
        *(["callbacks=callbacks,\n"] if callbacks else []),
    ]
    options = "".join(f"        {line}" for line in lines)
    ordered = (
        """
    def ordered(arrays, order=order):
        return keras.tree.map_structure(lambda array: array[order], arrays)
"""
        if parts.structured
        else ""
    )
    drawing = (
        """    random.seed(int(epoch_seed(epoch, 2**32 - 1)))
    np.random.seed(epoch_seed(epoch, 2**32 - 2))
"""
        if callbacks or parts.own_steps
        else ""
    )
    ending = "keras.callbacks.CallbackList.on_train_end(callbacks)\n" if callbacks else ""
    metric = literal(trial.spec.objective.metric)
    names = {name for metrics in trial.epochs.values() for name in metrics}
    several = any(name.endswith("_0") and f"{name[:-2]}_1" in names for name in names)
    logs = _LOGS_OF_SEVERAL if several else _LOGS
    return f"""{_title("Train and compare")}
differing = 0
for epoch in range(1, EPOCHS + 1):
    order = order_of(epoch)
    states = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
    for position, state in enumerate(states):  # those of dropout layers
        state.assign([epoch_seed(epoch, position), 0])
{drawing}{ordered}    history = model.fit(
        {samples},
        batch_size=BATCH_SIZE,
        initial_epoch=epoch - 1,
        epochs=epoch,
        validation_data={validation},
        shuffle=False,
{options}        verbose=0,
    ).history
{logs}    recorded = dict(zip(METRICS, RECORDED.get(epoch, [])))
    same = all(value in (None, logs.get(name)) for name, value in recorded.items())
    differing += not same
    told = "as recorded" if same else "DIFFERS"
    print("epoch", epoch, {metric}, logs[{metric}], told)
    if epoch == BEST_EPOCH:
        best = model.get_weights()
{ending}
model.set_weights(best)
if len(sys.argv) > 1:
    model.save(sys.argv[1])
same_weights = sha256_of(best) == WEIGHTS_SHA256
print(f"epochs that differ: {{differing}} of {{EPOCHS}}")
print("weights: the same, bit for bit" if same_weights else "weights: DIFFERENT")
sys.exit(0 if same_weights and not differing else 1)
"""


_LOGS = """    logs = {name: float(values[-1]) for name, values in history.items()}
"""
_LOGS_OF_SEVERAL = """    logs = {}
    for name, values in history.items():
        several = np.ravel(values[-1])  # a metric may have a value for each class
        names = [name] if len(several) == 1 else [f"{name}_{i}" for i in range(len(several))]
        logs |= dict(zip(names, map(float, several)))
"""

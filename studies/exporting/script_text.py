"""The text of a script: a trial as plain Keras, to read from top to bottom."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studies.exporting.script_parts import ScriptParts, builder_section, call_of, model_lines
from studies.exporting.stand_in import ALL, stand_in
from studies.lines import printable
from tracking.records import BestEpoch, TrialSpec

_NAMES = """
HYPERPARAMETERS SEED EPOCHS BEST_EPOCH BATCH_SIZE CLASS_WEIGHT DATA_SHA256 WEIGHTS_SHA256 METRICS
RECORDED x y train test validation arrays scaler scale offset rows_of x_train y_train x_validation
y_validation sample_weight_train sample_weight_validation sha256_of epoch_seed order state position
epoch logs best differing OneTraining ordered
""".split()


@dataclass(frozen=True)
class RecordedTrial:
    """The record of a trial's training.

    Attributes:
        study: The study's name.
        spec: Its spec.
        best: Its best epoch.
        epochs: The metrics of each epoch, from 1.
        trained: Epochs that were trained.
        weights_sha256: Digest of the weights after the best epoch.
        environment: Versions and machine.
        path: The study's file.
        variable: The variable that holds the study.
    """

    study: str
    spec: TrialSpec
    best: BestEpoch
    epochs: Mapping[int, Mapping[str, float]]
    trained: int
    weights_sha256: str
    environment: Mapping[str, str]
    path: str
    variable: str


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
        model, callbacks = f"model = study{method}\n", "study.callbacks(hp)"
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
        _header(trial, parts, name),
        _settings(trial, imports),
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


def _header(trial: RecordedTrial, parts: ScriptParts, name: str) -> str:
    known = {
        **parts.versions,
        **{
            each: trial.environment[each]
            for each in ("tensorflow", "keras", "numpy", "scikit-learn")
            if each in trial.environment
        },
    }
    if (
        not any("sklearn" in line for line in parts.data.imports)
        and "scikit-learn" not in parts.versions
    ):
        known.pop("scikit-learn", None)
    if parts.builder is None:
        known["kerastudy"] = trial.environment.get("kerastudy", "")
    needed = "".join(
        f'#     "{package}=={version}",\n' for package, version in sorted(known.items())
    )
    spec, metric = trial.spec, trial.spec.objective.metric
    told = ""
    if parts.builder is None:
        reason = (
            f"The builder is imported from its file, which needs kerastudy: {parts.why_imported}."
        )
        told = f"\n{_in_docstring(reason)}\n"
    also = _in_docstring(
        f"The bits depend on these versions and on the processor, which was "
        f"{trial.environment.get('device') or 'not recorded'}."
    )
    called = _in_docstring(shlex.quote(name))
    short = spec.epochs if trial.trained == spec.epochs else f"{trial.trained} (of {spec.epochs})"
    first = _in_docstring(
        f"Trial {spec.number} of the study {trial.study!r} in plain Keras: "
        f"{metric} {trial.best.value:.6g} at epoch {trial.best.epoch} of {short}."
    )
    return f'''# /// script
# requires-python = "=={trial.environment.get("python", "3.11")}"
# dependencies = [
{needed}# ]
# ///
"""{first}

Makes the data, the model and every random choice again, and trains. Prints whether the metrics of
each epoch and the weights of the best one are the recorded ones, to the bit. Exits with 0 if they
are, else with 1.

    uv run {called}               # installs the versions above
    python {called} model.keras   # saves the model too
{told}
{also}
"""
'''


def _in_docstring(text: str) -> str:
    """Returns a text in lines that can stand in a docstring, whatever it holds."""
    text = printable(" ".join(text.split())).replace("\\", "\\\\").replace('"', "'")
    # A backslash at the end of a line would join it with the next.
    return textwrap.fill(text, 92, break_long_words=False, break_on_hyphens=False)


def _settings(trial: RecordedTrial, imports: set[str]) -> str:
    threads, environment = trial.spec.threads, trial.environment
    given = dict(
        each.split("=", 1) for each in environment.get("variables", "").split() if "=" in each
    )
    variables = {"KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": str(threads), **given}
    lines = [
        f"os.environ[{_literal(name)}] = {_literal(value)}\n" for name, value in variables.items()
    ]
    standard = [
        line
        for line in sorted(imports)
        if line.split()[1].partition(".")[0] in sys.stdlib_module_names
    ]
    others = sorted(imports.difference(standard), key=lambda line: (line.startswith("from"), line))
    settings = "".join(_keras_settings(environment.get("keras settings", "")))
    return f"""from __future__ import annotations

{chr(10).join(standard)}

# Read when TensorFlow is imported.
{"".join(lines)}os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

{chr(10).join(others)}
from tensorflow.python.eager import context

# Operations whose results do not vary; {threads} thread(s), as in the study: threads change bits.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads({threads})
tf.config.threading.set_inter_op_parallelism_threads(1)
# TensorFlow adds large gradients in any order. No public option turns that off alone.
context.context()._config = tf.compat.v1.ConfigProto()
context.context()._config.graph_options.rewrite_options.memory_optimization = 1  # none
keras.utils.set_random_seed(0)
{settings}"""


def _keras_settings(text: str) -> list[str]:
    """Returns the lines for settings of Keras that are not its defaults."""
    defaults = {"floatx": "float32", "epsilon": "1e-07", "image_data_format": "channels_last"}
    found = dict(each.split("=", 1) for each in text.split() if "=" in each)
    lines = [
        f"keras.config.set_{name}({found[name] if name == 'epsilon' else repr(found[name])})\n"
        for name, default in defaults.items()
        if found.get(name, default) != default
    ]
    policy = found.get("dtype_policy", "float32")
    if policy != found.get("floatx", "float32"):
        lines.append(f"keras.config.set_dtype_policy({policy!r})\n")
    return lines


def _constants(trial: RecordedTrial, parts: ScriptParts) -> str:
    spec = trial.spec
    values = "".join(
        f"    {_literal(name)}: {_literal(value)},\n"
        for name, value in parts.hyperparameters.items()
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
    return f"""# Imported, because its text does not stand alone: see above.
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
METRICS = {_literal(names)}
RECORDED = {{  # by epoch
{rows}}}
# After the best epoch.
WEIGHTS_SHA256 = {_literal(trial.weights_sha256)}
"""


def _literal(value: Any) -> str:
    """Returns a value as Python writes it, texts in double quotes."""
    if isinstance(value, str):
        # JSON's escapes are Python's too.
        return json.dumps(value, ensure_ascii=False)
    if type(value) is list:
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


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
    metric = _literal(trial.spec.objective.metric)
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

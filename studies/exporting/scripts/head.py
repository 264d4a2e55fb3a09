"""The beginning of a script: what it is, its versions, the settings of Keras and TensorFlow."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studies.exporting.scripts.parts import ScriptParts
from studies.lines import printable
from tracking.records import BestEpoch, TrialSpec


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
        folder: The folder that it was launched in; empty if that is not recorded.
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
    folder: str = ""


def header(trial: RecordedTrial, parts: ScriptParts, name: str) -> str:
    """Returns the dependencies in PEP 723's form, and the docstring."""
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


def settings(trial: RecordedTrial, imports: set[str]) -> str:
    """Returns the imports, between the settings that come before and after them."""
    threads, environment = trial.spec.threads, trial.environment
    given = dict(
        each.split("=", 1) for each in environment.get("variables", "").split() if "=" in each
    )
    variables = {"KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": str(threads), **given}
    lines = [
        f"os.environ[{literal(name)}] = {literal(value)}\n" for name, value in variables.items()
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


def literal(value: Any) -> str:
    """Returns a value as Python writes it, texts in double quotes."""
    if isinstance(value, str):
        # JSON's escapes are Python's too.
        return json.dumps(value, ensure_ascii=False)
    if type(value) is list:
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)

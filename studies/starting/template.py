"""The study file that `kerastudy new` writes, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from studies.starting.samples import Samples, quoted

_OBJECTIVES = {
    "classification": "val_accuracy",
    "binary": "val_accuracy",
    "regression": "val_mean_absolute_error",
}


def study_text(name: str, file: str, samples: Samples) -> str:
    """Returns the text of a study file.

    Args:
        name: The study's name.
        file: The file's name, for the commands in its docstring.
        samples: The data.
    """
    return "\n".join([*_head(name, file, samples), *_builder(samples), *_study(name, samples), ""])


def _head(name: str, file: str, samples: Samples) -> Iterator[str]:
    yield f'"""{name}: a tuning study.'
    yield from ("", "What would be tuned, the study itself, and its outcome:", "")
    yield f"    kerastudy launch {_word(file)} --dry-run"
    yield f"    kerastudy launch {_word(file)}"
    yield f"    kerastudy show {_word(name)}"
    yield from ('"""', "", "import keras", "", "import kerastudy as ks", "")
    yield "# Preprocessing. 60 % of the samples train, 20 % validate, 20 % are sealed for the end."
    yield "# What is fitted, such as means and categories, is fitted on the training part alone."
    for note in samples.notes:
        yield from textwrap.wrap(note, 88, initial_indent="# ", subsequent_indent="# ")
    yield from (f"data = {samples.call}", "")
    yield "# The last layer, the loss function and the metrics that fit the targets."
    yield from (f"output = ks.outputs.{samples.output}", "", "")


def _builder(samples: Samples) -> Iterator[str]:
    yield "def build(hp):"
    yield '    """Returns a compiled model; hp has the values that a trial tries."""'
    if samples.kind == "regression":
        yield "    # Of the training part, so that the layers work on numbers about 0."
        yield "    targets = data.load().train.y"
    yield "    # Building."
    yield "    model = keras.Sequential()"
    for layer in samples.first:
        yield f"    model.add({layer})"
    yield '    for _ in range(hp["num_layers"]):'
    yield '        model.add(keras.layers.Dense(hp["units"], activation="relu"))'
    yield '        model.add(keras.layers.Dropout(hp["dropout"]))'
    yield "    model.add(output.layer())"
    if samples.kind == "regression":
        yield "    # Back to the unit of the targets."
        if samples.output == "regression()":
            yield "    scale, offset = float(targets.std()), float(targets.mean())"
        else:
            yield "    scale, offset = targets.std(axis=0).tolist(), targets.mean(axis=0).tolist()"
        yield "    model.add(keras.layers.Rescaling(scale, offset))"
    yield "    # Compiling."
    yield "    model.compile("
    yield '        optimizer=keras.optimizers.Adam(hp["learning_rate"]),'
    yield "        loss=output.loss,"
    yield "        metrics=output.metrics,"
    yield from ("    )", "    return model", "", "")
    yield "def callbacks(hp):"
    yield '    """Ends a training when the validation loss has not fallen for 5 epochs."""'
    yield '    return [keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)]'
    yield from ("", "")


def _study(name: str, samples: Samples) -> Iterator[str]:
    yield "study = ks.Study("
    yield f"    {quoted(name)},"
    yield from ("    data=data,", "    build=build,")
    yield "    # What may be tried: usual ranges, which you can change."
    yield "    space=ks.SearchSpace("
    yield "        ks.learning_rate(1e-4, 1e-1),"
    yield "        ks.layers(1, 3),"
    yield "        ks.units(16, 128, step=2),"
    yield "        ks.dropout(0.0, 0.5),"
    yield "    ),"
    yield "    # Validating: the metric that decides which trial, and which of its epochs, is best."
    yield f'    objective="{_OBJECTIVES[samples.kind]}",'
    yield "    # Training."
    yield from ("    epochs=20,", "    batch_size=32,", "    callbacks=callbacks,")
    if samples.kind != "regression":
        yield '    # class_weight="balanced",  # if some classes have few samples'
    yield "    # How many trials, and what ends hopeless ones early."
    yield from ("    trials=20,", '    pruner="median",', "    seed=0,", ")")
    yield from ("", "# Predicting: after the launch, by the best trial's model.", "#")
    yield f"#     kerastudy predict {_word(name)} --input {samples.new}"


def _word(text: str) -> str:
    import shlex

    return shlex.quote(text)

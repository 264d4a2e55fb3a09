"""Texts as samples, of which a layer of the model makes numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_training import by_trainer, spec_of
from mlflow.models import Model
from user_commands import environment

import kerastudy as ks
from studies.data import file_of, shared
from studies.definition import permutation
from studies.training import CompiledTrainer, as_tensor, configure_tensorflow

WORDS = np.array("a good film|a bad film|good good|bad, so bad|nothing good".split("|"))
TEXTS = WORDS[np.arange(40) % 5]
LABELS = np.array(["pos", "neg", "pos", "neg", "neg"])[np.arange(40) % 5]

LOAD = """
import json, sys
import mlflow, numpy as np

model = mlflow.pyfunc.load_model(sys.argv[1])
texts = np.load(sys.argv[2])
print(json.dumps({
    "predicted": model.predict(texts).tolist(),
    "inputs": model.metadata.signature.inputs.to_dict(),
    "classes": model.metadata.metadata["class_names"],
}))
"""


def model() -> keras.Model:
    """As public code has it: the vocabulary is of the training texts."""
    vectorize = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    vectorize.adapt(WORDS)
    made = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            vectorize,
            keras.layers.Embedding(20, 3),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    made.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return made


def test_texts_are_trained_on_as_by_hand() -> None:
    configure_tensorflow(None)
    splits = ks.datasets.arrays(TEXTS, LABELS, validation=0.25, test=None).load()
    trainer = CompiledTrainer("auto", unfit=splits.unfit)
    found = by_trainer(trainer, model, splits, spec_of(batch_size=8))
    assert trainer.used == ("plain", "the samples are texts")
    spec, wanted = spec_of(batch_size=8), []
    keras.utils.set_random_seed(spec.seed)
    made = model()
    validation = splits.validation
    for epoch in (1, 2):
        order = permutation(spec.seed, epoch, len(splits.train))
        history = made.fit(
            tf.constant(splits.train.x[order]),
            splits.train.y[order],  # type: ignore[index]
            shuffle=False,
            batch_size=8,
            validation_data=(tf.constant(validation.x), validation.y),
            validation_batch_size=8,
            verbose=0,
        ).history
        wanted.append({name: values[0] for name, values in history.items()})
    assert [dict(epoch.metrics) for epoch in found] == wanted


def test_they_have_one_digest_and_are_shared_and_read_from_files(tmp_path: Path) -> None:
    plain = ks.datasets.arrays(TEXTS, LABELS).load()
    again = shared(ks.datasets.arrays(TEXTS.astype(object), LABELS).load, tmp_path)
    assert again.digest == plain.digest
    assert isinstance(again.train.x, np.ndarray)
    assert np.array_equal(again.train.x, plain.train.x)
    other = tmp_path / "texts of one length"
    other.mkdir()
    in_one_file = shared(lambda: plain, other).train.x
    assert isinstance(in_one_file, np.ndarray) and file_of(in_one_file) is not None
    for texts in (again.train.x, in_one_file):
        assert [text.decode() for text in as_tensor(texts).numpy()] == plain.train.x.tolist()
    np.savez(tmp_path / "texts.npz", x_train=TEXTS, y_train=LABELS)
    assert ks.datasets.npz(tmp_path / "texts.npz").load().digest == plain.digest


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("texts")
    study = ks.Study(
        "texts",
        data=ks.datasets.arrays(TEXTS, LABELS),
        build=lambda hp: model(),
        space=ks.SearchSpace(ks.learning_rate()),
        objective="val_accuracy",
        trials=1,
        epochs=1,
    )
    return folder, study.launch(store=folder / "store", progress=False, verify="off")


def test_a_study_of_texts_registers_a_model_that_takes_texts(launched: tuple[Path, Any]) -> None:
    folder, history = launched
    assert history.best.result.trainer == "plain"
    assert history.is_champion(history.best)
    (file,) = (folder / "store").rglob("MLmodel")
    (told,) = Model.load(str(file.parent)).signature.inputs.to_dict()  # type: ignore[union-attr]
    assert told["tensor-spec"] == {"dtype": "str", "shape": (-1,)}
    champion = ks.load_model("texts", store=folder / "store")
    assert champion.predict(tf.constant(TEXTS[:3]), verbose=0).shape == (3, 1)


@pytest.mark.exhaustive
def test_mlflow_alone_predicts_for_texts(launched: tuple[Path, Any], tmp_path: Path) -> None:
    (folder,) = (path.parent for path in (launched[0] / "store").rglob("MLmodel"))
    np.save(tmp_path / "texts.npy", TEXTS[:3])
    command = [sys.executable, "-P", "-c", LOAD, str(folder), str(tmp_path / "texts.npy")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert np.shape(found["predicted"]) == (3, 1)
    assert found["inputs"][0]["tensor-spec"] == {"dtype": "str", "shape": [-1]}
    assert found["classes"] == ["neg", "pos"]

"""Studies of data in batches: recorded, resumed, reproduced, refused."""

from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import streamed
import tensorflow as tf
from in_mlflow import InMlflow
from stores import history_at
from streamed import model, study
from user_commands import as_json, kerastudy_here

import kerastudy as ks

StudyError = ks.errors.StudyError


def launch(folder: Path, definition: ks.Study, **options: Any) -> Any:
    options = {"progress": False, "verify": "off", **options}
    return definition.launch(store=folder / "store", **options)


def show_documents(folder: Path) -> tuple[str, Any]:
    show = ("show", "streamed", "--store", folder / "store")
    text = kerastudy_here(folder, *show).stdout
    return " ".join(text.split()), as_json(kerastudy_here(folder, *show, "--json"))


@pytest.fixture(scope="module")
def study_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[ks.Study, Path]:
    generator = streamed.validation_generator
    definition = study(validation=generator, options={"test": generator})
    folder = tmp_path_factory.mktemp("streamed")
    launch(folder, definition)
    return definition, folder


def test_the_record_says_what_trained_and_why_and_what_its_digest_is_of(
    study_and_folder: tuple[ks.Study, Path],
) -> None:
    _, folder = study_and_folder
    text, document = show_documents(folder)
    assert "2 of 2 trials by plain model.fit (the data comes as a tf.data.Dataset)" in text
    assert "train by tf.data.Dataset; digest of all 6 batches" in text
    assert "validation by Python generator; digest of all 3 batches" in text
    assert document["best"]["trainer"] == "plain"
    assert document["best"]["trainer_reason"] == "the data comes as a tf.data.Dataset"
    assert document["data"]["streams"]["train"]["same_each_time"]
    history = history_at(folder / "store", "streamed")
    assert dict(history.description.data.sizes) == {"train": 44, "validation": 20, "test": 20}
    assert history.trials[0].spec.batch_size == streamed.SIZE
    (first, *_) = InMlflow(history).parent.inputs.dataset_inputs
    assert "all 6 batches" in first.dataset.profile


def test_data_that_is_another_each_time_is_trained_on_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # TensorFlow, once deterministic, shuffles by no other seed than a global one.
    tf.random.set_seed(1)
    reshuffled = tf.data.Dataset.from_tensor_slices((streamed.X, streamed.Y)).shuffle(44).batch(8)
    definition = study(reshuffled, trials=1, epochs=1)
    launch(tmp_path, definition, progress=True)
    assert "training data is not the same each time" in " ".join(capsys.readouterr().err.split())
    text, _ = show_documents(tmp_path)
    assert "digest of types and shapes alone; not the same each time" in text
    with pytest.raises(StudyError, match=r"can't be sent .* its file, run: kerastudy reproduce "):
        definition.reproduce(store=tmp_path / "store", progress=False)
    # Only types and shapes identify the data, so that the study can go on.
    assert launch(tmp_path, definition, trials=2).counts()["complete"] == 2


# Refused before anything is written


class Own(keras_tuner.HyperModel):  # type: ignore[misc]
    def build(self, hp: Any) -> keras.Model:
        return model()

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)


def tuning_its_batches(hp: Any) -> keras.Model:
    hp.Int("batch_size", 8, 64)
    return model()


def one_hot() -> Any:
    return ((x, np.eye(3)[y]) for x, y in streamed.validation_py_dataset())


_made_outside: Any = None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch_size": 64}, "which have a size: batch_size=64 has no effect. Leave it out"),
        ({"space": ks.SearchSpace(ks.batch_size())}, "'batch_size' in the search space"),
        ({"build": tuning_its_batches, "space": None}, "'batch_size' in the search space"),
        ({"build": Own()}, "its own fit, which takes arrays"),
        ({"class_weight": {0: 2.0}}, r"can't be used with data in batches.*sample_weight"),
        ({"train": one_hot, "validation": one_hot}, "takes one label for each sample"),
        ({"train": "itself"}, "Dataset can't be sent to another process. Make it in a function"),
        ({"train": lambda: _made_outside}, "Dataset can't be sent to another process"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_studies_are_refused_before_anything_is_written(
    tmp_path: Path, fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "_made_outside", streamed.tf_data(3))
    # A data set that was made here can't be sent to workers.
    sent = {"workers": 2} if "can't be sent" in words else {}
    if fields.get("train") == "itself":
        fields = {"train": _made_outside}
    with pytest.raises(StudyError, match=words):
        launch(tmp_path, study(**fields), **sent)
    assert not (tmp_path / "store").exists()

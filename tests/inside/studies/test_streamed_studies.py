"""Studies of data that comes in batches: recorded, gone on with, reproduced, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import streamed
import tensorflow as tf
from conformance.models import make_spec, seeing
from conformance.trainer import TrainerConformance
from exact_training import by_trainer, spec_of
from in_mlflow import InMlflow
from streamed import model, study
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import StudyError
from studies.commands import definition_text, study_document, study_text
from studies.data import PROFILE_SEED
from studies.training import CompiledTrainer, PlainTrainer, configure_tensorflow
from tracking.history import StudyHistory
from tracking.records import TrialResult


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


def launch(folder: Path, made: ks.Study, **options: Any) -> StudyHistory:
    return made.launch(store=folder / "store", progress=False, **options)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[ks.Study, Path, StudyHistory]:
    made = study(
        validation=streamed.validation_generator, options={"test": streamed.validation_generator}
    )
    folder = tmp_path_factory.mktemp("streamed")
    return made, folder, launch(folder, made, verify="off")


def test_the_record_says_what_trained_and_why_and_what_its_digest_is_of(
    launched: tuple[ks.Study, Path, StudyHistory],
) -> None:
    _, _, history = launched
    text, document = study_text(history), study_document(history)
    assert "plain for 2 of 2 trials (the data comes as a tf.data.Dataset)" in text
    assert "train      by tf.data.Dataset; digest of all 6 batches" in text
    assert "validation by Python generator; digest of all 3 batches" in text
    assert document["best"]["trainer"] == "plain"
    assert document["best"]["trainer_reason"] == "the data comes as a tf.data.Dataset"
    assert document["data"]["streams"]["train"]["same_each_time"]
    data = history.description.data
    assert dict(data.sizes) == {"train": 44, "validation": 20, "test": 20}
    assert history.trials[0].spec.batch_size == streamed.SIZE
    run = InMlflow(history).parent
    (first, *_) = run.inputs.dataset_inputs
    assert "all 6 batches" in first.dataset.profile
    assert "data       batches: 44 train, 20 validation" in definition_text(history.description)


@pytest.mark.exhaustive
def test_a_trial_is_reproduced_in_a_new_process(
    launched: tuple[ks.Study, Path, StudyHistory],
) -> None:
    made, folder, history = launched
    reproduction = made.reproduce(store=folder / "store", progress=False)
    assert reproduction.identical and reproduction.epochs == 2
    assert history.best is not None and history.model_uri(history.best)


# From a state it trains on in `test_streams`; states are the same for all data.
@pytest.mark.exhaustive
@pytest.mark.parametrize("train", [streamed.tf_data, streamed.generator])
def test_a_training_that_was_cut_goes_on_to_the_same_bits(
    tmp_path: Path, train: Callable[[int], Any]
) -> None:
    def run(folder: str, stops: bool) -> TrialResult:
        callbacks = [seeing(begun)]
        made = study(train, streamed.validation_generator, callbacks=lambda hp: callbacks)
        folder_of = tmp_path / folder
        folder_of.mkdir(exist_ok=True)

        def decide(epoch: Any) -> str:
            return "stop" if stops and epoch.epoch == 2 else "continue"

        trainer, state = CompiledTrainer(), folder_of / "state"
        return TrainerConformance().train(trainer, made, spec, folder_of, decide, state)[0]

    begun: list[int] = []
    spec = make_spec(epochs=4)
    straight = run("straight", stops=False)
    assert run("cut", stops=True).state == "interrupted"
    begun.clear()
    resumed = run("cut", stops=False)
    assert begun == [2, 3]
    assert (straight.best, straight.weights_sha256) == (resumed.best, resumed.weights_sha256)


def test_a_trial_whose_data_raises_says_what_was_raised(tmp_path: Path) -> None:
    def train(seed: int) -> Any:
        yield from streamed.generator(seed)
        if seed != PROFILE_SEED:
            raise ValueError("file 17 is broken")

    made = study(train, streamed.validation_generator)
    result, _ = TrainerConformance().train(PlainTrainer(), made, make_spec(), tmp_path)
    assert result.state == "infeasible"
    said = "the training raised InvalidArgumentError: ValueError: file 17 is broken"
    assert result.reason.startswith(f"{said} (test_streamed_studies.py, line ")


@pytest.mark.exhaustive
def test_data_of_which_only_the_first_batches_are_looked_at_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("studies.data.streams._MOST_BATCHES", 4)
    splits = ks.datasets.batches(streamed.generator, streamed.validation_generator).load()
    assert splits.train.profile.digest_of == "the first 4 batches"
    assert dict(splits.sizes) == {"validation": 20}
    assert by_trainer(PlainTrainer(), model, splits, spec_of(epochs=1))


def test_data_that_is_another_each_time_is_trained_on_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # TensorFlow, once deterministic, shuffles by no other seed than a global one.
    tf.random.set_seed(1)
    reshuffled = tf.data.Dataset.from_tensor_slices((streamed.X, streamed.Y)).shuffle(44).batch(8)
    made = study(reshuffled, trials=1, epochs=1)
    history = made.launch(store=tmp_path / "store", progress=True, verify="off")
    assert "training data is not the same each time" in " ".join(capsys.readouterr().err.split())
    text = " ".join(study_text(history).split())
    assert "digest of types and shapes alone; not the same each time" in text
    with pytest.raises(StudyError, match=r"can't be sent .* its file, run: kerastudy reproduce "):
        made.reproduce(store=tmp_path / "store", progress=False)
    # It is known by its types and shapes, so that the study can go on.
    assert launch(tmp_path, made, trials=2, verify="off").counts()["complete"] == 2


def test_a_pydataset_that_shuffles_itself_after_each_epoch_is_noticed() -> None:
    class Shuffled(streamed.Batches):
        def on_epoch_end(self) -> None:
            taken = np.random.default_rng().permutation(len(self.x))
            self.x, self.y = self.x[taken], self.y[taken]

    splits = ks.datasets.batches(
        Shuffled(streamed.X, streamed.Y), streamed.validation_py_dataset()
    ).load()
    (warning,) = splits.warnings
    assert "It shuffles itself again" in warning and "train=lambda: " in warning


# Refused


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch_size": 64}, r"size of their own. Received: batch_size=64. Leave it out"),
        (
            {"space": ks.SearchSpace(ks.batch_size())},
            "size of their own. Received: 'batch_size' in the search space",
        ),
    ],
)
def test_a_batch_size_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(**fields)


class Own(keras_tuner.HyperModel):  # type: ignore[misc]
    def build(self, hp: Any) -> keras.Model:
        return model()

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)


def tuning_its_batches(hp: Any) -> keras.Model:
    hp.Int("batch_size", 8, 64)
    return model()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trainer": "compiled"}, "cannot be compiled: the data comes as a tf.data.Dataset"),
        ({"build": Own()}, "its own fit, which is given arrays"),
        ({"build": tuning_its_batches, "space": None}, "'batch_size' in the search space"),
        ({"class_weight": "balanced"}, "needs all targets at once"),
        ({"train": streamed.generator, "class_weight": {0: 2.0}}, "Python generator, as in Keras"),
        ({"train": streamed.without_end}, "training data has no end. Pass steps_per_epoch"),
        ({"train": lambda seed: 1 / 0}, "training data can't be read: ZeroDivisionError"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_can_not_be_is_refused_before_anything_is_written(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    made = study(**fields)
    with pytest.raises(StudyError, match=said):
        launch(tmp_path, made)
    assert not (tmp_path / "store").exists()


def test_targets_that_can_not_fit_are_refused(tmp_path: Path) -> None:
    def one_hot() -> Any:
        return ((x, np.eye(3)[y]) for x, y in streamed.validation_py_dataset())

    with pytest.raises(StudyError, match="takes one label for each sample"):
        launch(tmp_path, study(one_hot, one_hot))


_made_outside: Any = None


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (None, r"train is a tf\.data\.Dataset itself.*Pass a function that makes it"),
        (lambda: _made_outside, r"made outside of the functions.*Make it within the function"),
    ],
    ids=["itself", "used"],
)
def test_a_dataset_that_was_made_here_can_not_be_sent_to_workers(
    tmp_path: Path, train: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "_made_outside", streamed.tf_data(3))
    with pytest.raises(StudyError, match=said):
        launch(tmp_path, study(train or _made_outside), workers=2)
    assert not (tmp_path / "store").exists()


# Workers


# Above, a new process makes its data too.
@pytest.mark.exhaustive
def test_a_worker_runs_the_documented_example_and_makes_its_data_by_itself(tmp_path: Path) -> None:
    page = Path(ks.__file__).parent / "docs" / "data.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("```python\n# my_batches.py\n")
    example, _, _ = rest.partition("```")
    assert example.count("epochs=5") == 1
    (tmp_path / "my_batches.py").write_text(example.replace("epochs=5", "epochs=1"))
    told = kerastudy_here(
        tmp_path,
        *("launch", "my_batches.py", "--workers", "1", "--store", "store", "--json"),
        *("--verify", "off", "--trials", "1"),
    )
    document = json.loads(told.stdout)
    assert document["trials"]["complete"] == 1
    assert document["best"]["trainer_reason"] == "the data comes as a tf.data.Dataset"
    assert "not the same each time" not in " ".join(told.stderr.split())

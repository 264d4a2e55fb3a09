"""Trains a trial of a study again by plain Keras, and compares it with its record.

    uv run retrain.py               # installs the versions above
    python retrain.py               # exits with 0 if all is as recorded, bit for bit, else with 1
    python retrain.py model.keras   # saves the model of the best epoch, too

The values of the trial come first, then the training. The study's own files are in `code/`, its
data without the test part in `data.npz`, and the recorded results in `record.json`. kerastudy
itself need not be installed: `kerastudy.py` replaces it. Relative paths in the study's code start
from the folder in which you run this script.
"""

import argparse
import contextlib
import hashlib
import json
import operator
import os
import random
import sys
from pathlib import Path

# The trial --------------------------------------------------------------------------------------
STUDY = ""
TRIAL = 0
HYPERPARAMETERS = {}
SEED = 0
EPOCHS = 1
BATCH_SIZE = 32
CLASS_WEIGHT = None
OBJECTIVE = ""
# The trial was run with these settings. Results are bit for bit the same only with these settings,
# the versions above, and the same kind of processor.
THREADS = 1
ENVIRONMENT = {}
KERAS = {}
# By these arguments, `load_study` finds the study in the folder `code`.
CODE = {}
# The training -----------------------------------------------------------------------------------

parser = argparse.ArgumentParser()
parser.add_argument("model", nargs="?", help="a .keras file to save the best epoch's model to")
parser.add_argument("--epochs", type=int, help="train only the first epochs")
options = parser.parse_args()

# TensorFlow reads these variables when it is imported.
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(THREADS), **ENVIRONMENT})

# While TensorFlow is loaded, its libraries print lines that no variable hides.
stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(nothing, 2)
try:
    import keras
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.eager import context
finally:
    os.dup2(stderr, 2)

# With another number of threads than in the study, the last bits of results would change.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(1)
# Without this, TensorFlow adds large gradients in varying order. No public option stops that.
context.context()._config = tf.compat.v1.ConfigProto()
context.context()._config.graph_options.rewrite_options.memory_optimization = 1  # NO_MEM_OPT
for name, value in KERAS.items():
    getattr(keras.config, f"set_{name}")(value)

# This imports `kerastudy.py` of this folder, even if kerastudy is installed.
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import kerastudy

RECORD = json.loads((HERE / "record.json").read_text(encoding="utf-8"))


def epoch_seed(epoch, position):
    """Returns an epoch's seed for the random generator at a position in the model."""
    return np.random.SeedSequence([3, SEED, epoch, position]).generate_state(1)[0]


def order_of(epoch, samples):
    """Returns the order of the training samples in an epoch."""
    return np.random.default_rng([2, SEED, epoch]).permutation(samples)


def batches_of(arrays, order):
    """Returns a data set with batches of arrays.

    Before each pass over the data, `order` gets the number of samples, and returns their order.
    """
    samples = len(keras.tree.flatten(arrays)[0])

    def batches():
        for rows in np.split(order(samples), range(BATCH_SIZE, samples, BATCH_SIZE)):
            yield keras.tree.map_structure(operator.itemgetter(rows), arrays)

    # If TensorFlow knows the size of all batches, it rounds some operations differently.
    size = BATCH_SIZE if samples % BATCH_SIZE == 0 else None
    kinds = keras.tree.map_structure(
        lambda a: tf.TensorSpec((size, *a.shape[1:]), tf.as_dtype(a.dtype)), arrays
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=kinds)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-samples // BATCH_SIZE)))


def sha256_of(arrays):
    """Returns the SHA-256 of the types, shapes and bytes of arrays."""
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{array.dtype.name}{array.shape};".encode())
        sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()


class Begin(keras.callbacks.Callback):
    """Seeds the random generators before each epoch, from the trial's seed and the epoch."""

    epoch = 1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1
        variables = self.model.non_trainable_variables
        states = [variable for variable in variables if variable.name == "seed_generator_state"]
        for position, state in enumerate(states):  # such as those of dropout layers
            state.assign([epoch_seed(self.epoch, position), 0])
        random.seed(int(epoch_seed(self.epoch, 2**32 - 1)))
        np.random.seed(epoch_seed(self.epoch, 2**32 - 2))


class Compare(keras.callbacks.Callback):
    """Compares each epoch with the record, and keeps the weights of the best epoch."""

    epoch, differing, best = 0, 0, None

    def on_epoch_end(self, epoch, logs=None):
        self.epoch = epoch + 1
        metrics = {}
        for name, value in logs.items():
            values = np.ravel(value).tolist()  # a metric may have a value for each class
            by_class = {f"{name}_{place}": class_value for place, class_value in enumerate(values)}
            metrics |= {name: values[0]} if len(values) == 1 else by_class
        recorded = RECORD["epochs"].get(str(self.epoch), {})
        same = recorded.items() <= metrics.items()
        self.differing += not same
        outcome = "as recorded" if same else f"DIFFERS from {recorded.get(OBJECTIVE)}"
        print(f"epoch {self.epoch}: {OBJECTIVE} {metrics.get(OBJECTIVE)}, {outcome}", flush=True)
        if self.epoch == RECORD["best_epoch"]:
            self.best = self.model.get_weights()
        # The trial may have ended early. Then this training ends after the same epoch.
        if self.epoch in (RECORD["trained_epochs"], options.epochs):
            self.model.stop_training = True


keras.utils.set_random_seed(0)  # for random draws while the study's file is loaded
study = kerastudy.load_study(**CODE)

keras.utils.set_random_seed(SEED)
hp = kerastudy.Hyperparameters(HYPERPARAMETERS, TRIAL)
model = study.make_model(hp)
callbacks = study.make_callbacks(hp)

# `fit` converts the floats in arrays to Keras's `floatx`, but not the floats in data sets. So they
# are converted here.
train, validation = keras.tree.map_structure(
    lambda a: a.astype(keras.config.floatx()) if a.dtype.kind == "f" else a,
    (kerastudy.load_data("train"), kerastudy.load_data("validation")),
)
x = train[0] if isinstance(train, tuple) else train
if not model.built and isinstance(model, keras.Sequential) and isinstance(x, np.ndarray):
    model.build((None, *x.shape[1:]))
elif not model.built:
    # This may fail if the model has its own training step, which never calls the model. Then `fit`
    # builds the model.
    with contextlib.suppress(Exception):
        model(keras.tree.map_structure(lambda a: tf.constant(a[:1]), x))

begin, compare = Begin(), Compare()
model.fit(
    batches_of(train, lambda samples: order_of(begin.epoch, samples)),
    epochs=EPOCHS,
    class_weight=CLASS_WEIGHT,
    validation_data=batches_of(validation, np.arange),
    callbacks=[begin, *callbacks, compare],
    shuffle=False,
    verbose=0,
)

print(f"epochs that differ: {compare.differing} of {compare.epoch}")
if options.epochs:
    sys.exit(1 if compare.differing else 0)
if compare.best is None:
    sys.exit("weights: DIFFERENT, as the training ended before the best epoch of the record")
same_weights = sha256_of(compare.best) == RECORD["weights_sha256"]
print("weights: the same, bit for bit" if same_weights else "weights: DIFFERENT")
model.set_weights(compare.best)
if options.model:
    model.save(options.model)
sys.exit(0 if same_weights and not compare.differing else 1)

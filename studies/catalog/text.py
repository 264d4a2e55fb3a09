"""Does it matter in which order words stand?

"Good, not bad" and "bad, not good" have the same words. A network that averages the vectors of
words can't tell them apart; a network that also sees pairs of neighbouring words can. The reviews
are made here by a small grammar. Each has a word of praise, a word of blame, and a "not" before one
of the two words. The place of "not" decides the meaning.

`ngrams` is the scientific hyperparameter: words alone, or also pairs of neighbours. The first layer
of the model is `TextVectorization`, so the champion takes texts as they are. `adapted` learns the
layer's vocabulary from the training part alone. Words that are only in the validation part must be
unknown, like the new words that the model will meet in use.

`model.fit` trains these trials, because TensorFlow can't run whole epochs on texts in one compiled
call. See `ks.datasets.text` for texts in folders or in a table.

What was found: with pairs, several trials judge every validation review correctly. With words alone
the accuracy is 0.53, hardly more than by chance. With pairs it is better by 0.47 ± 0.008. No
learning rate and no size of the vectors replaces the order that the network can't see.

By plain Keras over five seeds, at a rate of 0.03: with pairs of words all reviews are judged
correctly, with words alone 0.523 ± 0.029 of them.
"""

import keras
import numpy as np

import kerastudy as ks

VOCABULARY = 500
THINGS = "film story cast music plot ending camera script hero scene".split()
GOOD = "good great lovely clever funny moving bright warm".split()
BAD = "bad poor dull silly boring weak cold flat".split()


def reviews(count):
    """Returns different reviews, and 1 for praise or 0 for blame."""
    random = np.random.default_rng(0)
    labels = {}
    while len(labels) < count:
        good, turned = random.integers(2), random.integers(2)
        words, others = (GOOD, BAD) if good else (BAD, GOOD)
        # The words are the same: only the place of "not" decides the meaning.
        pair = f"{random.choice(words)} not {random.choice(others)}"
        if turned:
            pair = f"not {random.choice(others)} {random.choice(words)}"
        first, second = random.choice(THINGS, 2, replace=False)
        # A dict has each review once: the same review in two parts would be a leak.
        labels[f"The {first} and the {second} were {pair}."] = int(good)
    return np.array(list(labels)), np.array(list(labels.values()))


x, y = reviews(900)
data = ks.datasets.arrays(x, y, name="made reviews", class_names=["blame", "praise"])
output = ks.outputs.binary()


def build(hp):
    """Returns a compiled network that takes texts."""
    vectorize = keras.layers.TextVectorization(
        max_tokens=VOCABULARY, ngrams=hp["ngrams"], output_sequence_length=24
    )
    # This learns the vocabulary from the training part. In cross-validation, each fold has its own
    # vocabulary.
    ks.preprocessing.adapted(vectorize, data)
    model = keras.Sequential(
        [
            keras.layers.Input((), dtype="string"),
            vectorize,
            keras.layers.Embedding(VOCABULARY, hp["size"]),
            keras.layers.GlobalAveragePooling1D(),
            output.layer(),
        ]
    )
    model.compile(keras.optimizers.Adam(hp["learning_rate"]), output.loss, metrics=output.metrics)
    return model


study = ks.Study(
    "text",
    data=data,
    build=build,
    space=ks.SearchSpace(
        ks.Choice("ngrams", [1, 2], role="scientific"),
        ks.Choice("size", [4, 8, 16]),
        ks.learning_rate(3e-3, 1e-1),
    ),
    objective="val_accuracy",
    trials=12,
    epochs=12,
    batch_size=64,
    engine="optuna:quasi-random",
    notes="Averaged vectors of words, and of pairs of words too, on made reviews.",
)

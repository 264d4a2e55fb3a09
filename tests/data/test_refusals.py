"""What data refuses: a table of Python expressions and the messages that they get."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.sparse import csr_matrix
from sklearn.preprocessing import StandardScaler

import kerastudy as ks

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) % 2
WEIGHTS = X[:, 0] ** 2
IMAGES = np.ones((60, 4, 4, 1))
KIND, GROUPS = np.repeat([0, 1, 2], [10, 20, 30]), np.repeat(np.arange(12), 5)
INPUTS, TARGETS = {"tabular": X, "image": IMAGES}, {"kind": KIND, "number": X[:, 0]}
FLAWED, SPARSE = X.copy(), csr_matrix(X)
FLAWED[4, 2], FLAWED[9, 0] = np.nan, np.inf
ABC, ACB = (pd.DataFrame(X, columns=list(names)) for names in ("abc", "acb"))
QUANTITIES = ks.datasets.arrays(X, X[:, 0], test=None)
SCALER, LAYERS = StandardScaler(), keras.layers
SOLD = pd.DataFrame(
    {
        "area": np.arange(100.0),
        "city": ["Oslo", None] * 50,
        "day": pd.date_range("2020-01-01", periods=100),
        "price": np.arange(100) / 3,
    }
)
GRADES = pd.DataFrame({"x": np.arange(60.0), "y": [0, 1, 2] * 20})
LISTS = pd.DataFrame({"x": np.arange(40.0), "c": [[1, 2]] * 40, "y": np.arange(40.0) / 3})
TEXTS = b"text,target\na,1\nb,\n"
ONCE = iter([(X, Y)] * 3)
slices = tf.data.Dataset.from_tensor_slices


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("the file's code was run",)


def load(x: Any = X, y: Any = Y, **options: Any) -> None:
    ks.datasets.arrays(x, y, **options).load()


def load_table(frame: pd.DataFrame = SOLD, target: str = "price", **options: Any) -> None:
    ks.datasets.table(frame, target=target, **options).load()


def load_file(content: bytes, ending: str = "csv") -> None:
    Path(f"t.{ending}").write_bytes(content)
    ks.datasets.table(f"t.{ending}", target="y").load()


def load_npz(y_train: Any = Y, damaged: slice = slice(0), **arrays: Any) -> None:
    arrays = arrays if y_train is None else {"y_train": y_train, **arrays}
    np.savez("a.npz", x_train=X, **arrays)
    content = bytearray(Path("a.npz").read_bytes())
    content[damaged] = bytes(len(content[damaged]))
    Path("a.npz").write_bytes(content)
    ks.datasets.npz("a.npz").load()


def file(name: str, content: bytes = b"\x89PNG s\xfc\xdf") -> Path:
    """Writes a file that is neither an image nor a text in UTF-8. Returns the working folder."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)
    return Path.cwd()


def folds(how: Any, **options: Any) -> None:
    """Loads the folds of data."""
    data = options.pop("data", None) or ks.datasets.arrays(X, **{"y": KIND, **options})
    study = ks.Study("folds", data=data, build=lambda hp: None, cross_validation=how)
    data.load_folds(study.cross_validation)


def validation() -> Iterator[Any]:
    yield X[:4], Y[:4]
    yield X[4:7], Y[4:7]


def load_batches(train: Any, **options: Any) -> None:
    ks.datasets.batches(train, validation, **options).load()


def in_tens() -> tf.data.Dataset:
    return slices((X, Y)).batch(10)


def of(*batches: Any) -> Any:
    """Returns a function that gives these batches."""
    return lambda: iter(batches)


def broken() -> Iterator[Any]:
    """Raises after the batches that Keras reads in advance."""
    yield from [(X, Y)] * 2
    raise ValueError("file 17 is broken")


def seeded(seed: int) -> Iterator[Any]:
    return validation()


def needs_a_folder(folder: str, seed: int) -> None:
    raise AssertionError("is not called")


# Options of arrays and of npz files, checked before any data is read.
OPTIONS = {
    "validation=0": "^validation must be a share between 0 and 1, a count.* Received: 0",
    "validation=1.0": "^validation must be a share between 0 and 1, a count.* Received: 1.0",
    "validation=-0.1": "^validation must be a share .* Received: -0.1",
    "validation=np.nan": "^validation must be a share .* Received: nan",
    "validation=True": "^validation must be a share .* Received: True",
    "validation='0.2'": "^validation must be a share .* Received: '0.2'",
    "validation=(X, Y, Y, Y, Y)": "^validation must be a share .* Received: an object of type",
    "test=False": "^test must be .*Received: False",
    "stratify=1": "^stratify must be .*True or False. Received: 1",
    "stratify='kind'": "^stratify must be .*True or False",
    "seed=2**32": "^seed must be .*a whole number from 0 to",
    "seed=None": "^seed must be .*Received: None",
    "preprocess='standardise'": "^preprocess must be .*Did you mean 'standardize'",
    "preprocess={'tabular': 'min-max'}": "^preprocess must be .*Did you mean 'minmax'",
    "preprocess={'tabular': len}": "^preprocess must be .*'minmax'. Received: the function len",
}
WEIGHT = {
    "WEIGHTS[:49]": r"has shape \(49,\). Pass a weight for each sample.*\(60,\)",
    "WEIGHTS[:, None]": r"has shape \(60, 1\)",
    "1.0": "must be an array with an entry for each sample",
    "-WEIGHTS": "holds negative weights, such as -",
    "np.where(Y, np.nan, WEIGHTS)": "holds 30 NaN",
    "np.zeros(60)": "is 0 for all 60 samples",
    "['heavy'] * 60": "has dtype <U5.*must hold numbers",
}

# Python, and a pattern of the message.
REFUSED = {
    **{f"arrays(X, Y, {option})": message for option, message in OPTIONS.items()},
    **{f"npz('none.npz', {option})": message for option, message in OPTIONS.items()},
    "arrays(X, Y, class_names=['a', 'a'])": "^class_names must be .*different names",
    "arrays(X, Y, class_names={'a', 'b'})": "^class_names must be .*a list of different names",
    "arrays(X, Y, class_names={0: 'a', 1: 'b'})": "^class_names must be a list of different",
    # Arrays
    "load(FLAWED)": r"x holds 2 NaN .*180.* \(4, 2\)",
    "load(y=np.where(np.arange(60) == 3, np.nan, Y))": "y holds 1 NaN or infinite .*at index 3",
    "load(y=Y[:49])": "x and y differ in length: 60 and 49",
    "load(X[:0], Y[:0])": r"x must be an array with an entry.* Received: \(0, 3\)",
    "load(X[:, :0])": r"Received: \(60, 0\)",
    "load(3.0)": "x must be an array with an entry for each sample",
    "load(y=np.ones(60, int))": "y holds one class only: 1, in all 60 samples",
    "load(y=np.eye(3)[np.full(60, 2)])": "y holds one class only: 2",
    "load(X[:2], [0.5, 1.5])": "test=0.2 of 2 samples is less than one sample",
    "load(y=np.array(['a', None] * 30))": "y holds texts, .* index 1 .*Received: None",
    "load(y=pd.Series([b'\\xff'] * 60))": "y holds texts, .*no text in UTF-8",
    "load(ABC.assign(b='c'))": "x has dtype object.*DataFrame.*every column num",
    "load(ABC.astype('Float64').replace(X[3, 0], pd.NA))": r"x holds 1 NaN .*at index \(3, 0\)",
    "load(SPARSE)": "x has dtype object .csr_matrix.*sparse matrices dense",
    "load([[1, 2], [3]], [0, 1])": "x can't be made an array",
    "load(X + 1j)": "x has dtype complex128",
    "load(y=np.full(60, '2020-01-01', 'datetime64[D]'))": r"y has dtype datetime64\[D\]",
    "load(X.astype(np.longdouble))": "x has dtype (float128|longdouble|float96)",
    "load(np.ma.masked_less(X, 0))": "x has masked values",
    "load({**INPUTS, 'image': IMAGES[:5]})": r"x\['image'\] and x\['tabular'\] differ in length",
    "load(INPUTS, {'kind': KIND[:5]})": r"x\['image'\] and y\['kind'\] differ in length",
    "load((X, IMAGES * np.nan))": r"x\[1\] holds 960 NaN",
    "load({'name': ['a', None] * 30})": r"x\['name'\] holds texts, but",
    "load({3: X})": "keys of x must be the names.* Received: .3.",
    "load({})": "keys of x must be the names",
    "load({'inner': INPUTS})": r"x\['inner'\] has dtype object",
    # Parts of arrays
    "load(validation=0.5, test=0.5)": "test=0.5 and validation=0.5 of 60 samples leave none",
    "load(validation=40, test=20)": "test=20 and validation=40 of 60 samples leave none",
    "load(validation=0.001, test=0)": "validation=0.001 of 60 samples is less than one",
    "load(validation=1)": "validation part can't be drawn with the classes of y .*stratify=Fals",
    "load(y=np.arange(60))": "test part can't be drawn .*quantities and not classes, pass",
    "load(y=X[:, 0], stratify=True)": "stratify=True needs one target that holds classes",
    "load(y=TARGETS, stratify=True)": "stratify=True needs one target",
    "load(validation=(X[:, :2], Y))": r"x of the ready-made validation part.*\(2,\).*\(3,\)",
    "load(test=(X, Y[:, None]))": r"y of the ready-made test part holds .*\(1,\).* but y",
    "load(INPUTS, validation=(IMAGES, Y))": "holds one array.* but x holds arrays named",
    "load(INPUTS, test=((X, IMAGES), Y))": "holds 2 arrays in a tuple",
    "load(test=(X, Y[1:]))": "ready-made test part differ in length: 60 and 59",
    "load(ABC, test=(ACB, Y))": r"has the columns \['a', 'c', 'b'\], but x has \['a', 'b', 'c'",
    "load(test=(X * np.nan, Y))": "x of the ready-made test part holds 180 NaN",
    "load(class_names=['a'])": "class_names has 1 name.* labels up to 1",
    "load(y=['a', 'b'] * 30, class_names=['a', 'b'])": "holds the names of the classes. Leave",
    # Sample weights
    **{
        f"load(sample_weight={code})": f"^sample_weight {message}"
        for code, message in WEIGHT.items()
    },
    **{
        f"load(validation=(X, Y, {code}))": "sample_weight of the ready-made val" for code in WEIGHT
    },
    "load(sample_weight=np.eye(60)[0])": "sample_weight of the .* part is 0 for all",
    "load(y=None, sample_weight=WEIGHTS)": "changes the loss of targets, but there are no targets",
    # Preprocessing
    "load(preprocess=SCALER)": "'minmax'. Received: an object of type Stan.*Normaliz.*ready-made",
    "load(np.array([['word']] * 60), preprocess='minmax')": "scales numbers, but x holds texts",
    "load({'a': X, 'b': X}, preprocess='minmax')": "x holds arrays named 'a', 'b'.*as dicts",
    "load((X, X), preprocess='minmax')": "for x, but x holds 2 arrays in a tuple",
    "load({'a': X}, preprocess={'tab': 'minmax'})": "for 'tab', but x holds arrays named 'a'",
    "load(preprocess={'a': 'minmax'})": "for 'a', but x holds one array",
    "load(X * 1e-10, preprocess='minmax', test=(X * 0 + 1e30, Y))": "x of the test part holds 180 ",
    "load(X * 1e300, preprocess='standardize')": "train part, rounded to float32, holds 108 NaN",
    "adapted(LAYERS.Dense(1), QUANTITIES)": "layer must be one with adapt",
    "adapted(LAYERS.Normalization(), arrays(INPUTS, Y))": "of must be one of .*'image', .*: None",
    # Data sets with a name, and npz files
    "digits(validation=2.0)": r"validation must be .* Received: 2\.0",
    "breast_cancer(validation=2.0)": r"validation must be .* Received: 2\.0",
    "diabetes(validation=2.0)": r"validation must be .* Received: 2\.0",
    "load_npz(x_test=X)": "holds x_test, but needs x_test and y_test",
    "load_npz(sample_weight_test=Y)": "holds sample_weight_test, but needs",
    "load_npz(x_test=X[:, :2], y_test=Y)": r"x_test holds .*\(2,\).* but x_train",
    "load_npz(sample_weight_train=Y[:3])": r"sample_weight_train has shape \(3,\)",
    "load_npz(np.array([Bomb()] * 60))": "y_train in .* can't be read: Object",
    "load_npz(damaged=slice(500, 520))": "x_train in .* can't be read",
    "load_npz(None, labels=Y)": r"lacks y_train.* Received: \['x_train', 'labels'\]",
    "np.save('x.npy', X) or npz('x.npy').load()": "is not an npz file",
    "npz(file('text.npz') / 'text.npz').load()": r"is not an npz file.*numpy\.savez",
    "npz('none.npz').load()": r"none\.npz' does not exist.*pass --data if it has moved",
    "npz('.').load()": "is a folder",
    **dict.fromkeys(
        ["npz(3)", "npz(None)", "npz('')", "npz(b'a')"], "path must be a str or a Path"
    ),
    # Folders and files of images and texts
    "images('nowhere').load()": "does not exist",
    "images(file('a/1.png') / 'a').load()": "no subfolders. Pass a folder with a subfolder for",
    "images(file('rose/notes.txt')).load()": "can't be read as images.* No images found",
    **{
        f"{code}, images('.').load()": "must be the parts train, validation and test, or"
        for code in (
            "file('val/a/1.png'), file('test/a/1.png')",
            "file('train/a/1.png'), file('val/a/1.png'), file('rose/a/1.png')",
            "file('train/a/1.png'), file('val/a/1.png'), file('valid/a/1.png')",
        )
    },
    "images(file('a/05.png')).load()": r"05\.png' can't be read as an image: [A-Z]",
    "images(file('a/05.png'), color_mode='grey').load()": "Received: color_mode=grey",
    "images('.', image_size=8)": "image_size must be height and width",
    "images('.', validation=2.5)": "a share between",
    "text('no.csv').load()": "does not exist",
    "text(file('a/1.txt')).load()": "no text in UTF-8",
    "text('.', text='a', target='a')": "Name two columns",
    # Tables, before the file is read
    "table('none.csv', target='')": "target must be the name",
    "table('none.csv', target=['a', 'b'])": r"Received: \['a', 'b'\]. For several targets, take",
    "table('none.csv', target='y', validation=2.5)": "Received: 2.5",
    "table('none.csv', target='y', test=([1], [2]))": "test must be a CSV or Parquet file",
    "table('none.csv', target='y', classes=1)": "classes must be",
    "table('none.csv', target='y', drop=[1])": "drop must be a list of texts",
    "table('none.csv', target='y', time=True)": "time must be False, or the name of another column",
    "table('none.csv', target='y', time='y')": "another column than the target",
    "table('none.csv', target='y', time='day', stratify=True)": "without stratify=True",
    # Tables
    "load_table(target='prize')": "no column 'prize'.*Did you mean 'price'",
    "load_table(drop=['nope'])": "no column 'nope' .drop",
    "load_table(categories='citi')": "no column 'citi' .categories.*'city'",
    "load_table(time='days')": "no column 'days' .time",
    "load_table(time='city')": "lacks the time 'city' in 50 of 100 rows",
    "load_table(SOLD.assign(city='a'), time='city')": "'city' .time.: it holds 'a', which can't",
    "load_table(SOLD[['day', 'price']])": "no column besides the target 'price' that a model can",
    "load_table(SOLD.assign(price=['a'] * 70 + ['b'] * 30))": "in time .time=False .*, of 'price'",
    "load_table(SOLD.assign(price=SOLD.day))": "target 'price' of The table must be numbers",
    "load_table(SOLD.assign(price='a'), classes=False)": "must be numbers. Received: 'str'",
    "load_table(SOLD.assign(price=np.inf))": "target 'price' of The table holds 100 NaN or inf",
    "load_table(SOLD.assign(price=''))": "lacks the target 'price' in 100 of 100 rows",
    "load_table(SOLD.rename(columns={'city': 3}))": "columns named 3, or one without a name",
    "load_table(SOLD, test=SOLD.drop(columns='area'))": "lacks columns: 'area'",
    "load_table(GRADES, 'y', test=GRADES.replace(2, 5))": "has classes that the training table",
    "load_table(GRADES, 'y', test=GRADES / 4)": "has classes that the training table lacks, such",
    "load_table(LISTS, 'c')": r"'c' must be one number or class.* Received: \[1, 2\]",
    "load_table(LISTS, 'y', drop=[], categories=['c'])": "'c' holds values such as lists",
    # Files of tables
    "load_file(b'')": r"t\.csv'.* it is empty",
    "load_file(b'a,y\\n')": r"t\.csv' has no rows",
    "load_file(b'y\\n1\\n2\\n')": r"t\.csv' .*no column besides the target 'y'",
    "load_file(b'a,a,y\\n1,2,3\\n')": r"t\.csv' .*several columns 'a'",
    "load_file(b'a,y\\n1,\\n2,\\n')": r"t\.csv' lacks the target 'y' in 2 of 2 rows, the first",
    "load_file(b'a,y\\n1,2\\n\\xf8,3\\n')": r"t\.csv' can't be read: .*Save it as UTF-8",
    "load_file('a,y\\n1,2\\n'.encode('utf-16'))": r"t\.csv' .*Save it as UTF-8",
    "load_file(b'a,y\\n1,2\\n1,2,3\\n')": r"t\.csv' .*Expected 2 fields in line 3, saw 3",
    "load_file(b'a,y\\n1,2,3\\n1,2,3\\n')": r"t\.csv' .*more values in a row than names in its",
    "load_file(b'a,y\\n1,\"2\\n1,2\\n')": r"t\.csv' .*EOF inside string starting at row 1",
    "table('t.csv', target='y').load()": r"t\.csv' does not exist",
    "load_file(b'', 'parquet')": r"t\.parquet' can't be read",
    "load_file(b'a,y\\n1,2\\n', 'parquet')": r"t\.parquet' can't be read",
    "text(file('t.csv', TEXTS) / 't.csv').load()": "lacks the target 'target' in 1 of 2 rows, .* 2",
    # Folds
    "folds(11, test=None)": "class of y has 10 samples, fewer than 11 folds.*stratify=False",
    "folds(70, data=QUANTITIES)": "The data has 60 samples, fewer than 70 folds",
    "folds(3, validation=(X, KIND))": "the data has a ready-made validation part",
    "folds(13, data=arrays(X, X[:, 0], groups=GROUPS, test=None))": "has 12 groups, fewer than 13",
    "folds(5, data=arrays(X, GROUPS > 8, groups=GROUPS, test=None))": "class of y has 3 groups",
    "folds(forward(3), data=arrays(X, KIND, groups=GROUPS, test=None))": "of the same groups",
    "folds(forward(3))": "would be earlier",
    "folds(forward(3, gap=50), test=None)": "can't be split by splits.forward",
    **dict.fromkeys(("forward(1)", "forward(2.0)", "forward(3, gap=-1)"), "must be .*Received"),
    # Groups
    "arrays(X, KIND, groups=GROUPS[1:]).load()": "groups of 59 samples, and there are 60",
    **{
        f"arrays(X[:3], KIND[:3], groups={wrapped}([*{others}, {missing}])).load()": (
            "no group for 1 sample.*sample 2, counted"
        )
        for wrapped in ("", "pd.Series")
        for others in ("['a', 'b']", "[1.0, 2.0]")
        for missing in ("None", "np.nan", "pd.NA")
    },
    **{
        f"arrays(X[:2], KIND[:2], groups={groups}).load()": "must be .*Received"
        for groups in ("[[1], [2]]", "3", "[['a', 'b'], ['c', None]]", "np.array([1, '1'], object)")
    },
    "arrays(X, KIND, groups=GROUPS * 0).load()": "1 group can't be split into several parts",
    "arrays(X, KIND, groups=GROUPS, test=(X, KIND)).load()": "The test samples have no groups",
    "arrays(X, KIND, test=(X, KIND, None, GROUPS)).load()": "training samples have no groups, but",
    "arrays(X, KIND, groups=GROUPS, test=(X[:9], KIND[:9], None, GROUPS[:9])).load()": (
        r"test part has 2 groups of the training samples, such as 0\. Leave"
    ),
    "arrays(X, KIND, groups=GROUPS, test=(X[:1], KIND[:1], None, ['a'])).load()": "others numbers",
    "load_table(groups='no')": r"no column 'no' \(groups\)",
    "load_table(groups='city')": "lacks the group 'city' in 50 of 100 rows, the first in row 2",
    "load_table(groups='price')": "groups must be the name of another column than the target",
    "load_table(groups='area', time='day')": "rows of a group may be before and after each other",
    "load_table(groups='area', test=SOLD)": "test part has 100 groups of the training samples",
    "load_table(groups='area', test=SOLD[['day', 'price']])": "no column 'area'",
    # Functions of batches
    "batches(validation(), validation)": "function.*generator.*pass make_batches, not make_",
    "batches(iter([(X, Y)]), validation)": "list_iterator. Each epoch calls the function",
    "batches((X, Y), validation)": "object of type tuple.*Arrays go to datasets.arrays",
    "batches(needs_a_folder, validation)": "missing a required argument: .folder.. It is",
    "batches(seeded, seeded)": "seeded, which can't be called: missing .*'seed'",
    **{
        f"batches(validation, validation, {name}={steps})": f"{name} must be a whole number.*Recei"
        for name in ("steps_per_epoch", "validation_steps")
        for steps in ("0", "True", "2.0", "'3'")
    },
    "load_batches(in_tens, steps_per_epoch=7)": "has 6 batches, but an epoch must read 7",
    # Batches
    "load_batches(of())": "training data can't be read: ValueError.*at least one batch",
    "load_batches(lambda: None)": "train must be a function that returns .* Received: None",
    "load_batches(lambda: (X, Y))": "Received: an object of type tuple",
    "load_batches(lambda: ONCE)": "Each call of the function returns a new iterable",
    "load_batches(of((X,)))": "The validation and the training data have unlike arrays",
    "load_batches(of((X, {'a': Y})))": "The validation and the training data have unlike arrays",
    "load_batches(of((X, X, X)))": r"targets=False .*samples alone.* targets=True",
    "load_batches(of((X, X, X, Y)))": r"must be \(x, y\).*4 entries.*targets=False",
    "load_batches(lambda: slices((X, Y)))": "arrays of batch 1.* one length.*axis counts samples",
    "load_batches(of(*zip(X, Y)))": "can't be read: .*whose first axis counts samples",
    "load_batches(of(([X, X], Y)))": "can't be read: .*several inputs are a tuple or a dict",
    "load_batches(of((X, Y[:5])))": r"arrays of batch 1.* one length.*'x': \(60, 3\), 'y': \(5,\)",
    "load_batches(of((X, Y), (X * np.nan, Y)))": "x of batch 2 of the training data holds 180 NaN",
    "load_batches(of((tf.ragged.constant([[1], [2]]), Y[:2])))": "x of batch 1.*Received:.*Ragg",
    "load_batches(lambda: in_tens().repeat())": "data has no end: pass steps_per_epoch",
    "load_batches(broken)": "read: InvalidArgumentError: ValueError: file 17 is broken",
    "load_batches(lambda: 1 / 0)": "training data can't be read: ZeroDivisionError",
}


@pytest.mark.parametrize(("code", "message"), REFUSED.items(), ids=lambda code: code[:60])
def test_python_is_refused(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_data = {name: getattr(ks.datasets, name) for name in dir(ks.datasets)}
    names = {
        **of_data,
        "forward": ks.splits.forward,
        "adapted": ks.preprocessing.adapted,
        **globals(),
    }
    with pytest.raises(ks.errors.DataError) as raised:
        eval(code, names)
    error = str(raised.value)
    assert re.search(message, error) and "\n" not in error, error

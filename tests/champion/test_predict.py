"""Samples in files are predicted by the registered model, as by Keras and by a server."""

import numpy as np
import pandas as pd
from kinds_study import Kinds
from user_commands import as_json

import kerastudy as ks

ROWS = pd.DataFrame({"size": [3.3e4, 2.6e4, 3.0e4], "age": [80, 3, 40]})


def test_a_table_is_predicted_as_by_keras(kinds: Kinds) -> None:
    model = ks.load_model("kinds", store=kinds.store)
    odds = model.predict(ROWS.to_numpy(), verbose=0)
    names = np.array(["=large", "small"])[odds.argmax(axis=1)]

    # The columns have another order, and there is one more.
    ROWS[["age", "size"]].assign(note="=1+1").to_csv(kinds.folder / "new.csv", index=False)
    printed = kinds.run("predict", "kinds", "--input", "new.csv", "--probabilities").stdout
    lines = [line.split(",") for line in printed.splitlines()]
    assert lines[0] == ["class", "probability_=large", "probability_small"]
    assert [line[0] for line in lines[1:]] == names.tolist()
    assert np.allclose(np.array([line[1:] for line in lines[1:]], float), odds, rtol=1e-5)

    document = as_json(kinds.run("predict", "kinds", "--input", "new.csv", "--json"))
    assert [row["class"] for row in document["predictions"]] == names.tolist()
    frame = ks.predict("kinds", kinds.folder / "new.csv", store=kinds.store)
    assert frame["class"].tolist() == names.tolist()

    # Other columns are kept as they are in the file, in place of identifiers.
    keep = ("--keep", "note", "--keep", "age", "--threshold", "0.5")
    kept = kinds.run("predict", "kinds", "--input", "new.csv", *keep).stdout
    assert kept.splitlines()[:2] == ["note,age,class", f"=1+1,80,{names[0]}"]

    # Other files.
    ROWS.to_parquet(kinds.folder / "new.parquet")
    np.savez(kinds.folder / "new.npz", x=ROWS.to_numpy())
    np.save(kinds.folder / "new.npy", ROWS.to_numpy())
    for kind in ("parquet", "npz", "npy"):
        more = ("--output", "out.csv", "--force", "--probabilities")
        answer = kinds.run("predict", "kinds", "--input", f"new.{kind}", *more)
        assert answer.stdout == "3 predictions in 'out.csv'\n"
        table = pd.read_csv(kinds.folder / "out.csv")
        assert np.allclose(table["probability_small"], odds[:, 1], rtol=1e-5)
        assert table["class"].tolist() == names.tolist()


def test_what_does_not_suit_the_model_is_refused_in_a_line(kinds: Kinds) -> None:
    folder = kinds.folder
    (folder / "few.csv").write_text("size,height\n1,2\n")
    (folder / "texts.csv").write_text("size,age\n1,old\n")
    (folder / "gaps.csv").write_text("size,age\n1,\n")
    np.save(folder / "wide.npy", np.zeros((2, 3)))
    np.save(folder / "one.npy", np.zeros(2))
    np.save(folder / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (folder / "cut.npz").write_bytes(b"PK\x03\x04 no archive")
    (folder / "some.txt").write_text("1")
    for name, message in (
        ("few.csv", "lacks columns: 'age'. The model takes the columns size and age."),
        ("texts.csv", "has texts in the columns age"),
        ("gaps.csv", "has empty cells"),
        ("wide.npy", "has samples of shape (3,). The model takes the columns size and age."),
        ("one.npy", "it is one sample, not an array of samples; make it x[None]"),
        ("pickled.npy", "allow_pickle"),
        ("cut.npz", "can't be read"),
        ("some.txt", "is no npz, npy, csv or parquet file"),
        ("missing.csv", "There is no file"),
        (".", "is no npz, npy, csv or parquet file"),
    ):
        failed = kinds.run("predict", "kinds", "--input", name, expect=2)
        assert message in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
    np.save(folder / "x.npy", np.ones((2, 2)))
    (folder / "x.csv").write_text("size,age,class\n1,2,small\n")
    for name, more, message in (
        ("x.npy", ("--keep", "id"), "'x.npy' lacks columns to keep: 'id'"),
        ("x.csv", ("--keep", "id"), "'x.csv' lacks columns to keep: 'id'"),
        ("x.csv", ("--keep", "class"), "'class' can't be kept: a column of predictions has this"),
        ("x.csv", ("--threshold", "20"), "left out, or a probability from 0 to 1 for a model of"),
    ):
        failed = kinds.run("predict", "kinds", "--input", name, *more, expect=2)
        assert message in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
    failed = kinds.run("predict", "kinds", "--input", "x.csv", "--output", "x.xls", expect=2)
    assert "that ends with .csv" in failed.stderr
    failed = kinds.run("predict", "kinds", "--input", "x.csv", "--output", "no/x.csv", expect=2)
    assert "no' to write 'x.csv' into" in failed.stderr
    failed = kinds.run("predict", "kinds", "--input", "few.csv", "--output", "few.csv", expect=2)
    assert "few.csv' exists. Name another file with --output, or replace it" in failed.stderr

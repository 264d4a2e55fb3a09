"""Parts and folds, judged by scikit-learn's own splitters and by counts."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection as sk
from sklearn.preprocessing import StandardScaler

import kerastudy as ks

arrays, DataError = ks.datasets.arrays, ks.errors.DataError
ALL_FOLDS = -1
COUNT = 60
X = np.arange(COUNT * 2, dtype="float32").reshape(COUNT, 2)
Y = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [30, 20, 10]))
GROUPS = np.repeat(np.arange(12), 5)
NO_TEST = arrays(X, Y, test=None)
seeds = st.integers(0, 2**32 - 1)


def rows(part: Any) -> list[int]:
    """Returns the numbers of a part's samples, which contain their numbers."""
    return [int(x) for x in np.asarray(part.x)[:, 0] / 2]


def folds_of(data: Any, how: Any, **options: Any) -> Any:
    study = ks.Study("folds", data=data, build=lambda hp: None, cross_validation=how)
    return data.load_folds(study.cross_validation, **options)


def parts_of(splits: Any) -> dict[str, Any]:
    parts = {"train": splits.train, "validation": splits.validation}
    return parts | ({"test": splits.unseal_test()} if "test" in splits.sizes else {})


# Parts


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 12), st.integers(6, 15), st.booleans())
def test_parts_are_those_of_scikit_learn(
    seed: int, test: int, validation: int, classes: bool
) -> None:
    y = Y if classes else Y / 7
    test = max(test, 3)
    data = arrays(X, y, sample_weight=Y + 1.0, test=test, validation=validation, seed=seed)
    parts = parts_of(data.load())
    rest, expected = np.arange(COUNT), {}
    for name, count in (("test", test), ("validation", validation)):
        strata = y[rest] if classes else None
        rest, expected[name] = sk.train_test_split(
            *(rest,), test_size=count, random_state=seed, stratify=strata
        )
    expected["train"] = rest
    for name, part in parts.items():
        assert np.array_equal(part.y, y[rows(part)])
        assert np.array_equal(part.sample_weight, Y[rows(part)] + 1.0)
        if all(len(set(Y[places])) == 3 for places in expected.values()) or not classes:
            assert rows(part) == expected[name].tolist()
    assert sorted(itertools.chain(*map(rows, parts.values()))) == list(range(COUNT))


@settings(max_examples=60, deadline=None)
@given(
    seeds,
    st.lists(st.integers(3, 90), min_size=2, max_size=4),
    st.sampled_from([0.05, 0.1, 0.2, 4, 7]),
    st.sampled_from([None, 0.05, 0.2, 4]),
)
def test_each_part_has_each_class_however_rare(
    seed: int, counts: list[int], validation: float | int, test: float | int | None
) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y) * 2.0).reshape(-1, 2)
    data = arrays(x, y, validation=validation, test=test, seed=seed)
    try:
        splits = data.load()
    except DataError as error:
        # Otherwise there is room for one sample of each class.
        assert any(words in str(error) for words in ("can't be drawn", "leave none", "less than"))
        return
    parts = parts_of(splits)
    assert all(set(part.y) == set(range(len(counts))) for part in parts.values())
    assert sorted(itertools.chain(*map(rows, parts.values()))) == list(range(len(y)))
    assert all((y[rows(part)] == part.y).all() for part in parts.values())
    sizes = {"validation": validation, "test": test or 0}
    for name, size in sizes.items():
        assert len(parts.get(name, ())) == (size if isinstance(size, int) else round(size * len(y)))
    assert arrays(x, y, validation=validation, test=test, seed=seed).load().digest == splits.digest


@pytest.mark.parametrize(
    "y",
    [
        *[Y, Y.astype(np.uint8), Y[:, None], np.eye(3)[Y], np.eye(3, dtype=np.int8)[Y]],
        *[Y > 1, (Y > 1).astype(np.float32), (Y > 1).astype(np.float64)[:, None]],
    ],
)
def test_classes_are_split_in_equal_proportions_however_written(y: np.ndarray) -> None:
    splits = arrays(X, y, validation=0.2, test=0.1).load()
    labels = Y if len(np.unique(y, axis=0)) == 3 else (Y > 1).astype(int)
    for part, share in zip(parts_of(splits).values(), (0.7, 0.2, 0.1), strict=True):
        assert np.bincount(labels[rows(part)]).tolist() == [*(np.bincount(labels) * share).round()]
        assert part.y.dtype == y.dtype


@pytest.mark.parametrize(
    "y",
    [
        *[Y / 7, np.stack([Y, Y], axis=1), np.where(Y > 1, 1, -1)],
        np.zeros((COUNT, 3, 2)) + np.arange(COUNT)[:, None, None],
    ],
)
def test_quantities_have_no_classes(y: np.ndarray) -> None:
    splits = arrays(X, y).load()
    assert splits.train.y.shape == (36, *y.shape[1:])


def test_stratify_false_draws_at_random_and_knows_the_classes_still() -> None:
    rare = np.r_[np.zeros(COUNT - 1, int), 1]
    class_counts = []
    for seed in range(10):
        data = arrays(X, rare, stratify=False, test=None, seed=seed)
        try:
            class_counts.append(len(np.unique(data.load().train.y)))
        except DataError as error:
            assert "training part of y holds one class only: 0" in str(error)
    assert set(class_counts) == {2}


# Folds


@pytest.mark.parametrize(
    ("how", "splitter", "y"),
    [
        (4, sk.StratifiedKFold(4, shuffle=True, random_state=0), Y),
        (4, sk.KFold(4, shuffle=True, random_state=0), Y / 7),
        (ks.splits.forward(4), sk.TimeSeriesSplit(4), Y / 7),
        (ks.splits.forward(3, gap=2), sk.TimeSeriesSplit(3, gap=2), Y / 7),
    ],
)
def test_folds_are_those_of_scikit_learn(how: Any, splitter: Any, y: np.ndarray) -> None:
    folds = folds_of(arrays(X, y, test=None), how)
    expected = [(a.tolist(), b.tolist()) for a, b in splitter.split(X, y, GROUPS)]
    splits = [folds.of(fold) for fold in range(folds.folds)]
    assert [(rows(split.train), rows(split.validation)) for split in splits] == expected
    for fold, (train, validation) in enumerate(expected):
        # The identity of a fold is that of these arrays.
        plain = arrays(X[train], y[train], validation=(X[validation], y[validation]), test=None)
        assert folds.details["folds"][fold]["digest"] == plain.load().digest == splits[fold].digest
    validated = {row for _, validation in expected for row in validation}
    assert folds.sizes == {"train": COUNT, "validation": len(validated)}


def test_all_but_the_test_part_is_split_and_the_test_part_stays_sealed() -> None:
    data = arrays(X, Y, validation=0.4, test=12)
    rest, test = sk.train_test_split(np.arange(COUNT), test_size=12, random_state=0, stratify=Y)
    folds = folds_of(data, 3)
    assert np.array_equal(folds.whole.unseal_test().x, X[test])
    assert np.array_equal(folds.whole.train.x, X[rest])
    assert folds.digests["test"] == data.load().digests["test"], "whatever the folds"
    for fold in range(3):
        assert "test" not in folds.of(fold).digests
        with pytest.raises(ks.errors.NoTestPartError):
            folds.of(fold).unseal_test()


def test_preprocessing_is_fitted_on_the_training_part_of_each_fold() -> None:
    scaled = folds_of(arrays(X, Y, test=9, preprocess="standardize"), 3)
    plain = folds_of(arrays(X, Y, test=9), 3)
    for fold in (0, 1, 2, ALL_FOLDS):
        raw = plain.of(fold)
        scaler = StandardScaler().fit(raw.train.x)
        for own, part in (
            (scaled.of(fold).train, raw.train),
            (scaled.of(fold).validation, raw.validation),
        ):
            np.testing.assert_allclose(own.x, scaler.transform(part.x), atol=1e-6)
    test = scaler.transform(plain.whole.unseal_test().x)
    np.testing.assert_allclose(scaled.whole.unseal_test().x, test, atol=1e-6)


def test_processes_share_the_files_of_folds(tmp_path: Path) -> None:
    alone = folds_of(NO_TEST, 3)
    first, second = (folds_of(NO_TEST, 3, folder=tmp_path) for _ in range(2))
    described = [(data.digest, data.sizes, data.describe()) for data in (first, second, alone)]
    assert described[0] == described[1] == described[2]
    for fold in (0, 1, 2, ALL_FOLDS):
        array = second.of(fold).train.x
        assert isinstance(array, np.memmap) and Path(str(array.filename)).is_relative_to(tmp_path)
        assert second.of(fold).digest == alone.of(fold).digest


# Samples that depend on each other


def grouping(groups: np.ndarray | None, count: int) -> set[frozenset[int]]:
    """Returns the places of the samples of each group. Independent samples are groups of one."""
    codes = range(count) if groups is None else groups.tolist()
    places: dict[int, set[int]] = {}
    for place, code in enumerate(codes):
        places.setdefault(code, set()).add(place)
    return {frozenset(group) for group in places.values()}


@settings(max_examples=40, deadline=None)
@given(
    seeds,
    st.lists(st.integers(1, 30), min_size=6, max_size=40),
    st.sampled_from([0.1, 0.2, 0.25, 0.34, 7]),
    st.sampled_from(["numbers", "texts"]),
    st.sampled_from([None, 2, 3]),
)
def test_a_group_is_whole_in_one_part(
    seed: int, sizes: list[int], share: float | int, kind: str, classes: int | None
) -> None:
    random = np.random.default_rng(seed)
    groups = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    x, y = np.arange(len(groups) * 2.0).reshape(-1, 2), random.random(len(groups))
    if classes is not None:
        y = groups % classes
    names = np.array([f"patient {group}" for group in groups]) if kind == "texts" else groups
    try:
        data = arrays(x, y, groups=names, validation=share, test=share, seed=seed)
        parts = parts_of(data.load())
    except DataError as error:
        assert any(words in str(error) for words in ("can't be", "leave none", "one class only"))
        return
    assert sorted(itertools.chain(*map(rows, parts.values()))) == list(range(len(groups)))
    for one, other in itertools.combinations(parts.values(), 2):
        assert not {*groups[rows(one)]} & {*groups[rows(other)]}
    for part in parts.values():
        assert grouping(part.groups, len(part)) == grouping(groups[rows(part)], len(part))
    again = arrays(x, y, groups=names, validation=share, test=share, seed=seed).load()
    assert again.digest == data.load().digest


def test_sizes_and_classes_are_met_as_nearly_as_groups_allow() -> None:
    random = np.random.default_rng(3)
    sizes = random.integers(2, 31, 600)
    groups = np.repeat(np.arange(600), sizes)
    y = (random.random(len(groups)) < random.beta(0.2, 1.8, 600)[groups]).astype(int)
    data = arrays(np.arange(len(groups) * 2.0).reshape(-1, 2), y, groups=groups, test=0.15).load()
    assert data.warnings == []
    for part, share in zip(parts_of(data).values(), (0.65, 0.2, 0.15), strict=True):
        assert abs(len(part) / len(groups) - share) < 0.01
        assert abs(part.y.mean() - y.mean()) < 0.01


def test_a_size_that_groups_do_not_allow_is_told() -> None:
    sizes = [40, *[4] * 5]
    groups = np.repeat(np.arange(6), sizes)
    data = arrays(np.zeros((60, 2)), np.arange(60.0), groups=groups, test=None, validation=0.5)
    (remark,) = data.load().warnings
    assert "part has" in remark and "30 were asked for" in remark and "largest has 40" in remark


@pytest.mark.parametrize("y", [Y, Y / 7])
def test_folds_are_of_whole_groups(y: np.ndarray) -> None:
    folds = folds_of(arrays(X, y, groups=GROUPS, test=0.25), 3)
    test = rows(folds.whole.unseal_test())
    assert len({*GROUPS[test]}) == 3 and len(test) == 15
    seen: list[int] = []
    for fold in range(3):
        splits = folds.of(fold)
        train, validation = rows(splits.train), rows(splits.validation)
        assert not {*GROUPS[train]} & {*GROUPS[validation]}
        assert sorted([*train, *validation, *test]) == list(range(COUNT))
        assert len(validation) == 15
        assert grouping(splits.validation.groups, 15) == grouping(GROUPS[validation], 15)
        seen += validation
    assert sorted([*seen, *test]) == list(range(COUNT))


def test_ready_made_parts_bring_their_groups(tmp_path: Path) -> None:
    parts = {"train": np.arange(30), "validation": np.arange(30, 45), "test": np.arange(45, 60)}
    ready = {name: (X[at], Y[at], None, GROUPS[at]) for name, at in parts.items()}
    (x, y, _, groups), validation, test = ready.values()
    in_memory = arrays(x, y, groups=groups, validation=validation, test=test).load()
    named = {
        f"{array}_{part}": values[place]
        for part, values in ready.items()
        for array, place in (("x", 0), ("y", 1), ("groups", 3))
    }
    np.savez(tmp_path / "parts.npz", **named)
    in_file = ks.datasets.npz(tmp_path / "parts.npz").load()
    for splits in (in_memory, in_file):
        for name, part in parts_of(splits).items():
            at = parts[name]
            assert rows(part) == at.tolist()
            assert grouping(part.groups, len(part)) == grouping(GROUPS[at], len(part))


def test_copies_in_different_groups_stay_independent() -> None:
    # Sample 30 is a copy of sample 0, and so on. Groups are of two neighbours.
    x, y, groups = np.tile(X[:30], (2, 1)), np.tile(Y[:30] / 7, 2), np.arange(60) // 2
    part = arrays(x, y, groups=groups, validation=(x, y, None, groups + 30), test=None).load()
    assert grouping(part.validation.groups, 60) == grouping(groups, 60)


def test_copies_in_several_folds_are_one_group() -> None:
    x, y = np.random.default_rng(2).normal(size=(20, 3)).astype("float32"), np.arange(20) % 2
    data = arrays(np.tile(x, (4, 1)), np.tile(y, 4), test=None)
    folds = folds_of(data, 4)
    codes: dict[bytes, set[int]] = {}
    for part in (folds.of(fold).validation for fold in range(4)):
        for row, code in zip(np.asarray(part.x), np.asarray(part.groups), strict=True):
            codes.setdefault(row.tobytes(), set()).add(int(code))
    assert [len(groups) for groups in codes.values()] == [1] * 20


@pytest.mark.parametrize("kind", ["numbers", "one column", "texts", "several inputs"])
def test_copies_of_a_sample_are_a_group(kind: str) -> None:
    random = np.random.default_rng(0)
    once: Any = random.normal(size=(30, 1 if kind == "one column" else 4)).astype("float32")
    if kind == "texts":
        once = np.array([f"the text of number {row}" for row in range(30)], dtype=object)
    order = random.permutation(90) % 30
    x, y = once[order], np.arange(30)[order] % 2
    samples: Any = {"one": x, "other": order * 1.0} if kind == "several inputs" else x

    def groups_of(targets: np.ndarray) -> set[frozenset[int]]:
        weights = random.random(90)
        parts = (samples, targets, weights)
        splits = arrays(samples, targets, sample_weight=weights, validation=parts, test=None).load()
        return grouping(splits.validation.groups, 90)

    assert groups_of(y) == {frozenset(np.flatnonzero(order == row).tolist()) for row in range(30)}
    # A copy with another target is another sample.
    first = int(np.flatnonzero(order == 0)[0])
    y[first] = 1 - y[first]
    assert frozenset([first]) in groups_of(y)


@pytest.mark.parametrize("kind", ["numbers", "texts", "one-hot", "age and sex"])
def test_rows_that_repeat_by_chance_are_no_copies(kind: str) -> None:
    random = np.random.default_rng(2)
    x: Any = random.integers(0, 2, (600, 8))
    if kind == "texts":
        x = np.array(["no", "yes"], dtype=object)[x]
    elif kind == "one-hot":
        x = np.concatenate([x, 1 - x], axis=1)
    elif kind == "age and sex":
        # 600 people have few other combinations.
        x = np.stack([random.integers(20, 60, 600), x[:, 0]], axis=1)
    y = random.integers(0, 2, 600)
    assert arrays(x, y, validation=(x, y), test=None).load().validation.groups is None

"""Whether parts come from the same distribution, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tracking.records.data_findings import DataFinding, Distribution, PartsCompared

_CLEAR = 0.01
_EASY = 0.6
_REMEDY = (
    "Shuffle before splitting, or collect data that is like what the model will meet. Only where "
    "the later part comes later in time is it to be expected."
)


def shifts(
    parts: Sequence[PartsCompared], targets: Sequence[Distribution]
) -> Iterator[DataFinding]:
    """Yields what the two-sample tests found; see `same_distribution`."""
    for each in parts:
        pair = f"{'training' if each.first == 'train' else each.first} and {each.second}"
        right = f"{100 * each.accuracy:.0f} %"
        if each.p > _CLEAR:
            yield DataFinding(
                "same distribution",
                "ok",
                f"The {pair} samples look alike",
                f"A classifier that guesses which part a sample is from is right in {right} of "
                f"{2 * each.samples:,} cases, no better than chance ({_p(each.p)}).",
            )
            continue
        columns = f" They differ most in {', '.join(each.columns)}." if each.columns else ""
        yield DataFinding(
            "same distribution",
            "problem" if each.accuracy >= _EASY else "hint",
            f"The {pair} samples are not from the same distribution",
            f"A classifier tells {pair} samples apart in {right} of {2 * each.samples:,} cases, "
            f"where 50 % is chance ({_p(each.p)}): values on one say little of the other.{columns}",
            _REMEDY,
        )
    for target in targets:
        p = _target_p(target) if parts else None
        if p is not None and p <= _CLEAR:
            yield DataFinding(
                "same distribution",
                "hint",
                "The targets differ between training and validation",
                f"{target.name} is distributed differently in the two parts ({_p(p)}).",
                "Split with stratify=True, unless the later part comes later in time."
                if target.kind == "classes"
                else _REMEDY,
            )


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _target_p(target: Distribution) -> float | None:
    """Returns the p-value of a chi-squared test that the bars of two parts are alike."""
    if not {"train", "validation"} <= set(target.bars):
        return None
    from scipy.stats import chi2_contingency

    bars = np.array([target.bars["train"], target.bars["validation"]])
    # Bins with few samples are put together, as the test needs five.
    order = np.argsort(-bars.sum(axis=0), kind="stable")
    bars = bars[:, order]
    enough = bars[1] + bars[0] * bars[1].sum() / max(bars[0].sum(), 1) >= 10
    kept = np.concatenate([bars[:, enough], bars[:, ~enough].sum(axis=1, keepdims=True)], axis=1)
    kept = kept[:, kept.sum(axis=0) > 0]
    if kept.shape[1] < 2 or not kept.sum(axis=1).all():
        return None
    return float(chi2_contingency(kept).pvalue)

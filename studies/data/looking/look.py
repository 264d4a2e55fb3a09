"""What is known of a study's data: all checks together, or the quick ones."""

from __future__ import annotations

import math

from studies.data.folds.folded_splits import FoldedSplits
from studies.data.looking.distributions import MOST_COLUMNS, column_names, columns_of, targets_of
from studies.data.looking.judging import judged
from studies.data.looking.pictures import picture_of
from studies.data.looking.repeats import repeats_of
from studies.data.looking.seen import Seen, seen_of
from studies.data.parts.splits import Splits
from studies.data.streams.streamed_dataset import StreamedSplits
from tracking.records.data_findings import ConstantGuess, DataFindings, Repeated

_QUICK_BYTES = 64 * 2**20


def look_at(splits: Splits | StreamedSplits | FoldedSplits, name: str) -> DataFindings:
    """Looks at a study's data in full. It takes some seconds, whatever the size of the data.

    Args:
        splits: The data. Of a test part only the inputs are looked at.
        name: Its name.

    Raises:
        DataError: If data in batches can't be read.
    """
    seen = seen_of(splits)
    return _looked(seen, splits, name, thorough=True)


def glance_at(splits: Splits | StreamedSplits | FoldedSplits, name: str) -> DataFindings | None:
    """Looks at a study's data as far as that takes a few hundredths of a second.

    Returns:
        What was found; None if nothing can be said as quickly: of data in batches.
    """
    if isinstance(splits, StreamedSplits):
        return None
    return _looked(seen_of(splits, by_column=False), splits, name, thorough=False)


def guess_on(splits: Splits | StreamedSplits) -> ConstantGuess | None:
    """Returns the most frequent class of the validation samples, or of what stands for them."""
    if isinstance(splits, StreamedSplits):
        return None
    targets = list(targets_of(seen_of(splits, by_column=False)))
    return targets[0].guess("validation") if len(targets) == 1 else None


def _looked(
    seen: Seen, splits: Splits | StreamedSplits | FoldedSplits, name: str, *, thorough: bool
) -> DataFindings:
    from studies.data.looking.features import compared

    notes = list(seen.notes)
    repeated: tuple[Repeated, ...] = ()
    contradicted = 0
    if thorough or seen.bytes <= _QUICK_BYTES:
        repeated, contradicted = repeats_of(seen)
    targets = tuple(targets_of(seen))
    columns = tuple(columns_of(seen)) if thorough else ()
    parts = compared(seen) if thorough else ()
    picture, labels = picture_of(seen)
    if thorough:
        notes += _unseen(seen)
    names = targets[0].labels if len(targets) == 1 and targets[0].kind == "classes" else ()
    facts = splits.facts if isinstance(splits, FoldedSplits) else splits
    return DataFindings(
        data=name,
        digest=facts.digest,
        sizes=dict(seen.sizes),
        inputs=_inputs(seen),
        targets=targets,
        columns=columns,
        repeated=repeated,
        compared=parts,
        findings=judged(seen, repeated, contradicted, targets, columns, parts),
        notes=tuple(notes),
        thorough=thorough,
        picture=picture,
        picture_rows=names[: len(labels)],
    )


def _inputs(seen: Seen) -> dict[str, str]:
    if seen.table:
        columns = len(seen.x["train"])
        what = f"a table of {columns:,} column{'' if columns == 1 else 's'}"
        return {"x": what, **(seen.given.table.treatments if seen.given.table else {})}
    found = {}
    for name, kind in seen.kinds().items():
        array = seen.x["train"][name]
        sample = array.shape[1:]
        shape = " × ".join(map(str, sample)) or "one value"
        if kind == "columns":
            columns = sample[0] if sample else 1
            found[name] = f"{columns:,} column{'' if columns == 1 else 's'}, {array.dtype}"
        elif kind == "texts":
            found[name] = "texts"
        else:
            side = math.isqrt(sample[0]) if len(sample) == 1 else 0
            flat = f"{side} × {side}, as rows of " if side else ""
            found[name] = f"{kind} of {flat}{shape}, {array.dtype}"
    return found


def _unseen(seen: Seen) -> list[str]:
    """Returns what was not looked at."""
    found = []
    for name, kind in seen.kinds().items():
        columns = len(column_names(seen, name)) if kind == "columns" else 0
        if columns > MOST_COLUMNS:
            found.append(f"Of the {columns:,} columns of {name}, the first {MOST_COLUMNS}.")
    if "validation" not in seen.x:
        found.append("There is no validation part to compare with.")
    if "test" in seen.x:
        found.append("Of the test part the inputs alone: its targets stay sealed.")
    return found

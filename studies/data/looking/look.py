"""What is known of a study's data: all checks together, or the quick ones."""

from __future__ import annotations

from studies.data.folds.folded_splits import FoldedSplits
from studies.data.looking.checks import (
    changed_parts,
    class_findings,
    column_findings,
    repeats,
)
from studies.data.looking.seen import Seen, class_counts, inputs_of, picture_of, seen_of
from studies.data.protocol import LoadedData
from tracking.records.data_findings import (
    DATA_SEVERITIES,
    ConstantGuess,
    DataFindings,
    most_frequent,
)

_QUICK_BYTES = 64 * 2**20


def look_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings:
    """Looks at a study's data in full. It takes some seconds, whatever the size of the data.

    Args:
        splits: The data. Of a test part only the inputs are looked at.
        name: Its name.

    Raises:
        DataError: If data in batches can't be read.
    """
    return _looked(seen_of(splits), splits, name, thorough=True)


def glance_at(splits: LoadedData | FoldedSplits, name: str) -> DataFindings | None:
    """Looks at a study's data as far as that takes a few hundredths of a second.

    Returns:
        What was found; None if nothing can be said as quickly: of data in batches.
    """
    if splits.streams:
        return None
    return _looked(seen_of(splits), splits, name, thorough=False)


def guess_on(splits: LoadedData) -> ConstantGuess | None:
    """Returns the most frequent class of the validation samples, or of what stands for them."""
    if splits.streams:
        return None
    return most_frequent(class_counts(seen_of(splits)), "validation")


def _looked(
    seen: Seen, splits: LoadedData | FoldedSplits, name: str, *, thorough: bool
) -> DataFindings:
    classes = class_counts(seen)
    found = list(class_findings(classes))
    if thorough or seen.bytes <= _QUICK_BYTES:
        found += repeats(seen)
    notes = list(seen.notes)
    if thorough:
        found += [*column_findings(seen), *changed_parts(seen)]
        if "test" in seen.x:
            notes.append("Of the test part the inputs alone: its targets stay sealed.")
    picture, rows = picture_of(seen, classes)
    return DataFindings(
        data=name,
        digest=splits.digest,
        sizes=dict(seen.sizes),
        inputs=inputs_of(seen),
        classes=classes,
        findings=tuple(sorted(found, key=lambda each: DATA_SEVERITIES.index(each.severity))),
        notes=" ".join(notes),
        thorough=thorough,
        picture=picture,
        picture_rows=rows,
    )

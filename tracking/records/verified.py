"""What a record says of a trial that was trained once more, by plain `model.fit`.

The text of the tag ``kerastudy.verified``, on the trial's run and on a registered model's version:

| text | says |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in the first 3 of 20 epochs`` | so far as was compared |
| ``model.fit, trained by it`` | there is no second road: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | likewise: a HyperModel's own `fit` did |
| ``model.fit, differs: …`` | where: what is recorded is not what Keras by itself comes to |
| ``model.fit, not comparable: …`` | it differs, and so does what both depend on: code, versions |
| ``model.fit, not run: …`` | it could not be trained again, for another reason |
| ``off`` | nobody compared |
"""

from __future__ import annotations

OFF = "off"
IDENTICAL = "model.fit, identical"
TRAINED_BY_FIT = "model.fit, trained by it"
TRAINED_BY_OWN_FIT = "a fit of its own, trained by it"

DIFFERS = "model.fit, differs: "
_NOT_COMPARABLE = "model.fit, not comparable: "
_NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Says that a trial is the same in the first so many of its epochs, or in all."""
    if compared >= epochs:
        return IDENTICAL
    return f"{IDENTICAL} in the first {compared} of {epochs} epochs"


def differing(where: str) -> str:
    """Says that a trial is not what `model.fit` comes to."""
    return DIFFERS + where


def not_comparable(why: str) -> str:
    """Says that a trial differs, which says nothing, as what it depends on differs too."""
    return _NOT_COMPARABLE + why


def not_run(why: str) -> str:
    """Says that a trial could not be trained again."""
    return _NOT_RUN + why


def differs(text: str) -> bool:
    """Tells whether a trial is not what `model.fit` comes to."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Tells whether all of a trial is what `model.fit` comes to."""
    return text in (IDENTICAL, TRAINED_BY_FIT, TRAINED_BY_OWN_FIT)


def is_partial(text: str) -> bool:
    """Tells whether the first epochs of a trial are what `model.fit` comes to."""
    return text.startswith(IDENTICAL) and not is_whole(text)

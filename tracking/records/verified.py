"""The outcome of training a trial once more, by plain `model.fit`.

The text of the tag ``kerastudy.verified``, on the trial's run and on a registered model's version:

| text | says |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in epochs 1 to 3 of 20`` | the rest was not compared |
| ``model.fit, trained by it`` | nothing to compare: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | likewise: a HyperModel's own `fit` did |
| ``an objective function, trained by it`` | likewise: an objective function did |
| ``model.fit, differs: …`` | plain Keras gets another result than the recorded one |
| ``model.fit, not comparable: …`` | it differs, but so do code or versions |
| ``model.fit, not run: …`` | it could not be trained again, for another reason |
| ``off`` | not compared |
| ``reproduced bit for bit by model.fit, all 6 epochs, on …`` | by `kerastudy reproduce` |
| ``not reproduced on …: …`` | likewise; it is not the compiled trainer's fault, or need not be |

A later outcome replaces an earlier one; a difference under other code, data or versions does so
only if no comparison is known.
"""

from __future__ import annotations

OFF = "off"
IDENTICAL = "model.fit, identical"
TRAINED_BY_FIT = "model.fit, trained by it"
TRAINED_BY_OWN_FIT = "a fit of its own, trained by it"
TRAINED_BY_OBJECTIVE = "an objective function, trained by it"
TRAINED_BY_ITSELF = (TRAINED_BY_FIT, TRAINED_BY_OWN_FIT, TRAINED_BY_OBJECTIVE)
"""Texts of trials that the code itself trained that would train them again."""

DIFFERS = "model.fit, differs: "
REPRODUCED = "reproduced bit for bit"
_NOT_REPRODUCED = "not reproduced on "
_NOT_COMPARABLE = "model.fit, not comparable: "
_NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Returns the text for a trial that is identical in its first epochs, or in all."""
    if compared >= epochs:
        return IDENTICAL
    named = "epoch 1" if compared == 1 else f"epochs 1 to {compared}"
    return f"{IDENTICAL} in {named} of {epochs}"


def differing(where: str) -> str:
    """Returns the text for a trial that `model.fit` contradicts."""
    return DIFFERS + where


def not_comparable(why: str) -> str:
    """Returns the text for a trial that differs, but so does what it depends on."""
    return _NOT_COMPARABLE + why


def not_run(why: str) -> str:
    """Returns the text for a trial that could not be trained again."""
    return _NOT_RUN + why


def reproduced(by: str, epochs: int, day: str) -> str:
    """Returns the text for a trial that was reproduced."""
    which = "its only epoch" if epochs == 1 else f"all {epochs} epochs"
    return f"{REPRODUCED} by {by}, {which}, on {day}"


def not_reproduced(why: str, day: str) -> str:
    """Returns the text for a trial that was not reproduced."""
    return f"{_NOT_REPRODUCED}{day}: {why}"


def is_reproduction(text: str) -> bool:
    """Returns whether a text is the outcome of `kerastudy reproduce`, whatever that is."""
    return text.startswith((REPRODUCED, _NOT_REPRODUCED))


def differs(text: str) -> bool:
    """Returns whether `model.fit` contradicts a trial."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Returns whether `model.fit` verified all of a trial."""
    return text in (IDENTICAL, *TRAINED_BY_ITSELF) or text.startswith(REPRODUCED)


def is_known(text: str) -> bool:
    """Returns whether a trial was compared under equal conditions, at least its first epochs."""
    return is_whole(text) or is_partial(text) or differs(text)


def is_partial(text: str) -> bool:
    """Returns whether `model.fit` verified the first epochs of a trial."""
    return text.startswith(IDENTICAL) and not is_whole(text)

"""The texts of `TrialRecord.verified`, which say whether plain `model.fit` gives the same result.

kerastudy trains trials a second time, by plain `model.fit`. `verified` has the outcome:

| text | meaning |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in epochs 1 to 3 of 20`` | the other epochs were not compared |
| ``model.fit, trained by it`` | not compared: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | not compared: a HyperModel's own `fit` trained the trial |
| ``an objective function, trained by it`` | not compared: an objective function trained the trial |
| ``model.fit, differs: …`` | plain `model.fit` gives another result |
| ``model.fit, not comparable: …`` | the result differs, and so do code, data or versions |
| ``model.fit, not run: …`` | the trial could not be trained again |
| ``off`` | not compared |
| ``reproduced bit for bit by model.fit, all 6 epochs, on …`` | `kerastudy reproduce` succeeded |
| ``not reproduced on …: …`` | `kerastudy reproduce` failed |

A later outcome replaces an earlier one. There is one exception: if a trial was compared under the
same code, data and versions, a later difference under other code, data or versions is not recorded.
"""

from __future__ import annotations

OFF = "off"
IDENTICAL = "model.fit, identical"
TRAINED_BY_FIT = "model.fit, trained by it"
TRAINED_BY_OWN_FIT = "a fit of its own, trained by it"
TRAINED_BY_OBJECTIVE = "an objective function, trained by it"
TRAINED_BY_ITSELF = (TRAINED_BY_FIT, TRAINED_BY_OWN_FIT, TRAINED_BY_OBJECTIVE)
"""The texts of trials that are not compared, because the same code would only run a second time."""

DIFFERS = "model.fit, differs: "
REPRODUCED = "reproduced bit for bit"
_NOT_REPRODUCED = "not reproduced on "
NOT_COMPARABLE = "model.fit, not comparable: "
NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Returns the text for a trial whose first `compared` epochs are identical."""
    if compared >= epochs:
        return IDENTICAL
    named = "epoch 1" if compared == 1 else f"epochs 1 to {compared}"
    return f"{IDENTICAL} in {named} of {epochs}"


def reproduced(by: str, epochs: int, day: str) -> str:
    """Returns the text for a trial that was reproduced."""
    which = f"all {epochs} epochs" if epochs > 1 else "its only epoch" if epochs else "its value"
    return f"{REPRODUCED} by {by}, {which}, on {day}"


def not_reproduced(why: str, day: str) -> str:
    """Returns the text for a trial that was not reproduced."""
    return f"{_NOT_REPRODUCED}{day}: {why}"


def is_reproduction(text: str) -> bool:
    """Returns whether a text is an outcome of `kerastudy reproduce`."""
    return text.startswith((REPRODUCED, _NOT_REPRODUCED))


def differs(text: str) -> bool:
    """Returns whether `model.fit` gave another result than the recorded one."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Returns whether all epochs of a trial are verified, or need no comparison."""
    return text in (IDENTICAL, *TRAINED_BY_ITSELF) or text.startswith(REPRODUCED)


def is_known(text: str) -> bool:
    """Returns whether a comparison under equal code, data and versions was made, or is not needed.

    A comparison of the first epochs is enough.
    """
    return is_whole(text) or is_partial(text) or differs(text)


def is_partial(text: str) -> bool:
    """Returns whether only the first epochs of a trial are verified."""
    return text.startswith(IDENTICAL) and not is_whole(text)


def in_words(text: str) -> str:
    """Returns the sentence that reports and the command line show for a text of this module."""
    if text in ("", OFF):
        return "not compared with a training by plain Keras (model.fit)"
    by_itself = {
        TRAINED_BY_FIT: "plain Keras (model.fit)",
        TRAINED_BY_OWN_FIT: "the model's own fit method",
        TRAINED_BY_OBJECTIVE: "your objective function",
    }
    if text in by_itself:
        return f"no second training to compare: {by_itself[text]} trained it"
    outcome = text.removeprefix("model.fit, ")
    return text if outcome == text else f"second training, by plain Keras (model.fit): {outcome}"

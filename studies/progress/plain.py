"""What happens in a study, for whatever shows it; plain lines, for logs, pipes and notebooks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from typing import Final

from search_spaces.texts import counted
from studies.lines import COLUMNS, printable, width, without_colors, wrapped
from tracking.records import EpochResult, Objective, StudyDescription, TrialResult, TrialSpec


class Progress:
    """Gets the events of a study; this class shows nothing."""

    def begin(
        self,
        description: StudyDescription,
        done: int,
        total: int,
        best: tuple[int, float] | None = None,
    ) -> None:
        """The study begins, or resumes with ``done`` trials and this best one."""

    def begin_trainings(self, title: str, objective: Objective, done: int, total: int) -> None:
        """Trainings begin that are no trials."""

    def trial_begins(self, spec: TrialSpec, name: str = "") -> None:
        """A trial, or one of its repeats, begins; or a training that has another name."""

    def epoch_ended(self, epoch: EpochResult, compared: str | None = None) -> None:
        """An epoch ended.

        ``compared`` says how it differs from the recorded one in a rerun: empty if it is
        identical; None if it is not compared.
        """

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """A trial ended; ``best`` is the number and value of the best one so far."""

    def trial_gone(self, number: int) -> None:
        """A trial runs no longer, but has not ended: it was run again, or will be."""

    def say(self, text: str) -> None:
        """A message for the user."""

    def say_all(self, texts: Iterable[str]) -> None:
        """Several messages."""
        for text in texts:
            self.say(text)

    def wait(self, what: str) -> None:
        """What the user waits for now, until the study begins or ends."""

    def end(self) -> None:
        """The study ended, or was stopped."""


class NoProgress(Progress):
    """Shows nothing."""


# A closed terminal or a pipe without a reader must not end a study; nor must a signal in the middle
# of a line, whose handler can't write.
UNWRITABLE: Final = (OSError, ValueError, RuntimeError)


# A trial, the count, its outcome.
_NEEDED = 3


class LineProgress(Progress):
    """A line for each trial, on standard error: standard output is for results."""

    def __init__(self) -> None:
        self._objective = Objective("", "max")
        self._total = self._done = self._here = 0
        self._best: tuple[int, float] | None = None
        # The epochs that each trial was to have.
        self._epochs: dict[int, int] = {}
        # Those of trainings that are no trials.
        self._names: dict[int, str] = {}
        # When the first trial began, and the last one ended.
        self._started = self._ended = time.monotonic()

    def begin(
        self,
        description: StudyDescription,
        done: int,
        total: int,
        best: tuple[int, float] | None = None,
    ) -> None:
        self._objective = description.objective
        self._total, self._done, self._best = total, done, best
        self._started = time.monotonic()
        resuming = f", resuming after {done}" if done else ""
        self.say(
            f"study {description.name}: {counted(total, 'trial')} by "
            f"{description.engine}{resuming}, "
            f"pruner {description.pruner}, {self._objective.direction} {self._objective.metric}"
        )

    def begin_trainings(self, title: str, objective: Objective, done: int, total: int) -> None:
        self._objective, self._total, self._done = objective, total, done
        self._here, self._best, self._started = 0, None, time.monotonic()
        self.say(title)

    def trial_begins(self, spec: TrialSpec, name: str = "") -> None:
        self._epochs[spec.number] = spec.epochs
        if name:
            self._names[spec.number] = name

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        if result.state == "interrupted":
            return
        self._done += 1
        self._here += 1
        self._ended = time.monotonic()
        self._best = best or self._best
        self.show_ended(result)

    def say(self, text: str) -> None:
        with contextlib.suppress(*UNWRITABLE):
            print("\n".join(in_lines(text, COLUMNS)), file=sys.stderr, flush=True)

    def wait(self, what: str) -> None:
        self.say(what)

    def show_ended(self, result: TrialResult) -> None:
        """Shows a trial that has ended, and why it has no value if it has none."""
        parts = [
            self._names.get(result.number, f"trial {result.number:>{len(str(self._total))}}"),
            f"{self._done}/{self._total}",
            self.outcome(result),
            self.best_so_far(),
            self.left(),
        ]
        facts = [part for part in parts if part]
        # A line for each trial: what comes last is left out where it does not fit.
        while len(facts) > _NEEDED and width(printable("  ".join(facts))) > COLUMNS:
            facts.pop()
        self.say("  ".join(facts))

    def outcome(self, result: TrialResult) -> str:
        """Returns the outcome of a trial in a few words."""
        best, number = result.best, result.number
        if best is None and result.state == "pruned":
            if result.folds:
                return f"pruned in its fold {result.folds}"
            return f"pruned at epoch {result.epochs}" + (result.reason and f": {result.reason}")
        if best is None:
            return f"{result.state}: {result.reason}" if result.reason else result.state
        if result.state == "pruned":
            planned = self._epochs.get(number, result.epochs)
            return f"{best.value:.6g} (epoch {best.epoch}), pruned at {result.epochs} of {planned}"
        if result.of_no_epoch:
            return f"{best.value:.6g}"
        spread = f" ± {result.spread:.2g}" if result.folds and result.spread is not None else ""
        return f"{best.value:.6g}{spread} (epoch {best.epoch} of {result.epochs})"

    def best_so_far(self) -> str:
        """Returns the best value so far, and its trial."""
        return "" if self._best is None else f"best {self._best[1]:.6g} #{self._best[0]}"

    def left(self) -> str:
        """Returns the time left, from the time that the trials of this launch took."""
        if not self._here or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._started) / self._here * (self._total - self._done)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return (
            f"left {hours}:{minutes:02}:{seconds:02}" if hours else f"left {minutes}:{seconds:02}"
        )


def in_lines(text: str, columns: int) -> list[str]:
    """Breaks a message between words.

    What is longer than a line, such as a path, stays whole, and so does what is indented, as lines
    of a traceback are.
    """
    text = without_colors(text)
    return [printable(text)] if text[:1].isspace() else wrapped(text, indent=2, columns=columns)

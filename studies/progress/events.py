"""What happens in a study, for whatever shows it."""

from __future__ import annotations

from collections.abc import Iterable

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
        """The study begins, or resumes with ``done`` trials and this best one.

        Args:
            description: The study.
            done: Trials that have ended.
            total: Trials in the end.
            best: The number and value of the best trial so far.
        """

    def begin_trainings(self, title: str, objective: Objective, done: int, total: int) -> None:
        """Trainings begin that are no trials.

        Args:
            title: What they are for.
            objective: What their best epochs are chosen by.
            done: Trainings that have ended before.
            total: Trainings in the end.
        """

    def trial_begins(self, spec: TrialSpec, name: str = "") -> None:
        """A trial, or one of its repeats, begins; or a training that has another name."""

    def epoch_ended(self, epoch: EpochResult, compared: str | None = None) -> None:
        """An epoch ended.

        Args:
            epoch: The epoch.
            compared: In a rerun how it differs from the recorded one, empty if it is identical;
                None if it is not compared.
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

"""Progress of a study for the user: a live line on a terminal, plain lines elsewhere.

It goes to standard error, as standard output is for results.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from studies.lines import COLUMNS, wrapped
from tracking.records import EpochResult, Objective, StudyDescription, TrialResult, TrialSpec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn
    from rich.status import Status
    from rich.text import Text


class Progress(Protocol):
    """Gets the events of a study."""

    def begin(self, description: StudyDescription, done: int, total: int) -> None:
        """The study begins, or resumes with ``done`` trials."""
        ...

    def trial_begins(self, spec: TrialSpec) -> None:
        """A trial begins."""
        ...

    def epoch_ended(self, epoch: EpochResult) -> None:
        """An epoch of a trial ended."""
        ...

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """A trial ended; ``best`` is the number and value of the best one so far."""
        ...

    def say(self, text: str) -> None:
        """A message for the user."""
        ...

    def wait(self, what: str) -> None:
        """What the user waits for now, until the study begins or ends."""
        ...

    def end(self) -> None:
        """The study ended, or was stopped."""
        ...


class NoProgress:
    """Says nothing."""

    def begin(self, description: StudyDescription, done: int, total: int) -> None:
        """See `Progress`."""

    def trial_begins(self, spec: TrialSpec) -> None:
        """See `Progress`."""

    def epoch_ended(self, epoch: EpochResult) -> None:
        """See `Progress`."""

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """See `Progress`."""

    def say(self, text: str) -> None:
        """See `Progress`."""

    def wait(self, what: str) -> None:
        """See `Progress`."""

    def end(self) -> None:
        """See `Progress`."""


class LineProgress(NoProgress):
    """A line for each trial, for logs and pipes."""

    def __init__(self) -> None:
        self._objective = Objective("", "max")
        self._total = self._done = self._here = 0
        self._started = time.monotonic()

    def begin(self, description: StudyDescription, done: int, total: int) -> None:
        """See `Progress`."""
        self._objective = description.objective
        self._total, self._done = total, done
        self._started = time.monotonic()
        going_on = f", resuming after {done}" if done else ""
        self.say(
            f"study {description.name}: {total} trial{'' if total == 1 else 's'} by "
            f"{description.engine}{going_on}, "
            f"pruner {description.pruner}, {self._objective.direction} {self._objective.metric}"
        )

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """See `Progress`."""
        if result.state == "interrupted":
            return
        self._done += 1
        self._here += 1
        self.say(
            f"trial {result.number:>{len(str(self._total))}}  {self._done}/{self._total}  "
            f"{self.outcome(result)}  {self.best_so_far(best)}  {self.time_of(result)}"
        )

    def say(self, text: str) -> None:
        """See `Progress`."""
        print(_in_lines(text, COLUMNS), file=sys.stderr, flush=True)

    def wait(self, what: str) -> None:
        """See `Progress`."""
        self.say(what)

    def outcome(self, result: TrialResult) -> str:
        """Returns a trial's outcome in a few words: a line has 80 characters."""
        if result.best is None:
            return f"{result.state}: {result.reason}"
        state = "" if result.state == "complete" else f" {result.state}"
        return f"{result.best.value:.6g} (epoch {result.best.epoch} of {result.epochs}){state}"

    def best_so_far(self, best: tuple[int, float] | None) -> str:
        """Returns the best value so far, in a few words."""
        return "no value yet" if best is None else f"best {best[1]:.6g} #{best[0]}"

    def time_of(self, result: TrialResult) -> str:
        """Returns the time left, or of the last trial what it took: a line has no room for both."""
        return self.left() or f"{result.seconds:.1f} s"

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


class LiveProgress(LineProgress):
    """A bar at the bottom of a terminal, finished trials above it: these say the best so far."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            _cut_to_fit("{task.fields[now]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("trials", total=None, now="", left="")
        self._epochs: dict[int, int] = {}
        self._waits: Status | None = None

    def begin(self, description: StudyDescription, done: int, total: int) -> None:
        """See `Progress`."""
        self._end_waiting()
        super().begin(description, done, total)
        self._bar.update(self._task, total=total, completed=done)
        self._bar.start()

    def trial_begins(self, spec: TrialSpec) -> None:
        """See `Progress`."""
        self._epochs[spec.number] = spec.epochs
        self._bar.update(self._task, now=f"trial {spec.number}")

    def epoch_ended(self, epoch: EpochResult) -> None:
        """See `Progress`."""
        value = epoch.metrics.get(self._objective.metric)
        shown = "" if value is None else f" {self._objective.metric} {value:.4g}"
        now = f"trial {epoch.number} epoch {epoch.epoch}/{self._epochs[epoch.number]}{shown}"
        self._bar.update(self._task, now=now)
        if self._waits is not None:
            # A rerun, which the user waits for.
            self._waits.update(_plain(now))

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """See `Progress`."""
        super().trial_ended(result, best)
        self._bar.update(self._task, completed=self._done, left=self.left())

    def say(self, text: str) -> None:
        """See `Progress`."""
        lines = _in_lines(text, self._console.width)
        self._console.print(lines, markup=False, soft_wrap=True)

    def time_of(self, result: TrialResult) -> str:
        """Returns the time of a trial: the bar shows what is left."""
        return f"{result.seconds:.1f} s"

    def wait(self, what: str) -> None:
        """See `Progress`."""
        self._end_waiting()
        self._waits = _spinner(self._console, what)
        self._waits.start()

    def end(self) -> None:
        """See `Progress`."""
        self._end_waiting()
        self._bar.stop()

    def _end_waiting(self) -> None:
        if self._waits is not None:
            self._waits.stop()
            self._waits = None


class LastingProgress:
    """Passes events on to another progress, as long as that works.

    A closed terminal or a pipe without a reader must not end a study; nor must a signal in the
    middle of a line, whose handler can't write.

    Args:
        shown: The progress that shows events.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def begin(self, description: StudyDescription, done: int, total: int) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.begin(description, done, total)

    def trial_begins(self, spec: TrialSpec) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.trial_begins(spec)

    def epoch_ended(self, epoch: EpochResult) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.epoch_ended(epoch)

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.trial_ended(result, best)

    def say(self, text: str) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.say(text)

    def wait(self, what: str) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.wait(what)

    def end(self) -> None:
        """See `Progress`."""
        with _whatever_fails():
            self._shown.end()


@contextlib.contextmanager
def showing(wanted: bool = True) -> Iterator[Progress]:
    """Yields what `make_progress` returns, and ends it, whatever happens."""
    progress = make_progress(wanted)
    try:
        yield progress
    finally:
        progress.end()


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows on a terminal what the user waits for; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with _spinner(Console(stderr=True), what):
        yield


def _in_lines(text: str, columns: int) -> str:
    """Breaks a text between words.

    What is longer than a line, such as a path, stays whole, and so does what is indented, as lines
    of a traceback are.
    """
    return text if text[:1].isspace() else "\n".join(wrapped(text, indent=2, columns=columns))


def _spinner(console: Console, what: str) -> Status:
    return console.status(_plain(what))


def _cut_to_fit(template: str) -> ProgressColumn:
    """Returns the column of a bar that gives way to the others on a narrow terminal."""
    from rich.progress import Task, TextColumn
    from rich.table import Column

    class CutToFit(TextColumn):
        def render(self, task: Task) -> Text:
            text = super().render(task)
            text.no_wrap = True
            return text

    # Of columns that may not wrap none is cut before all others.
    return CutToFit(template, markup=False, table_column=Column(no_wrap=False))


def _plain(text: str) -> Text:
    """Returns a text with brackets escaped."""
    from rich.text import Text

    return Text(text)


def _whatever_fails() -> contextlib.AbstractContextManager[None]:
    """Ignores errors of writing: to a closed or missing terminal, or within itself."""
    return contextlib.suppress(OSError, ValueError, RuntimeError)


def make_progress(wanted: bool = True) -> Progress:
    """Returns the progress that suits standard error: live on a terminal, lines elsewhere."""
    if not wanted:
        return NoProgress()
    return LastingProgress(LiveProgress() if sys.stderr.isatty() else LineProgress())

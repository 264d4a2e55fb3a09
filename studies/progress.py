"""Shows a study's progress on standard error: live at a terminal, in plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from search_spaces.texts import counted, duration, readable, with_spread
from studies.terminal_text import COLUMNS, cut, printable, sparkline, width, without_colors, wrapped
from tracking.records import BestEpoch, EpochResult, StudyDescription, TrialResult, TrialSpec

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text


# Errors of printing progress, which must not end a study. They arise if the terminal is closed, if
# a pipe has no reader, or if a signal handler prints while this process is printing.
_UNWRITABLE: Final = (OSError, ValueError, RuntimeError)

# Even a line that is too wide keeps its first three facts: the trial, the count, the outcome.
_NEEDED = 3


class Progress:
    """Prints a line for each trial on standard error, because standard output is for results."""

    def __init__(self) -> None:
        self._total = self._done = self._done_here = 0
        self._repeats, self._folds = 1, 0
        self._best: tuple[int, float] | None = None
        # The number of epochs that each trial should train, by the trial's number.
        self._epochs: dict[int, int] = {}
        # The names of trainings that are not trials, by the number in their specs.
        self._names: dict[int, str] = {}
        # The times at which the launch began and its last trial ended.
        self._started = self._ended = time.monotonic()

    def begin(
        self,
        description: StudyDescription,
        done: int,
        total: int,
        best: tuple[int, float] | None = None,
    ) -> None:
        """The study begins, or resumes after `done` of its `total` trials.

        `best` has the number and the value of the best trial so far.
        """
        objective = description.objective
        resuming = f", resuming after {done}" if done else ""
        if done >= total:
            resuming = ", all trained before"
        title = (
            f"study {description.name}: {counted(total, 'trial')} by {description.engine}"
            f"{resuming}, pruner {description.pruner}, {objective.direction} {objective.metric}"
        )
        repeats, folds = description.trainings, description.folds
        self.begin_trainings(title, done, total, best, repeats, folds)

    def begin_trainings(
        self,
        title: str,
        done: int,
        total: int,
        best: tuple[int, float] | None = None,
        repeats: int = 1,
        folds: int = 0,
    ) -> None:
        """Trials or other trainings begin. `total` is their number; `done` of them ended before."""
        self._total, self._done, self._done_here, self._best = total, done, 0, best
        self._repeats, self._folds = repeats, folds
        self._started = time.monotonic()
        self._print_message(title)

    def trial_begins(self, spec: TrialSpec, name: str = "") -> None:
        """A trial begins, or another training. Only a training that is not a trial has a `name`."""
        self._epochs[spec.number] = spec.epochs
        if name:
            self._names[spec.number] = name

    def epoch_ended(self, epoch: EpochResult) -> None:
        """An epoch ended."""

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        """A trial ended. ``best`` has the number and the value of the best trial so far."""
        if result.state == "interrupted":
            return
        self._done += 1
        self._done_here += 1
        self._ended = time.monotonic()
        self._best = best or self._best
        self.show_ended(result)

    def trial_gone(self, number: int) -> None:
        """A trial's process died, so the trial has no result. The trial will run again."""

    def say(self, text: str) -> None:
        """Prints a message for the user."""
        self._print_message(text)

    def wait(self, what: str) -> None:
        """Says what the user waits for, until the study begins or ends."""
        self._print_message(what)

    def end(self) -> None:
        """The study ended, or was stopped."""

    def show_ended(self, result: TrialResult) -> None:
        """Prints the line of a trial that has ended."""
        parts = [
            self._name(result.number),
            f"{self._done}/{self._total}",
            self.outcome(result),
            self.best_so_far(),
            self.time_left(),
        ]
        facts = [part for part in parts if part]
        # If the line is too wide, the last facts are left out.
        while len(facts) > _NEEDED and width(printable("  ".join(facts))) > COLUMNS:
            facts.pop()
        self._print_message("  ".join(facts))

    def outcome(self, result: TrialResult) -> str:
        """Returns the outcome of a trial in a few words."""
        best, number = result.best, result.number
        if best is None and result.state == "pruned":
            if result.folds:
                return f"pruned in its fold {result.folds}"
            return f"pruned at epoch {result.epochs}" + (result.reason and f": {result.reason}")
        if best is None:
            return f"{result.state}: {result.reason}" if result.reason else result.state
        value = with_spread(best.value, result.spread if result.folds else None)
        if result.state == "pruned":
            planned = self._epochs.get(number, result.epochs)
            return f"{value} (epoch {best.epoch}), pruned at {result.epochs} of {planned}"
        return value if result.of_no_epoch else f"{value} (epoch {best.epoch} of {result.epochs})"

    def best_so_far(self) -> str:
        """Returns the best value so far, and its trial."""
        return "" if self._best is None else f"best {with_spread(self._best[1])} #{self._best[0]}"

    def time_left(self) -> str:
        """Returns the time left, estimated from the trials of this launch."""
        if not self._done_here or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._started) / self._done_here * (self._total - self._done)
        return f"left {duration(round(seconds))}"

    def _name(self, number: int) -> str:
        """Returns the name of a trial or another training."""
        numbered = f"trial {number:>{len(str(max(self._total - 1, 0)))}}"
        return self._names.get(number, numbered)

    def _columns(self) -> int:
        return COLUMNS

    def _print(self, text: str) -> None:
        with contextlib.suppress(*_UNWRITABLE):
            print(text, file=sys.stderr, flush=True)

    def _print_message(self, text: str) -> None:
        """Prints a message, wrapped between words. Does not wrap a message that is indented."""
        text = without_colors(text)
        lines = [text] if text[:1].isspace() else wrapped(text, indent=2, columns=self._columns())
        self._print("\n".join(map(printable, lines)))


class NoProgress(Progress):
    """Shows nothing."""

    def _print(self, text: str) -> None:
        pass


_CURVE = 12
_LONGEST_BAR, _SHORTEST_BAR = 30, 8
_BEST = "  best so far"
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# Columns that stay free at the end of a line. A terminal shows Ctrl-C as ^C there, and the line
# must not wrap.
_MARGIN = 3
# Lines of the terminal that the running trials leave free: for the bar, for the line that says what
# the user waits for, and for two finished trials above.
_OTHER_LINES = 4


@dataclass
class _Running:
    """A running trial. `curve` has the objective at each epoch of the present repeat or fold."""

    spec: TrialSpec
    curve: dict[int, BestEpoch] = field(default_factory=dict)
    epoch: int = 0
    repeat: int = 0


class LiveProgress(Progress):
    """Shows a line for each running trial, and one bar, at the bottom of the terminal.

    These lines are redrawn all the time. Above them, a line is printed for each finished trial.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True, highlight=False, emoji=False)
        self._running: dict[int, _Running] = {}
        self._waits = ""
        self._begun = False
        # Drawing all lines takes about a millisecond, so four times a second costs little.
        self._live = Live(
            console=self._console, refresh_per_second=4, transient=True, get_renderable=self._drawn
        )

    def begin_trainings(self, *arguments: Any, **options: Any) -> None:
        self._waits, self._begun = "", True
        super().begin_trainings(*arguments, **options)
        self._start()

    def trial_begins(self, spec: TrialSpec, name: str = "") -> None:
        super().trial_begins(spec, name)
        self._running[spec.number] = _Running(spec)
        if not self._begun:
            self._waits = ""
        self._start()

    def epoch_ended(self, epoch: EpochResult) -> None:
        running = self._running.get(epoch.number)
        if running is None:
            return
        if epoch.repeat != running.repeat:
            running.repeat, running.curve = epoch.repeat, {}
        running.epoch = epoch.epoch
        value = epoch.metrics.get(running.spec.objective.metric)
        if value is not None:
            running.curve[epoch.epoch] = BestEpoch(epoch.epoch, value, epoch.metrics)

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        super().trial_ended(result, best)
        # `show_ended` is not called for an interrupted trial, so the trial's line is removed here.
        self.trial_gone(result.number)

    def trial_gone(self, number: int) -> None:
        self._running.pop(number, None)

    def wait(self, what: str) -> None:
        self._waits = what
        self._start()

    def end(self) -> None:
        with contextlib.suppress(*_UNWRITABLE):
            self._live.stop()

    def show_ended(self, result: TrialResult) -> None:
        """Prints the line of a trial that has ended, cut to the terminal's width."""
        running = self._running.pop(result.number, None)
        best = self._best is not None and self._best[0] == result.number
        line = (
            f"{self._name(result.number)}  {_curve(running)}  {printable(self.outcome(result))}"
            f"  {duration(result.seconds)}"
        )
        if best and width(line) + len(_BEST) <= self._console.width:
            line += _BEST
        self._print(cut(line, self._console.width), "bold green" if best else None)

    def _start(self) -> None:
        with contextlib.suppress(*_UNWRITABLE):
            # This draws the display at once, because loading the study takes seconds.
            self._live.start(refresh=True)

    def _columns(self) -> int:
        return self._console.width

    def _print(self, text: str, style: str | None = None) -> None:
        with contextlib.suppress(*_UNWRITABLE):
            self._console.print(text, style=style, markup=False, soft_wrap=True)
            # The line of a trial that has just ended disappears from the display.
            self._live.refresh()

    def _drawn(self) -> Group:
        """Returns the lines at the bottom of the terminal."""
        from rich.console import Group
        from rich.text import Text

        columns = self._console.width - _MARGIN
        running = sorted(self._running.values(), key=lambda trial: trial.spec.number)
        most = max(self._console.height - _OTHER_LINES, 1)
        lines = [Text(cut(self._line_of(trial), columns)) for trial in running[:most]]
        if len(running) > most:
            lines.append(Text(f"and {len(running) - most} more", style="dim"))
        if self._begun:
            lines.append(self._bar(columns))
        if self._waits:
            turn = _SPINNER[int(time.monotonic() * 4) % len(_SPINNER)]
            lines.append(Text(cut(f"{turn} {printable(self._waits)}", columns)))
        return Group(*lines)

    def _name(self, number: int) -> str:
        """Returns a name, padded to the longest name, so that the curves are below each other."""
        name, names = super()._name(number), self._names.values()
        return name + " " * (max(map(width, names), default=0) - width(name))

    def _line_of(self, running: _Running) -> str:
        spec, curve = running.spec, running.curve
        objective = spec.objective
        parts = [f"{self._name(spec.number)}  {_curve(running)}"]
        if self._repeats > 1:
            parts.append(self._training(running.repeat))
        parts.append(f"epoch {running.epoch:>{len(str(spec.epochs))}}/{spec.epochs}")
        if curve:
            last = list(curve.values())[-1]
            best = min(curve.values(), key=lambda epoch: epoch.rank(objective))
            at_best = f", best {readable(best.value)} at {best.epoch}" if best is not last else ""
            parts.append(f"{printable(objective.metric)} {readable(last.value)}{at_best}")
        return "  ".join(parts)

    def _training(self, number: int) -> str:
        """Returns the name of a trial's repeat or fold, such as "fold 2/5"."""
        if self._folds and number >= self._folds:
            return "all folds"
        return f"{'fold' if self._folds else 'repeat'} {number + 1}/{self._repeats}"

    def _bar(self, columns: int) -> Text:
        """Returns the bar, with the facts that fit next to it."""
        from rich.text import Text

        count, best, rest = f"{self._done}/{self._total}", self.best_so_far(), self.time_left()
        # The rate does not count the time after the last trial.
        until = self._ended if self._done >= self._total else time.monotonic()
        per_minute = 60 * self._done_here / max(until - self._started, 1e-3)
        rate = f"{per_minute:.{0 if per_minute >= 10 else 1}f}/min" if self._done_here else ""
        for facts in ([count, best, rate, rest], [count, best, rest], [count, rest], [count]):
            text = "  ".join(filter(None, facts))
            room = columns - width(text) - 1
            if room >= _SHORTEST_BAR:
                break
        size = min(max(room, 0), _LONGEST_BAR)
        full = round(size * self._done / max(self._total, 1))
        return Text.assemble(
            ("━" * full, "green"), ("━" * (size - full), "bright_black"), f" {text}"
        )


def _curve(running: _Running | None) -> str:
    """Returns the sparkline of a trial, padded with spaces."""
    values = [] if running is None else [epoch.value for epoch in running.curve.values()]
    line = sparkline(values, _CURVE)
    return f"{line:<{_CURVE}}"


def make_progress(visible: bool = True) -> Progress:
    """Returns a live display if standard error is a terminal, else a display that prints lines.

    If `visible` is false, the display shows nothing.
    """
    if not visible:
        return NoProgress()
    return LiveProgress() if _can_redraw() else Progress()


@contextlib.contextmanager
def showing(visible: bool = True) -> Iterator[Progress]:
    """Yields the display that `make_progress` returns, and ends it, also after an error."""
    progress = make_progress(visible)
    try:
        yield progress
    finally:
        progress.end()


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows what the user waits for, if standard error is a terminal."""
    if not _can_redraw():
        yield
        return
    with showing() as progress:
        progress.wait(what)
        yield


def _can_redraw() -> bool:
    """Returns whether standard error is a terminal whose lines can be erased."""
    from rich.console import Console

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal

"""Runs `kerastudy launch`, kills its processes at random instants, and launches again.

A seed draws the instants: some part of a second after a number of trials have ended, or some time
after a launch began. It also draws the victims: the driver, a worker, or all processes at once.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import study_record
from study_file import DEEP, study_text
from user_commands import KERASTUDY, environment

NAME = "chaos"
# With these options, no proposal depends on which worker's trial ends first.
REPEATABLE = ("--engine", "optuna:random", "--pruner", "none")
STUDY_FILE = study_text(
    **DEEP,
    name='"chaos"',
    imports="import time\n",
    samples="""x = random.normal(size=(600, 12)).astype("float32")
y = (x[:, :4].sum(axis=1) + 0.5 * random.normal(size=600) > 0).astype("int64")
""",
    first="""
    if hp["units"] == 7:
        raise ValueError("unlucky")
""",
    more="""
def callbacks(hp):
    import keras

    # An epoch of some length costs nothing.
    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.06)

    return [Slow(), keras.callbacks.EarlyStopping("val_loss", patience=3)]

""",
    space="ks.SearchSpace(ks.learning_rate(1e-3, 0.1), ks.dropout(0.0, 0.5), ks.units(4, 8))",
    callbacks="callbacks",
    objective='"val_loss"',
    trials="20",
    epochs="8",
    batch_size="64",
    pruner='"median"',
    keep="3",
)

# "pause" kills nothing: it stops all processes, and lets them continue some seconds later.
Victim = Literal["driver", "worker", "all", "pause"]

_STARTED = re.compile(
    r"study chaos: (\d+) trials by [^,]+(?:, resuming after (\d+)|, (all) trained before)?, pruner"
)
_ENDED = re.compile(r"trial +\d+  (\d+)/\d+  ")
# A trial that ends its worker three times is infeasible, and nothing of that is wrong.
_MOST_IN_ONE_TRIAL = 2
SECONDS_TO_END = 10.0
_SECONDS_OF_PAUSE = 3
_SECONDS_BETWEEN_LOOKS = 0.001


class Kill(NamedTuple):
    """A victim and an instant: `seconds` after `trials` trials have ended.

    If `trials` is None, the instant is `seconds` after the launch began.
    """

    victim: Victim
    trials: int | None
    seconds: float


def drawn(kills: int, trials: int, seed: int) -> list[Kill]:
    """Returns kills in their order, with two pauses among them.

    A quarter of them happen while a launch starts. The others happen while trials run, or while the
    champion is chosen.
    """
    rng = random.Random(seed)
    # Most victims are workers, because a worker is replaced sooner than a driver with its workers.
    victims: list[Victim] = rng.choices(["worker", "driver", "all"], [6, 1, 1], k=kills)
    places = sorted(rng.randrange(trials + 1) for _ in range(kills))
    plan = [Kill(v, n, rng.uniform(0.0, 0.9)) for v, n in zip(victims, places, strict=True)]
    for at in rng.sample(range(kills), kills // 4):
        plan[at] = Kill(rng.choice(["worker", "driver", "all"]), None, rng.uniform(0.0, 8.0))
    for _ in range(2):
        pause = Kill("pause", rng.randrange(trials), rng.uniform(0.0, 0.9))
        plan.insert(rng.randrange(len(plan) + 1), pause)
    return plan


class Launch:
    """A running launch: its driver, the lines that it has printed, and how many trials have ended.

    `quiet_since` is the time of the launch, or of the last kill of a worker.
    """

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        """Starts `kerastudy launch study.py` in a folder, with environment variables."""
        with (folder / "printed").open("a") as printed:
            self.process = subprocess.Popen(
                [*KERASTUDY, "launch", "study.py", *arguments],
                cwd=folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.lines: list[str] = []
        self.ended, self.begun = 0, False
        self.quiet_since = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until(self, holds: Callable[[], bool]) -> bool:
        """Waits until a condition holds. Returns False if the launch ended before."""
        while self._reader.is_alive() and not holds():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return self._reader.is_alive()

    def lasts(self, until: float) -> bool:
        """Waits until a time of `time.monotonic`. Returns False if the launch ended before."""
        return self.wait_until(lambda: time.monotonic() >= until)

    def end(self) -> int:
        """Waits until the driver ends, and returns its exit code."""
        code = self.process.wait()
        self._reader.join()
        self.process.stderr.close()
        return code

    def _read(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if match := _STARTED.match(line):
                trials, ended, all_ended = match.groups()
                self.ended, self.begun = int(trials if all_ended else ended or 0), True
            elif match := _ENDED.match(line):
                self.ended = int(match[1])


@dataclass
class Campaign:
    """A study whose processes are killed again and again.

    `counts` has the kills by victim, without pauses. `slowest` is the longest time, in seconds,
    that workers took to end after their driver was killed.
    """

    folder: Path
    trials: int
    workers: int = 1
    arguments: tuple[str, ...] = ()
    say: Callable[[str], None] = lambda text: None
    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    launches: int = 0
    _hits: Counter[int] = field(default_factory=Counter)

    def run(self, kills: list[Kill]) -> None:
        """Launches, kills, and launches again until the study is complete."""
        (self.folder / "temporary").mkdir(parents=True)
        (self.folder / "study.py").write_text(STUDY_FILE, encoding="utf-8")
        waiting = list(kills)
        while True:
            launch = self._launch()
            while waiting and self._reached(launch, waiting[0]):
                self._kill(launch, waiting.pop(0))
            code = launch.end()
            assert code != 0 or launch.ended == self.trials, launch.lines
            if code == 0 and not [kill for kill in waiting if kill.victim != "pause"]:
                return
            if code == 0:
                # The study was complete before all kills had happened.
                waiting = [Kill(kill.victim, None, kill.seconds / 4) for kill in waiting]
            elif code != -signal.SIGKILL:
                # A worker was killed each time while it loaded the study.
                assert code == 2 and "ended by signal 9" in launch.lines[-1], launch.lines

    def record(self) -> dict[str, Any]:
        """Returns the record of the study in the store, as `study_record` reads it."""
        return study_record.read_record(self.folder / "store", NAME)

    def left_behind(self) -> list[str]:
        """Returns the files that should not be left in the store and in the temporary folder."""
        # Killed processes also leave files of TensorFlow, which don't count.
        data = (self.folder / "temporary").glob("kerastudy-*")
        leftovers = study_record.left_behind(self.folder / "store")
        return leftovers + [f"temporary: {path.name}" for path in data]

    def _launch(self) -> Launch:
        self.launches += 1
        numbers = ["--trials", str(self.trials), "--workers", str(self.workers)]
        arguments = ["--store", "store", *numbers, *self.arguments]
        return Launch(self.folder, *arguments, TMPDIR=str(self.folder / "temporary"))

    def _reached(self, launch: Launch, kill: Kill) -> bool:
        """Waits for the instant of a kill. Returns False if the launch ended before."""
        if kill.trials is None:
            there = launch.lasts(launch.quiet_since + kill.seconds)
        else:
            trials = kill.trials
            there = launch.wait_until(lambda: launch.begun and launch.ended >= trials)
            there = there and launch.lasts(time.monotonic() + kill.seconds)
        return there and launch.wait_until(lambda: not launch.begun or self._may_kill(launch.ended))

    def _may_kill(self, ended: int) -> bool:
        if ended >= self.trials:
            return True
        # A trial that runs now may have begun when fewer trials had ended, by up to `workers`.
        window = range(ended - self.workers + 1, ended + 1)
        return sum(self._hits[number] for number in window) < _MOST_IN_ONE_TRIAL

    def _kill(self, launch: Launch, kill: Kill) -> None:
        try:
            children = psutil.Process(launch.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        if kill.victim == "pause":
            self.say(f"stopped all for {_SECONDS_OF_PAUSE} s when {launch.ended} trials had ended")
            processes = [launch.process.pid, *(child.pid for child in children)]
            _send(processes, signal.SIGSTOP)
            time.sleep(_SECONDS_OF_PAUSE)
            _send(processes, signal.SIGCONT)
            return
        if launch.begun:
            self._hits[launch.ended] += 1
        self.counts[kill.victim] += 1
        self.say(f"killed {kill.victim} when {launch.ended} trials had ended")
        if kill.victim == "worker" and children:
            _send([children[self.counts.total() % len(children)].pid], signal.SIGKILL)
            launch.quiet_since = time.monotonic()
            return
        others = [child.pid for child in children] if kill.victim == "all" else []
        _send([launch.process.pid, *others], signal.SIGKILL)
        began = time.monotonic()
        _, alive = psutil.wait_procs(children, timeout=SECONDS_TO_END)
        assert not alive, f"a worker is there {SECONDS_TO_END} s after its driver died"
        self.slowest = max(self.slowest, time.monotonic() - began)
        launch.wait_until(lambda: False)


def _send(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def undisturbed(
    folder: Path, trials: int, workers: int = 1, arguments: tuple[str, ...] = ()
) -> Any:
    """Returns the record of the same study without kills."""
    campaign = Campaign(folder, trials, workers, arguments)
    campaign.run([])
    assert not campaign.left_behind(), campaign.left_behind()
    return campaign.record()

"""Turns measured blocks into seconds per trial and ratios."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.measuring import Measured
from benchmarks.peers.works import Trial

# Whole commands are compared with this number of trials; their start-up counts.
WHOLE = 100


@dataclass(frozen=True)
class Block:
    """One command of one system.

    Attributes:
        trials: Trials that it ran.
        seconds: Seconds of the whole command, start-up included.
        cpu_seconds: CPU seconds of all processes of the command.
        steady_trials: Trials after those that warm up.
        steady_seconds: From the end of the last trial that warms up to the end of the last.
        steady_cpu_seconds: CPU seconds in that time.
        best: The best validation accuracy.
    """

    trials: int
    seconds: float
    cpu_seconds: float
    steady_trials: int
    steady_seconds: float
    steady_cpu_seconds: float
    best: float


def block_of(measured: Measured, trials: Sequence[Trial], warm_up: int) -> Block:
    """Returns the times of a command, in all and in its steady state.

    Args:
        measured: The command.
        trials: Its trials in the order in which they ended.
        warm_up: How many first trials to leave out: at least 1, and fewer than all.
    """
    began, ended = trials[warm_up - 1].ended, trials[-1].ended
    return Block(
        trials=len(trials),
        seconds=measured.seconds,
        cpu_seconds=measured.cpu_seconds,
        steady_trials=len(trials) - warm_up,
        steady_seconds=ended - began,
        steady_cpu_seconds=measured.cpu_until(ended) - measured.cpu_until(began),
        best=max(trial.best for trial in trials),
    )


@dataclass(frozen=True)
class Figures:
    """A system's figures for one work, over all its blocks."""

    blocks: Sequence[Block]

    @property
    def seconds(self) -> float:
        """Seconds per trial in the steady state."""
        return _ratio(self.blocks, "steady_seconds", "steady_trials")

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds per trial in the steady state."""
        return _ratio(self.blocks, "steady_cpu_seconds", "steady_trials")

    @property
    def command_seconds(self) -> float:
        """Seconds of a whole command, start-up included: the mean of the blocks."""
        return statistics.fmean(block.seconds for block in self.blocks)

    @property
    def command_cpu_seconds(self) -> float:
        """CPU seconds of a whole command, start-up included: the mean of the blocks."""
        return statistics.fmean(block.cpu_seconds for block in self.blocks)

    @property
    def trials(self) -> int:
        """Trials of a command."""
        return self.blocks[0].trials

    @property
    def whole_seconds(self) -> float:
        """Seconds of a command of 100 trials; missing trials are added at the steady pace."""
        return self.command_seconds + (WHOLE - self.trials) * self.seconds

    @property
    def whole_cpu_seconds(self) -> float:
        """CPU seconds of a command of 100 trials; missing ones are added at the steady pace."""
        return self.command_cpu_seconds + (WHOLE - self.trials) * self.cpu_seconds

    def document(self) -> dict[str, Any]:
        """Returns the figures for JSON."""
        return {
            "trials_per_command": self.trials,
            "steady": {
                "seconds_per_trial": self.seconds,
                "seconds_per_trial_by_block": [
                    block.steady_seconds / block.steady_trials for block in self.blocks
                ],
                "cpu_seconds_per_trial": self.cpu_seconds,
            },
            "command": {
                "seconds": self.command_seconds,
                "cpu_seconds": self.command_cpu_seconds,
                "seconds_per_trial": self.command_seconds / self.trials,
                "cpu_seconds_per_trial": self.command_cpu_seconds / self.trials,
            },
            "command_of_100_trials": {
                "seconds": self.whole_seconds,
                "cpu_seconds": self.whole_cpu_seconds,
                "measured": self.trials == WHOLE,
            },
            "best_validation_accuracy": max(block.best for block in self.blocks),
            "blocks": [dataclasses.asdict(block) for block in self.blocks],
        }


def ratios(figures: Figures, ours: Figures) -> Mapping[str, float]:
    """Returns how many times as long a system takes as kerastudy."""
    return {
        "steady_seconds": figures.seconds / ours.seconds,
        "steady_cpu_seconds": figures.cpu_seconds / ours.cpu_seconds,
        "command_of_100_trials_seconds": figures.whole_seconds / ours.whole_seconds,
        "command_of_100_trials_cpu_seconds": figures.whole_cpu_seconds / ours.whole_cpu_seconds,
    }


def _ratio(blocks: Sequence[Block], above: str, below: str) -> float:
    total = sum(float(getattr(block, above)) for block in blocks)
    return total / sum(int(getattr(block, below)) for block in blocks)

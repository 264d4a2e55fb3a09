"""What counts of messages that come late or twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from scripted import describe

from studies.executors.attempts import Attempts
from tracking.records import Decision, EpochResult, TrialResult, TrialSpec

FIRST = TrialSpec(0, 1, {}, 0, 3, 32, 1, "d" * 64, describe().objective)
SECOND = replace(FIRST, attempt=2)


@dataclass
class Driver:
    """Prunes after the second epoch."""

    epochs: list[int] = field(default_factory=list)

    def on_epoch(self, epoch: EpochResult) -> Decision:
        self.epochs.append(epoch.epoch)
        return "prune" if epoch.epoch == 2 else "continue"

    def on_result(self, result: TrialResult) -> None:
        raise AssertionError

    def on_lost(self, spec: TrialSpec, reason: str, out_of_memory: bool = False) -> None:
        raise AssertionError


def epoch(number: int) -> EpochResult:
    return EpochResult(0, number, {"val_loss": 1.0}, 0.0)


def test_an_epoch_that_comes_twice_is_passed_on_once_and_decided_alike() -> None:
    attempts, driver = Attempts(), Driver()
    attempts.begin(FIRST)
    decided = [attempts.epoch(FIRST, epoch(n), driver) for n in (1, 1, 2, 2)]
    assert decided == ["continue", "continue", "prune", "prune"]
    assert driver.epochs == [1, 2]


def test_an_attempt_that_another_has_replaced_must_stop() -> None:
    attempts, driver = Attempts(), Driver()
    attempts.begin(FIRST)
    assert attempts.end(FIRST), "it is lost"
    assert attempts.epoch(FIRST, epoch(1), driver) == "stop"
    attempts.begin(SECOND)
    assert attempts.epoch(FIRST, epoch(1), driver) == "stop"
    assert not attempts.end(FIRST)
    assert attempts.epoch(SECOND, epoch(1), driver) == "continue"
    assert driver.epochs == [1]


def test_a_result_counts_once() -> None:
    attempts = Attempts()
    attempts.begin(FIRST)
    attempts.begin(replace(FIRST, number=1))
    attempts.begin(replace(FIRST, repeat=1))
    assert attempts.counts(FIRST)
    assert [attempts.end(FIRST) for _ in range(3)] == [True, False, False]
    assert attempts.counts(replace(FIRST, number=1))
    assert attempts.end(replace(FIRST, repeat=1))

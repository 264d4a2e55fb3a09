"""The best trial is trained once more by `model.fit`; it is champion only if the results agree.

An executor that trains nothing makes comparisons here, to judge what is recorded of them. A real
model is compared in `tests/end_to_end/test_verified_champion.py`, with the lines of its launch.
"""

import dataclasses
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from doctored import Said
from in_mlflow import InMlflow
from scripted import WithModel, describe, run_study

from tracking.history import StudyHistory
from tracking.records import StudyDescription, TrialSpec


class Compiled(WithModel):
    """Its trials are trained by programs; their models can be saved."""

    trainer = "compiled"


class Saying(Said):
    """Keeps also the lines of what a launch waits for."""

    def wait(self, what: str) -> None:
        self.lines.append(what)

    def one(self, part: str) -> str:
        (only,) = [line for line in self.lines if part in line]
        return only


def launch(
    folder: Path, description: StudyDescription, verify: str = "full", **settings: Any
) -> tuple[StudyHistory, Compiled, Saying]:
    executor, progress = Compiled(description, **settings), Saying()
    history = run_study(executor, store=folder, progress=progress, verify=verify)  # type: ignore[arg-type]
    return history, executor, progress


def verified_in_mlflow(history: StudyHistory) -> str:
    """Returns what MLflow says of the champion, on its run and on its version."""
    in_mlflow = InMlflow(history)
    run = in_mlflow.client.get_run(in_mlflow.champion.tags["kerastudy.champion_run"])
    verified = in_mlflow.champion.tags["kerastudy.verified"]
    assert run.data.tags["kerastudy.verified"] == verified
    return verified


def test_what_does_not_hold_is_passed_over(folder: Path) -> None:
    """It is passed over for good. From then on `model.fit` trains, until the code changes."""
    description = describe(name="does not hold", trials=4)
    history, _, progress = launch(folder, description, wrong={1: 3, 2: 4})
    # Both wrong trials look better than the right ones. One is wrong in an earlier epoch.
    wrong = [history.trial(number) for number in (1, 2)]
    assert all(trial.verified.startswith("model.fit, differs: loss of epoch") for trial in wrong)
    assert "epoch 3" in wrong[0].verified and "epoch 4" in wrong[1].verified
    assert history.best.number in (0, 3)
    assert verified_in_mlflow(history) == history.best.verified == "model.fit, identical"
    assert "model.fit trains" in progress.one("trial 1 differs from model.fit: loss of epoch 3 was")

    more = dataclasses.replace(description, trials=5)
    history, _, progress = launch(folder, more, wrong={4: 1})
    assert history.trial(4).result.trainer == "plain"  # type: ignore[union-attr]
    assert "trial 1, trial 2" in progress.one("model.fit trains the study's trials")
    code = dataclasses.replace(description.code, digest="e" * 64)
    mended = dataclasses.replace(description, trials=6, code=code)
    history, _, _ = launch(folder, mended)
    assert history.trial(5).result.trainer == "compiled"  # type: ignore[union-attr]


def test_nothing_is_champion_if_nothing_holds(folder: Path) -> None:
    """A champion that was registered before the check is withdrawn, too."""
    description = describe(name="nothing holds", trials=2)
    history, _, _ = launch(folder, description, "off", wrong={0: 1, 1: 1})
    assert verified_in_mlflow(history) == "off"
    history, _, _ = launch(folder, description, wrong={0: 1, 1: 1})
    assert history.best is None
    assert history.registered is None
    assert InMlflow(history).client.get_registered_model(description.name).aliases == {}


def test_only_epochs_that_fit_in_a_tenth_of_the_launch_are_compared(folder: Path) -> None:
    """The executor trains nothing, and says that an epoch took 0.1 s. The launch takes less."""
    description = describe(name="in part", trials=1, epochs=200)
    history, _, progress = launch(folder, description, "some")
    match = re.fullmatch(
        r"model\.fit, identical in epochs? (?:1 to )?(\d+) of 200", history.best.verified
    )
    assert match is not None
    repeated = f"model.fit repeated {match[1]} of the trial's 200 epochs"
    assert repeated in progress.one("--verify full")
    _, executor, _ = launch(folder, description, "some")
    assert executor.ran == []
    history, executor, _ = launch(folder, description, "full")
    assert executor.ran == [(0, 1)]
    assert verified_in_mlflow(history) == "model.fit, identical"


def test_what_differs_as_its_surroundings_do_is_registered_with_a_warning(folder: Path) -> None:
    description = describe(name="elsewhere", trials=1)
    launch(folder, description, "off", wrong={0: 1})
    history, _, progress = launch(folder, description, environment={"python": "4"})
    expected = "but python was 3 and is 4"
    assert expected in progress.one("is not verified: model.fit, not comparable")
    assert expected in verified_in_mlflow(history)


@pytest.mark.parametrize("during", [True, False])
def test_ctrl_c_leaves_a_verification_to_the_next_launch(folder: Path, during: bool) -> None:
    description = describe(name=f"interrupted {during}", trials=2)

    class Interrupting(Saying):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("verifying") and not during:
                os.kill(os.getpid(), signal.SIGINT)

    def stop(spec: TrialSpec) -> None:
        if len(executor.ran) == 2 and during:
            os.kill(os.getpid(), signal.SIGINT)

    executor, progress = Compiled(description, stop), Interrupting()
    with pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder, progress=progress, verify="full")
    assert progress.lines[-1].startswith("stopping after the present epoch") or not during
    history, executor, _ = launch(folder, description)
    assert (history.counts()["complete"], len(executor.ran)) == (2, 1)
    assert verified_in_mlflow(history) == "model.fit, identical"


def test_a_trial_that_can_not_be_trained_again_is_registered_as_not_verified(folder: Path) -> None:
    description = describe(name="lost again", trials=1)

    class Dying(Compiled):
        def submit(self, *fits: Any) -> None:
            if fits[0].by_fit:
                self.lost.append(fits[0].spec.number)
            super().submit(*fits)

    executor, progress = Dying(description), Saying()
    history = run_study(executor, store=folder, progress=progress, verify="full")
    assert executor.ran == [(0, 1)] * 4
    assert "model.fit, not run: Trial 0 could not be run again" in verified_in_mlflow(history)

"""Optuna and Keras Tuner without one of the private names that are used."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.engine import SMALL, Played, make

from search_spaces import EngineError, PrivatePart, private_parts
from studies.engines import keras_tuner_engine
from studies.libraries import keras_tuner_parts, optuna_parts

assert keras_tuner_engine and keras_tuner_parts and optuna_parts
OF_OPTUNA, OF_KERAS_TUNER = private_parts("optuna"), private_parts("keras-tuner")


def take_away(part: PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> Any:
        raise part.missing()

    for method in ("get", "of"):
        monkeypatch.setattr(part, method, missing, raising=False)


@pytest.mark.parametrize("part", OF_OPTUNA, ids=str)
def test_a_study_by_optuna_runs_without(part: PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(part, monkeypatch)
    engine = make("optuna:tpe", "median", SMALL)
    played = Played(engine)
    played.play(12, infeasible=[2, 3])
    # One that is told anew.
    proposal = played.ask()
    assert proposal is not None
    for _ in range(2):
        engine.report(proposal.number, 1, 1.0)
    played.finish(proposal)


@pytest.mark.parametrize("part", OF_KERAS_TUNER, ids=str)
def test_an_oracle_that_lacks_it_is_refused(
    part: PrivatePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(part, monkeypatch)
    refused = []
    for engine in ("random", "bayesian", "grid", "hyperband"):
        try:
            Played(make(f"keras-tuner:{engine}", "none", SMALL)).play(2)
        except EngineError as error:
            assert f"lacks {part}" in str(error)
            refused.append(engine)
    assert len(refused) == (4 if part.owner == "Oracle" else 1)

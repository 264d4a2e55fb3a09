"""Keras Tuner's Hyperband, in which trials without a value don't block their bracket.

In Keras Tuner a failed trial leaves its rung incomplete, and the rungs above then wait for ever.
Here it keeps its place, with the worst score. If a rung has fewer usable trials than the next has
places, blanks fill the rest: trials that exist only in the oracle, have the worst score too, and
are never trained. So every bracket runs to its last rung.

A blank takes no place from a running trial: an oracle promotes from a rung when more of its trials
have ended than will stay behind, so there is a place for each running trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from keras_tuner import oracles

from search_spaces.to_keras_tuner import RESERVED
from studies.engines.keras_tuner_oracles import AskedOracle
from studies.libraries.keras_tuner_parts import start_bracket

BRACKET: Final = "hyperband/bracket"
"""The key of a trial's bracket in its state, counted from 0 over all rounds of brackets. Keras
Tuner's own number is that of the newest bracket, even for a promotion."""

_ROUND: Final = RESERVED + "round"
_PAST: Final = RESERVED + "trial_id"


class HyperbandOracle(AskedOracle, oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband: brackets of successive halving."""

    # Of Keras Tuner's.
    _brackets: list[dict[str, Any]]
    _current_bracket: int
    _current_iteration: int

    def __init__(self, **arguments: Any) -> None:
        # Every bracket, where Keras Tuner forgets the complete ones. Before the constructor,
        # which starts the first.
        self._all_brackets: list[dict[str, Any]] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._unusable: set[str] = set()
        self._given: Mapping[str, Any] | None = None
        super().__init__(**arguments)

    def propose(self, trial_id: str, seed: int, given: Mapping[str, Any] | None) -> Any:
        """See `AskedOracle.propose`. Given values take the next place of a first rung."""
        self._seed_state = seed
        if given is not None:
            return self._place(trial_id, given)
        while True:
            values = self.populate_space(trial_id).get("values")
            if values is None:
                bracket = self._open_bracket()
                if bracket is None or not self._usable_in(bracket):
                    return None
                # The space is exhausted. Those that the bracket has compete for what is above.
                bracket["rounds"][0].append({"past_id": None, "id": self._blank()})
            elif values.get(_PAST) in self._unusable:
                self._replace_id(trial_id, self._blank())
            else:
                return values

    def state(self, trial_id: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Returns the state of a proposed trial, for `insert` on restore."""
        state = {name: json.dumps(v) for name, v in values.items() if name.startswith(RESERVED)}
        number, _ = self._place_of(trial_id)
        return {**state, BRACKET: json.dumps(number)}

    def insert(self, trial_id: str, values: Mapping[str, Any], state: Mapping[str, str]) -> None:
        """See `AskedOracle.insert`. A recorded trial gets its former place."""
        super().insert(trial_id, values, state)
        number, rung = json.loads(state[BRACKET]), json.loads(state[_ROUND])
        while len(self._all_brackets) <= number:
            self._increment_bracket_num()
            self._start_new_bracket()
        infos = self._all_brackets[number]["rounds"][rung]
        if all(info["id"] != trial_id for info in infos):
            past = json.loads(state[_PAST]) if _PAST in state else None
            infos.append({"past_id": past, "id": trial_id})

    def end(self, trial_id: str, score: float | None) -> None:
        """See `AskedOracle.end`."""
        worst = math.inf if self.objective.direction == "min" else -math.inf
        super().end(trial_id, worst if score is None else score)
        if score is None:
            self._unusable.add(trial_id)

    def may_continue(self, trial_id: str) -> bool:
        """Returns whether a trial may be promoted, or the trial that continues it has not ended."""
        number, rung = self._place_of(trial_id)
        bracket = self._all_brackets[number]
        rounds = bracket["rounds"]
        if rung + 1 == len(rounds) or trial_id in self._unusable:
            return False
        above = {info["past_id"]: info["id"] for info in rounds[rung + 1]}
        if trial_id in above:
            return above[trial_id] in self.ongoing_trials
        trial = self.trials[trial_id]
        if trial.score is None:
            return True
        # The best trial without a promotion gets it: a trial with more such before it than there
        # are places left can't get one, whatever the others' results.
        others = [self.trials[info["id"]] for info in rounds[rung] if info["id"] not in above]
        ended = [other for other in others if other.score is not None]
        # As Keras Tuner sorts its candidates: of equal ones the earlier is first.
        ended.sort(key=lambda each: each.score, reverse=self.objective.direction == "max")
        places = self._get_size(bracket["bracket_num"], rung + 1) - len(rounds[rung + 1])
        return trial in ended[:places]

    def _start_new_bracket(self) -> None:
        start_bracket(oracles.HyperbandOracle, self)
        self._all_brackets.append(self._brackets[-1])

    def _random_values(self) -> dict[str, Any] | None:
        if self._given is not None:
            return self.translation.encode(self._given)
        return AskedOracle._random_values(self)

    def _place(self, trial_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if self._open_bracket() is None:
            self._increment_bracket_num()
            self._start_new_bracket()
        self._given = given
        try:
            values: dict[str, Any] = self._random_trial(trial_id, self._open_bracket())["values"]
        finally:
            self._given = None
        return values

    def _open_bracket(self) -> dict[str, Any] | None:
        """Returns the bracket whose first rung has places left: the newest, if any."""
        newest = self._all_brackets[-1]
        size = self._get_size(newest["bracket_num"], 0)
        return newest if len(newest["rounds"][0]) < size else None

    def _usable_in(self, bracket: Mapping[str, Any]) -> bool:
        return any(info["id"] not in self._unusable for info in bracket["rounds"][0])

    def _blank(self) -> str:
        trial_id = f"blank {len(self.trials)}"
        super().insert(trial_id, self.translation.space.defaults(), {})
        self.end(trial_id, None)
        return trial_id

    def _replace_id(self, trial_id: str, by: str) -> None:
        number, rung = self._place_of(trial_id)
        for info in self._all_brackets[number]["rounds"][rung]:
            if info["id"] == trial_id:
                info["id"] = by
        del self._places[trial_id]

    def _place_of(self, trial_id: str) -> tuple[int, int]:
        """Returns the number of a trial's bracket, and its rung."""
        if trial_id not in self._places:
            for number, bracket in reversed([*enumerate(self._all_brackets)]):
                for rung, infos in enumerate(bracket["rounds"]):
                    if any(info["id"] == trial_id for info in infos):
                        self._places[trial_id] = number, rung
                        return number, rung
        return self._places[trial_id]

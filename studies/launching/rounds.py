"""Rounds of a tuning: the next one's name, space and settings, from the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import StudyError, StudyNotFoundError
from search_spaces.spellings import spell_domain
from search_spaces.tailoring import Tailoring
from studies.definition.engine_options import split_options
from studies.definition.study_definition import StudyDefinition
from studies.user_code.targets import Target
from tracking.diagnosis.diagnose import diagnose
from tracking.history.rounds import launched_from, link_rounds, read_rounds
from tracking.history.study_history import StudyHistory, find_engines, read_study
from tracking.history.summary import renew_note
from tracking.store.folder import Store, open_store


@dataclass(frozen=True)
class PlannedRound:
    """A round to launch.

    Attributes:
        number: Its number, at least 2.
        before: The study of the round before it.
    """

    number: int
    before: StudyHistory

    def link(self, run_id: str) -> None:
        """Links the round's parent run with that of the round before it."""
        if link_rounds(self.before.store, self.before.parent_run_id, run_id, self.number):
            renew_note(self.before)


def planned(
    overrides: Mapping[str, Any],
    place: Path,
    *,
    study: StudyDefinition | None = None,
    target: Target | None = None,
) -> tuple[PlannedRound | None, dict[str, Any]]:
    """Plans the round that a launch asks for by ``round``; any other launch stays as it is.

    Args:
        overrides: Settings to replace. A ``name`` is that of the first round, a ``space`` that of
            the one to launch.
        place: The store's folder.
        study: The study, if it is loaded.
        target: Where it is defined, if it is not.

    Returns:
        The round or None, and the settings without ``round``: with the round's name, and, unless a
        space is given, with the space and the settings that follow from the round before it. A
        round that was launched before keeps its own.

    Raises:
        StudyError: If the number is wrong, or nothing asks for another round.
        StudyNotFoundError: If the store has no round before it.
    """
    found = dict(overrides)
    number = found.pop("round", None)
    if number is None:
        return None, found
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise StudyError(f"round must be a whole number of at least 1. Received: {number!r}.")
    if number == 1:
        return None, found
    store = open_store(place)
    if store is None:
        raise StudyNotFoundError(
            f"Round {number} follows from round {number - 1}, and there is no store at "
            f"{str(place)!r}. Launch the first round without --round."
        )
    own_name = study.name if study is not None else ""
    first = str(found.get("name") or own_name or (target and _name_of(store, target)))
    before = _before(store, first, number)
    rounds = read_rounds(before)
    found["name"] = rounds.after.study if rounds.after is not None else _name(first, number)
    space = found.pop("space", None)
    if space is not None:
        found["tailoring"] = _tailoring(space, None if study is None else study.space)
    if before.description.cross_validation.isdigit():
        # Its values compare only with those of the same folds. Others are those of the file.
        found.setdefault("cross_validation", int(before.description.cross_validation))
    if "tailoring" not in found:
        recorded = find_engines(store, found["name"])
        following = _recorded(recorded[0]) if recorded else _following(before)
        if "pruner" in found:
            following.pop("pruner_options", None)
        found = {**following, **found}
    return PlannedRound(number, before), found


def _name(first: str, number: int) -> str:
    """Returns the usual name of a round."""
    return first if number == 1 else f"{first}-round-{number}"


def _name_of(store: Store, target: Target) -> str:
    """Returns the name of the study that was launched from a file."""
    path = str(Path(target.path).absolute())
    found = [
        each
        for each in launched_from(store, path)
        if target.variable in ("", each.variable) or not each.variable
    ]
    # Launched under its own name, before others.
    own = [each for each in found if each.study == each.defined_name] or found
    if not own:
        raise StudyNotFoundError(
            f"The store {str(store.root)!r} has no study of {target.path!r}. Launch the first "
            "round without --round, or name it with --name."
        )
    if len(own) > 1:
        raise StudyError(
            f"The store {str(store.root)!r} has {len(own)} studies of {target.path!r}: "
            f"{', '.join(each.study for each in own)}. Name the first round with --name."
        )
    return own[0].study


def _before(store: Store, first: str, number: int) -> StudyHistory:
    """Returns the round before one: along the links of rounds, or by its usual name."""
    history = read_study(store, first)
    for each in range(2, number):
        after = read_rounds(history).after
        try:
            history = (
                read_study(store, after.study, after.engine)
                if after is not None
                else read_study(store, _name(first, each))
            )
        except StudyNotFoundError:
            raise StudyNotFoundError(
                f"Round {number} of {first!r} follows from round {number - 1}, and the store "
                f"{str(store.root)!r} has no round {each}. Launch it with --round {each}."
            ) from None
    return history


def _tailoring(space: object, own: SearchSpace | None) -> Tailoring:
    """Returns what makes another space of a study's own."""
    if not isinstance(space, SearchSpace):
        raise StudyError(f"A round's space must be a SearchSpace. Received: {space!r:.200}")
    declared = {} if own is None else {each.name: each for each in own}
    ranges = {}
    for each in space:
        before = declared.get(each.name, each)
        # A child of a parent that is fixed elsewhere follows by itself.
        gone = each.role == "fixed" and before.when and not each.when
        if each != declared.get(each.name) and not (gone and each.default == before.otherwise):
            ranges[each.name] = spell_domain(each)
    return Tailoring(ranges=ranges)


def _following(before: StudyHistory) -> dict[str, Any]:
    """Returns the space and the settings that follow from a round."""
    following = diagnose(before).next
    if not following.reasons:
        raise StudyError(
            f"Nothing in the record of {before.description.name!r} asks for another round. Give "
            "it a space with --set, or run more trials of this one with --trials."
        )
    settings = dict(following.settings)
    if "pruner_options" in settings:
        # Next to those that it has.
        name, options = split_options(before.description.pruner)
        settings |= {"pruner": name, "pruner_options": {**options, **settings["pruner_options"]}}
    return {**settings, "tailoring": following.tailoring}


def _recorded(round_: StudyHistory) -> dict[str, Any]:
    """Returns the space and the settings with which a round was launched."""
    description = round_.description
    settings = {name: getattr(description, name) for name in ("epochs", "repeats", "pruner")}
    if "epochs" in description.space or description.objective_function:
        del settings["epochs"]
    if description.tailored:
        settings["tailoring"] = Tailoring.from_dict(description.tailored)
    return settings

"""A study's space: declared, or found by tracing its builder; then tailored."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters, SearchSpaceError, discover
from studies.errors import BuilderError
from studies.training.building import build_function
from studies.training.determinism import begin_trial
from studies.training.hypermodel import has_own_fit, rehearse

if TYPE_CHECKING:
    from studies.data import AnySplits
    from studies.study import Study


def resolve_space(study: Study, splits: AnySplits) -> tuple[Study, bool, list[str]]:
    """Returns a study with its space as it is tuned.

    Args:
        study: With a space, or without.
        splits: Its data: a HyperModel's own `fit` is traced on a few samples of it.

    Returns:
        The study; whether hyperparameters that show themselves later join its space; notes.

    Raises:
        BuilderError: If the builder can't be traced.
        SearchSpaceError: If the space can't be tailored so.
    """
    if study.space is not None:
        return study.with_space(study.tailoring.apply(study.space)), False, []
    # Optuna's examples call Keras's clear_session in each build, which has Python look through all
    # its objects: a quarter of a second, but for those that are set aside.
    gc.freeze()
    try:
        found = discover(_traced(study, splits), before=lambda: begin_trial(study.seed))
    except SearchSpaceError as error:
        raise BuilderError(
            f"The builder of the study {study.name!r} can't be traced for its hyperparameters: "
            f"{error}"
        ) from None
    finally:
        gc.unfreeze()
    # With --only, what is not named does not vary, whenever it shows itself.
    joins = study.tailoring.only is None
    return study.with_space(study.tailoring.apply(found.space)), joins, list(found.notes)


def _traced(study: Study, splits: AnySplits) -> Any:
    """Returns a function that runs all that may declare hyperparameters."""
    build = build_function(study.build)
    declare = getattr(study.build, "declare_hyperparameters", None)

    def traced(hp: Hyperparameters) -> None:
        if declare is not None:
            declare(hp)
        model = build(hp)
        if study.callbacks is not None:
            study.callbacks(hp)
        if has_own_fit(study.build):
            rehearse(study, model, splits, hp)

    return traced

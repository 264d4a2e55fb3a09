"""Names that people try, as Optuna, Keras Tuner, scikit-learn and pandas have them.

Their `AttributeError` says what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from search_spaces.suggestions import near_match

OF_STUDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("best_hyperparameters", "get_best_hyperparameters", "best_hps"),
            ".best_params",
        ),
        **dict.fromkeys(("best_score", "best_metric"), ".best_value"),
        "best_epoch": ".best.epoch",
        **dict.fromkeys(("best_index", "best_number"), ".best.number"),
        **dict.fromkeys(("best_trials", "get_best_trials"), ".top(10)"),
        **dict.fromkeys(
            (
                *("model", "champion", "best_model", "best_estimator", "get_best_model"),
                *("get_best_models", "load_champion", "load", "load_best_model"),
            ),
            ".load_model()",
        ),
        **dict.fromkeys(("get_trials", "results", "all"), ".trials"),
        **dict.fromkeys(
            ("cv_results", "df", "dataframe", "to_pandas", "to_df", "table"), ".to_dataframe()"
        ),
        "to_csv": ".to_dataframe().to_csv(…)",
        **dict.fromkeys(("results_summary", "summary", "show"), ".verdict.text and .top(10)"),
        **dict.fromkeys(("history", "curves", "epochs"), ".best.curve, and those of .trials"),
        **{each: f".best.{each}" for each in ("params", "value", "epoch")},
        **dict.fromkeys(("metrics", "score", "values"), ".best.metrics"),
        "direction": ".description.objective.direction",
        "objective": ".description.objective",
        "study_name": ".name",
        **dict.fromkeys(("space", "search_space"), ".description.space"),
        **dict.fromkeys(("plots", "visualize", "visualization"), ".plot"),
        "plot_optimization_history": ".plot.history()",
        "plot_parallel_coordinate": ".plot.parallel_coordinates()",
        "plot_param_importances": ".plot.importance()",
        "plot_intermediate_values": ".plot.learning_curves()",
        **{f"plot_{name}": f".plot.{name}(…)" for name in ("slice", "contour")},
        **dict.fromkeys(("importance", "importances"), ".plot.importance()"),
        **{each: f"kerastudy.{each}(name)" for each in ("evaluate", "promote", "confirm")},
        **dict.fromkeys(("export", "script"), "kerastudy.export_script(…)"),
        "delete": "kerastudy.delete_study(name)",
        "rename": "kerastudy.rename_study(name, new_name)",
        **dict.fromkeys(("optimize", "search", "run", "launch"), "Study.launch()"),
    }
)
"""What to write instead, by what people try of a recorded study."""

OF_TRIALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("hyperparameters", "hps", "hparams"), ".params"),
        **dict.fromkeys(("score", "values", "objective"), ".value"),
        **dict.fromkeys(("best_step", "best_epoch", "step"), ".epoch"),
        **dict.fromkeys(("history", "curves", "epochs", "logs"), ".curve"),
        "intermediate_values": ".curve[…]",
        **dict.fromkeys(("id", "trial_id", "_trial_id"), ".number"),
        **dict.fromkeys(("model", "load", "weights", "checkpoint"), ".load_model()"),
        **dict.fromkeys(("predict", "evaluate"), "a method of .load_model()"),
        "status": ".state",
        **dict.fromkeys(("seconds", "time"), ".duration"),
        **dict.fromkeys(("datetime_start", "start_time"), ".started"),
        **dict.fromkeys(("datetime_complete", "end_time"), ".ended"),
        **dict.fromkeys(("study", "study_name"), ".results"),
    }
)
"""The same of a trial."""

_OF_THE_MODULE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("load_study", "get_study", "open_study", "study"), "read_study(name)"),
        **dict.fromkeys(("create_study", "Tuner", "tune", "optimize"), "Study(…).launch()"),
        "launch": "Study(…).launch()",
        **dict.fromkeys(("studies", "list", "get_all_study_names"), "list_studies()"),
        "delete": "delete_study(name)",
        "rename": "rename_study(name, new_name)",
        **dict.fromkeys(("export", "to_script"), "export_script(kerastudy.read_study(name))"),
        **dict.fromkeys(("report", "write_report"), "read_study(name).report()"),
        **dict.fromkeys(("plot", "visualization"), "read_study(name).plot"),
        **dict.fromkeys(("load", "load_champion", "champion"), "load_model(name)"),
        "reproduce": "Study.reproduce(trial), or the command kerastudy reproduce",
    }
)


def missing(owner: object, attribute: str, guesses: Mapping[str, str]) -> AttributeError:
    """Returns the error for an attribute that there is not, with what to write instead.

    Args:
        owner: Whose.
        attribute: The name that was tried.
        guesses: What to write instead, by such names.
    """
    kind = type(owner)
    if hasattr(kind, attribute):
        # A property of it raised an AttributeError, which Python hides. Raise that again.
        object.__getattribute__(owner, attribute)
    told = f"{kind.__name__!r} has no attribute {attribute!r}."
    # scikit-learn's names of what was fitted end so.
    instead = guesses.get(attribute) or guesses.get(attribute.rstrip("_"), "")
    if instead:
        told += f" Use {instead}"
    elif not attribute.startswith("_"):
        told = f"{told} {near_match(attribute, (n for n in dir(owner) if n[0] != '_'))}".rstrip()
    return AttributeError(told, name=attribute, obj=owner)


def of_definition(study: object, attribute: str) -> AttributeError:
    """Returns the error for a name of a study's results that was tried of the study itself."""
    from studies.results.study_results import StudyResults

    if attribute.startswith("_") or hasattr(type(study), attribute):
        return missing(study, attribute, {})
    kept = hasattr(StudyResults, attribute) or attribute in StudyResults.__dataclass_fields__
    instead = f".{attribute}" if kept else OF_STUDIES.get(attribute, "")
    if attribute == "results":
        instead = "."
    where = OF_STUDIES
    if instead.startswith("."):
        where = {attribute: f".history(){instead}".rstrip(".")}
    return missing(study, attribute, where)


def of_module(attribute: str, known: Iterable[str]) -> AttributeError:
    """Returns the error for a name that the public module lacks.

    Args:
        attribute: The name that was tried.
        known: The module's names.
    """
    told = f"module 'kerastudy' has no attribute {attribute!r}."
    instead = _OF_THE_MODULE.get(attribute, "")
    near = f"Use kerastudy.{instead}" if instead else near_match(attribute, known)
    return AttributeError(f"{told} {near}".rstrip(), name=attribute)

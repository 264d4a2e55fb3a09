"""The plan of a study as text."""

from __future__ import annotations

from studies.commands.texts.values import spelled
from studies.lines import all_wrapped, wrapped
from studies.running.definitions import warnings_of
from tracking.records import StudyDescription

_CLASSES_SHOWN = 10


def definition_text(description: StudyDescription) -> str:
    """Returns the plan of a study as text."""
    objective, data = description.objective, description.data
    sizes = ", ".join(f"{size} {part}" for part, size in data.sizes.items()) or "not read to an end"
    times = f", {description.repeats} times each" if description.repeats > 1 else ""
    trained = (
        f"{description.epochs} epochs, batches of {description.batch_size}, seed {description.seed}"
    )
    if description.folds:
        times = f" of {description.folds} folds"
        test = f", {data.sizes['test']} test" if "test" in data.sizes else ""
        sizes = f"{data.sizes['train']} in folds{test}"
    shown = f"{data.name}: {sizes}{', by default' if data.made_by else ''}"
    found = "found by tracing the builder"
    if description.declared:
        beside = [n for n in description.space.names if n not in description.declared]
        found = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    if description.objective_function:
        trained = f"by {description.objective_function}(trial), seed {description.seed}"
        shown = "its own: the objective function loads it"
        found = found.replace("tracing the builder", "running it up to its first fit")
    parameters = [
        line for each in description.space for line in wrapped(f"             {each!r}", indent=17)
    ]
    said = [f"script     {line}" for line in description.code.said]
    warnings = [f"warning    {warning}" for warning in warnings_of(description)]
    starts = ["defaults   are tried first, as trial 0"] if description.try_defaults else []
    starts += [f"start with {spelled(values)}" for values in description.initial]
    starts += [f"           from {description.initial_from}"] if description.initial_from else []
    lines = [
        f"study      {description.name}",
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {objective.direction} {objective.metric}",
        f"trials     {description.trials}{times}, {trained}",
        f"data       {shown}",
        *folds_lines(description),
        *data_lines(description),
        *starts,
        f"space      {len(description.space)} hyperparameters, {found}",
    ]
    told = [*said, *warnings, "nothing was trained or written"]
    return "\n".join([*all_wrapped(lines), *parameters, *all_wrapped(told)])


def folds_lines(description: StudyDescription) -> list[str]:
    """Returns how the data of a cross-validated study is split."""
    if not description.folds:
        return []
    how = description.cross_validation
    drawn = "" if how.isdigit() else f", by {how}"
    return [f"folds      {description.folds} for each trial{drawn}"]


def data_lines(description: StudyDescription) -> list[str]:
    """Returns lines on data that is made for each trial, comes in batches, or is weighted."""
    made_by = description.data.made_by
    return [
        *([f"made by    {made_by}(hp), for each trial of its own"] if made_by else []),
        *_streams(description),
        *_class_weight(description),
    ]


def _streams(description: StudyDescription) -> list[str]:
    """Returns the kind of data that is read batch by batch, and what its digest covers."""
    streams = description.data.details.get("streams") or {}
    return [
        f"{part:<10} by {stream['kind']}; digest of {stream['digest_of']}"
        + ("" if stream["same_each_time"] else "; not the same each time that it is read")
        for part, stream in streams.items()
    ]


def _class_weight(description: StudyDescription) -> list[str]:
    """Returns the class weights, if there are any."""
    if description.class_weight is None:
        return []
    weights = [f"{label}: {weight:g}" for label, weight in description.class_weight.items()]
    more = f" and {len(weights) - _CLASSES_SHOWN} more" if len(weights) > _CLASSES_SHOWN else ""
    return [f"weights    of classes {', '.join(weights[:_CLASSES_SHOWN])}{more}; of others 1"]

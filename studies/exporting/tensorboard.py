"""A study's trials as TensorBoard's event files, with its HParams plugin's tables.

A folder for each trial: its hyperparameters, the metrics of each epoch, and those of its best epoch
as ``best/…``. https://www.tensorflow.org/tensorboard/hyperparameter_tuning_with_hparams
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError
from studies.exporting.files import check_folder, explained, path_for
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial


@dataclass(frozen=True)
class TensorBoardExport:
    """Exported event files."""

    study: str
    folder: Path
    trials: int


def export_tensorboard(
    histories: Sequence[StudyHistory], output: str | Path | None = None, *, force: bool = False
) -> TensorBoardExport:
    """Writes a study's trials with a value for TensorBoard."""
    if find_spec("tensorboard") is None:
        raise StudyError(
            "The export needs the package tensorboard, which is not installed: "
            "pip install 'kerastudy[tensorboard]'"
        )
    name = histories[0].description.name
    folder = path_for(output, f"{name}-tensorboard")
    files = [each.name for each in folder.rglob("*") if each.is_file()]
    ours = folder.is_dir() and all(each.startswith("events.out.tfevents") for each in files)
    check_folder(folder, ours, force or not files)
    trials = [(h, t) for h in histories for t in h.ended if t.best is not None]
    if not trials:
        raise StudyError(f"The study {name!r} has no trial with a value to export.")
    with explained(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _write(folder, [_experiment(histories, trials)], trials[0][1].started / 1000)
        for history in histories:
            curves = _curves(history)
            for trial in (each for of, each in trials if of is history):
                engine = f"{history.description.engine.replace(':', '-')}-"
                own = f"{engine if len(histories) > 1 else ''}trial-{trial.number:05}"
                _write(folder / own, _summaries(trial, curves[trial.number]), trial.started / 1000)
    return TensorBoardExport(name, folder, len(trials))


def _curves(history: StudyHistory) -> dict[int, dict[int, dict[str, float]]]:
    """Returns the metrics of each trial by epoch.

    Of a repeated one those of its best training, of a cross-validated one the means over folds.
    """
    fits = {t.number: _fit_of(t) for t in history.ended if t.best is not None}
    curves = history.journal.curves(fits.values())
    return {
        trial.number: curves.get(fits[trial.number]) or history.curve(trial)
        for trial in history.ended
        if trial.number in fits
    }


def _fit_of(trial: EndedTrial) -> str:
    repeats = () if trial.result.folds else trial.result.repeats
    return repeats[trial.result.best_repeat].uuid if repeats else trial.uuid


def _experiment(
    histories: Sequence[StudyHistory], trials: Sequence[tuple[StudyHistory, EndedTrial]]
) -> tuple[int, Any]:
    """Returns the summary that names hyperparameters and metrics."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    names = dict.fromkeys(n for h in histories for n in h.description.space.names)
    objective = histories[0].description.objective.metric
    metrics = {name for _, t in trials if t.best is not None for name in t.best.metrics}
    ordered = [objective, *sorted(metrics - {objective})]
    experiment = api_pb2.Experiment(
        description=f"The study {histories[0].description.name!r}.",
        hparam_infos=[
            _hparam(name, [t.spec.values[name] for _, t in trials if name in t.spec.values])
            for name in names
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"best/{name}"), display_name=name)
            for name in ordered
        ],
    )
    data = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    return 0, _hparams(metadata.EXPERIMENT_TAG, data)


def _hparam(name: str, values: Sequence[Any]) -> Any:
    """Returns a hyperparameter's description: its type and the values that trials had."""
    from tensorboard.plugins.hparams import api_pb2

    info = api_pb2.HParamInfo(name=name, differs=len(set(map(repr, values))) > 1)
    if all(isinstance(value, bool) for value in values):
        info.type = api_pb2.DATA_TYPE_BOOL
        info.domain_discrete.extend(sorted(set(values)))
    elif all(isinstance(value, int | float) for value in values):
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
    else:
        info.type = api_pb2.DATA_TYPE_STRING
        info.domain_discrete.extend(sorted(set(map(str, values))))
    return info


def _summaries(
    trial: EndedTrial, epochs: Mapping[int, Mapping[str, float]]
) -> Iterable[tuple[int, Any]]:
    """Yields the summaries of a trial, with their steps."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    assert trial.best is not None
    begin = plugin_data_pb2.SessionStartInfo(start_time_secs=trial.started / 1000)
    for name, value in trial.spec.values.items():
        if isinstance(value, bool):
            begin.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            begin.hparams[name].number_value = value
        else:
            begin.hparams[name].string_value = str(value)
    yield (
        0,
        _hparams(
            metadata.SESSION_START_INFO_TAG,
            plugin_data_pb2.HParamsPluginData(session_start_info=begin),
        ),
    )
    for epoch, metrics in sorted(epochs.items()):
        yield (
            epoch,
            Summary(
                value=[
                    Summary.Value(tag=name, simple_value=v) for name, v in sorted(metrics.items())
                ]
            ),
        )
    best = sorted(trial.best.metrics.items())
    yield (
        trial.best.epoch,
        Summary(
            value=[Summary.Value(tag=f"best/{name}", simple_value=value) for name, value in best]
        ),
    )
    status = api_pb2.STATUS_FAILURE if trial.state == "infeasible" else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=trial.ended / 1000)
    yield (
        0,
        _hparams(
            metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end)
        ),
    )


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    about = metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


def _write(folder: Path, summaries: Iterable[tuple[int, Any]], started: float) -> None:
    """Writes a folder's event file. Not by TensorFlow, whose import takes seconds."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True)
    with (folder / f"events.out.tfevents.{int(started)}.kerastudy").open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(wall_time=started, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            event = Event(wall_time=started + step, step=step, summary=summary)
            writer.write(event.SerializeToString())

"""Optuna, Keras and MLflow by hand: a run per trial, its metrics by epoch, its best checkpoint."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import mlflow
import optuna

from benchmarks.peers.job import Job, Recorder
from benchmarks.peers.optuna_space import sampler, suggest
from benchmarks.peers.works import OBJECTIVE
from benchmarks.peers.works_data import load


def main() -> None:
    """Runs the job."""
    job, recorder = Job.from_command_line(), Recorder()
    (x, y), validation = load(job.data)
    mlflow.set_tracking_uri(job.tracking_uri)
    mlflow.set_experiment(job.work.name)

    def objective(trial: optuna.Trial) -> float:
        # Optuna's own example for Keras also frees the models of earlier trials.
        keras.utils.clear_session()
        values = suggest(trial, job.work)
        with (
            mlflow.start_run(run_name=f"trial {trial.number}", nested=True),
            TemporaryDirectory() as folder,
        ):
            mlflow.log_params(values)
            checkpoint = Path(folder) / "best.keras"
            history = job.work.build(values).fit(
                x,
                y,
                batch_size=job.work.batch_size,
                epochs=job.epochs,
                validation_data=validation,
                verbose=0,
                callbacks=[
                    keras.callbacks.ModelCheckpoint(
                        str(checkpoint), monitor=OBJECTIVE, mode="max", save_best_only=True
                    ),
                    keras.callbacks.LambdaCallback(
                        on_epoch_end=lambda epoch, logs: mlflow.log_metrics(logs, step=epoch)
                    ),
                ],
            )
            best: float = max(history.history[OBJECTIVE])
            mlflow.log_metric(f"best_{OBJECTIVE}", best)
            mlflow.log_artifact(str(checkpoint))
        recorder.trial_ended(values, len(history.epoch), best)
        return best

    study = optuna.create_study(direction="maximize", sampler=sampler(job.work, job.seed))
    with mlflow.start_run(run_name="study"):
        study.optimize(objective, n_trials=job.trials)
    recorder.write(job.folder)


if __name__ == "__main__":
    main()

"""Stands for the package of this name where it is not installed: its callback for Keras."""

import keras
import optuna


class TFKerasPruningCallback(keras.callbacks.Callback):
    def __init__(self, trial, monitor):
        super().__init__()
        self._trial, self._monitor = trial, monitor

    def on_epoch_end(self, epoch, logs=None):
        self._trial.report(float(logs[self._monitor]), step=epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"Trial was pruned at epoch {epoch}.")

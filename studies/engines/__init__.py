"""Engines: they propose hyperparameters.

| module | holds |
|---|---|
| `engine` | `Engine`, the protocol |
| `make` | from a name to an engine, and whether it can serve a study |
| `optuna_engine` | Optuna's samplers and pruners behind the seam |
| `optuna_parts` | which sampler and pruner a name stands for |
| `optuna_tpe` | TPE that avoids regions where trials were infeasible |
| `optuna_trials` | a study's trials in Optuna, from any engine |
| `optuna_memory` | where Optuna keeps them while a study runs |
| `keras_tuner_engine` | Keras Tuner's oracles behind the seam |
| `keras_tuner_parts` | which oracle can serve which study |
| `keras_tuner_oracles`, `keras_tuner_hyperband` | the oracles, without files and stops |
| `keras_tuner_import` | importing Keras Tuner into a process that does not train |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

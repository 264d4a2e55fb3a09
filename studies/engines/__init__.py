"""Engines: they propose hyperparameters.

| module | holds |
|---|---|
| `engine` | `Engine`, the protocol |
| `make` | from a name to an engine, and whether it can serve a study |
| `optuna_engine` | Optuna's samplers and pruners behind the seam; a study's trials in Optuna |
| `optuna_parts` | which sampler and pruner a name stands for |
| `optuna_subclasses` | TPE that avoids infeasible regions; Optuna's trials in memory |
| `keras_tuner_engine` | Keras Tuner's oracles behind the seam, and which can serve which study |
| `keras_tuner_oracles` | the oracles, without files and stops |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

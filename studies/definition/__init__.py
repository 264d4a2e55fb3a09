"""A study's definition, as a value.

| module | holds |
|---|---|
| `class_weights` | how much the samples of each class count in training, as in `model.fit` |
| `engine_options` | settings of an engine or a pruner, as a part of its name; engines as objects |
| `objective` | the objective of a study, and which way is better; objectives that are functions |
| `outputs` | the last layer, the loss and the metrics that fit a kind of target |
| `seeds` | every random choice of a study, as a function of its seed |
| `settings` | names of engines, pruners and trainers, with their defaults |
| `study_definition` | data, builder, space, objective, engine, budget and seed together |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Declarations within a builder, in the words of Keras Tuner or Optuna.

| module | holds |
|---|---|
| `inline_declarations` | `hp.Float(…)`, `trial.suggest_int(…)` and the others |
| `readable_values` | the methods of every `hp` |
| `translations` | from a declaration in Keras Tuner's or Optuna's words to one of our parameters |
| `variants` | one name with several domains: parameters that a builder reads by the same name |
"""

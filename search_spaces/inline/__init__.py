"""Declarations within a builder, in the words of Keras Tuner or Optuna.

| module | holds |
|---|---|
| `inline_declarations` | the methods of every `hp`: reading by name, and declaring inline |
| `translations` | from a declaration in Keras Tuner's or Optuna's words to one of our parameters |
| `variants` | one name with several domains: parameters that a builder reads by the same name |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

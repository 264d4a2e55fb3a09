"""The space for Optuna and for Keras Tuner.

| module | holds |
|---|---|
| `encoded_space` | what the translations to both share |
| `keras_tuner_declarations` | the space that a `keras_tuner.HyperParameters` declares |
| `keras_tuner_space` | a space for Keras Tuner, and reading its proposals back |
| `optuna_space` | a space for Optuna, and reading its proposals back |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

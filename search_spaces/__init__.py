"""The ground floor: the search space.

| file | holds |
|---|---|
| `discovery/` | the space of a builder that declares its hyperparameters inline |
| `inline/` | declarations within a builder, in the words of Keras Tuner or Optuna |
| `parameters/` | `Float`, `Int`, `Choice`: a name, a domain, a scale, a condition |
| `space/` | `SearchSpace`: parameters together |
| `translations/` | the space for Optuna and for Keras Tuner |
| `tailoring`, `spellings` | a space altered from the command line; values as texts |
| `ready_made`, `keras_names` | `learning_rate()`, `dropout()`, `l2()`, …: usual ranges and scales |
| `hyperparameters` | `Hyperparameters`: the `hp` that a builder receives |
| `library_parts` | private names of libraries, declared and looked up |
| `errors`, `suggestions` | every error of kerastudy; what to suggest for a mistyped name |

Nothing here imports TensorFlow, Keras, MLflow or numpy. `optuna_space` and `keras_tuner_space`
import their libraries when they are used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

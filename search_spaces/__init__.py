"""The ground floor: the search space.

| file | holds |
|---|---|
| `parameters/` | `Float`, `Int`, `Choice`: a name, a domain, a scale, a condition |
| `space` | `SearchSpace`: parameters together, and their conditions |
| `alterations` | parameters of a space fixed, replaced or added |
| `tailoring` | a space altered from the command line; domains as texts |
| `ready_made`, `keras_names` | `learning_rate()`, `dropout()`, `l2()`, …: usual ranges and scales |
| `hp` | `Hyperparameters`: the `hp` that a builder receives, and reads or declares with |
| `declarations` | from a declaration in Keras Tuner's or Optuna's words to a parameter |
| `discovery/` | the space of a builder that declares its hyperparameters inline |
| `to_optuna`, `to_keras_tuner`, `encoded_space` | the space for either library; what both share |
| `library_parts` | private names of libraries, declared and looked up |
| `errors` | every error of kerastudy; what to suggest for a mistyped name |
| `texts` | numbers, lists, amounts and durations as people read them |

Nothing here imports TensorFlow, Keras, MLflow or numpy. `to_optuna` and `to_keras_tuner` import
their libraries when they are used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

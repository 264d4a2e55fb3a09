"""What the record of a study says about its search, and what to search next.

The checks are those of Google's Deep Learning Tuning Playbook (Godbole, Dahl, Gilmer, Shallue and
Nado 2023, https://github.com/google-research/tuning_playbook). Each names its section there, or
the rule of thumb that it uses.

| module | holds |
|---|---|
| `checking` | the table of checks, each with the chart that shows what it finds; runs them |
| `findings` | what a check returns |
| `diagnosed` | what the checks read of a record |
| `boundaries` | best trials at an end of a range |
| `fits` | curves: too short or too long, over- and underfitting |
| `failures` | infeasible trials: how many, why and where |
| `sampling` | whether more trials are worth it; noise against the differences between trials |
| `isolated` | what a scientific hyperparameter does once the nuisance ones are tuned |
| `ranges` | a wider range, or a part of one |
| `numbers` | the best of several trials, the noise of a curve, numbers as text |
| `relaunch` | the launch that should follow: wider or cut ranges, more trials, other settings |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

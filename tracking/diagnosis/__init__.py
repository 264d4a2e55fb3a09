"""What the record of a study says about its search, and what to search next.

The checks are those of Google's Deep Learning Tuning Playbook (Godbole, Dahl, Gilmer, Shallue and
Nado 2023, https://github.com/google-research/tuning_playbook). Each names its section there, or
the rule of thumb that it uses.

| module | holds |
|---|---|
| `diagnosing` | the table of checks, each with the chart that shows what it finds; runs them |
| `space_checks` | best trials at an end of a range; infeasible trials: how many, why and where |
| `curve_checks` | too short or too long, over- and underfitting |
| `value_checks` | enough trials; noise against differences; what a scientific hyperparameter does |
| `diagnosed` | what checks read of a record, and what they return |
| `relaunch` | the launch that should follow: wider or cut ranges, more trials, other settings |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

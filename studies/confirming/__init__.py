"""The best trials again under new seeds, and how far to believe the study's choice.

| module | holds |
|---|---|
| `confirm` | `kerastudy.confirm`, and what the command does |
| `plan` | how it is asked for: who races, under which seeds, and what each training is |
| `executors` | executors that have loaded the study as its trials ran it |
| `trainings` | runs the trainings, records each, and trains none twice |
| `test_scores` | the scores of test samples, where the study is loaded |
| `outcome` | one reading of the sealed test part, and the outcome |
| `carrying_out` | the race and the rest of a plan, and what is recorded of it |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

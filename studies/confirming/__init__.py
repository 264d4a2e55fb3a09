"""The best trials again under new seeds, and how far to believe the study's choice.

| module | holds |
|---|---|
| `confirm` | `kerastudy.confirm`: the race, the test part, the winner as champion |
| `plan` | who races, under which seeds, and what each training is |
| `trainings` | runs the trainings, records each, and trains none twice; scores the test samples |
| `outcome` | one reading of the sealed test part, and the outcome |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

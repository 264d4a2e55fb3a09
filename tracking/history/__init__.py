"""Reading studies back, and what follows from them.

| module | holds |
|---|---|
| `study_history` | reading studies back from their journals, with the code that trials ran from |
| `trials` | a study's trials: ranked, completed; why they ended; as a table |
| `curves` | what was recorded by epoch; what pruners see of folds; a curve in one line of text |
| `champions` | the champion of a study: its saved model, and the record of it |
| `validation_samples` | scores of validation samples by trial; what the champion predicts |
| `confirmations` | confirmations of a study's choice; readings of sealed test parts |
| `verdicts` | how much of a study's best value to believe |
| `comparison` | studies, or engines of one, side by side; how far their best regions overlap |
| `commands` | the commands that people copy |
| `housekeeping` | renames a study, and deletes one |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

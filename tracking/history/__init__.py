"""Reading studies back, and what follows from them.

| module | holds |
|---|---|
| `comparison` | studies, or engines of one, side by side |
| `confirmations` | confirmations of a study's choice |
| `curves` | what was recorded of trials by epoch |
| `evaluations` | readings of sealed test parts |
| `fold_steps` | what pruners see of cross-validated trials: one fold after another |
| `joining` | hyperparameters that a builder declares only while its study runs |
| `overlaps` | how far the regions that good trials occupy overlap |
| `reasons` | why trials are infeasible or ended early, counted |
| `recorded_code` | the code that trials ran from |
| `renaming` | renames a study |
| `selection` | choosing the best of a study's trials |
| `sparklines` | a curve in one line of text |
| `study_history` | reading studies back from MLflow |
| `study_line` | a study's description in MLflow: a line above its views |
| `summary` | the summary at the top of a study's page in the MLflow UI |
| `scores_by_trial` | the scores of validation samples of a study's trials |
| `table_of_trials` | a study's trials as a table, a row for each |
| `trial_reading` | reading a study's trials from MLflow's tables |
| `verdicts` | how much of a study's best value to believe |
| `validation_predictions` | what the champion predicts, in the record |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The charts: functions that draw a study by Vega-Altair.

| module | holds |
|---|---|
| `belief` | how much of the best value to believe |
| `contour` | the objective over two hyperparameters |
| `diagnosis` | the pictures of what a diagnosis found |
| `history` | the objective by trial |
| `hyperparameters` | parallel coordinates, importance, slices |
| `predictions` | what the champion predicts of the validation data |
| `side_by_side` | studies, or engines of one, on shared scales |
| `theme` | colours, fonts, scales of the objective, linked selections |
| `training` | learning curves; over- and underfitting |
| `trainings` | the curves of each `fit` of an objective function |
"""

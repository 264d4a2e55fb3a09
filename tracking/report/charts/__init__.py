"""The charts: functions that draw a study by Vega-Altair.

| module | holds |
|---|---|
| `history` | the objective by trial, and by epochs trained |
| `hyperparameters` | parallel coordinates, importance, slices |
| `side_by_side` | studies, or engines of one, on shared scales |
| `theme` | colours, fonts, scales of the objective, linked selections |
| `training` | learning curves; over- and underfitting |
"""

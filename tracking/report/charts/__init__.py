"""The charts: functions that draw a study by Vega-Altair.

| module | holds |
|---|---|
| `belief` | values with their intervals: how much of the best to believe, what findings compare |
| `history` | the objective by trial |
| `hyperparameters` | parallel coordinates, importance, slices, a contour |
| `predictions` | what the champion predicts of the validation data |
| `theme` | colours, fonts, scales of the objective, linked selections |
| `training` | learning curves |
"""

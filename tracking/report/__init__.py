"""The report of a study: one HTML file that needs no network.

| module | holds |
|---|---|
| `write` | writes a study's page among its run's artifacts; a page that compares |
| `page` | a study's page, and the page that compares studies, or engines of one |
| `page_texts` | the words: verdict, what to do next, the table of trials, the small print |
| `figures` | the sections of a study's page: charts, with what they say |
| `charts` | charts of trials and of the champion: best so far, curves, intervals, predictions |
| `hyperparameter_charts` | parallel coordinates, importance, slices, a contour |
| `theme` | what all charts share: colours, fonts, scales of the objective, linked selections |
| `trial_data` | trials and curves as columns |
| `axes` | the axis of a hyperparameter, in its sampling scale; importance |
| `plots` | the charts for notebooks, as pictures without the network |

The folder `assets/` holds what pages are made of: HTML, style and the script that links charts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

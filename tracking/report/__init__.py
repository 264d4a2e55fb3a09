"""The report of a study: one HTML file that needs no network.

| module | holds |
|---|---|
| `axes` | the axis of a hyperparameter, in its sampling scale |
| `charts/` | the charts, by Vega-Altair |
| `comparison_page` | the page that compares studies, or engines of one |
| `figures` | the sections of a study's page: charts, with what they say |
| `formats` | numbers and durations as people read them |
| `importance` | the importance of hyperparameters |
| `page` | a study's page |
| `plots` | the charts for notebooks, as pictures without the network |
| `trial_rows` | the table of trials; data, definition, environment, digests |
| `trial_data` | trials and curves as columns |
| `headline` | what was asked and found, how far to trust it, what to do next |
| `write` | a study's page, among its run's artifacts |

The folder `assets/` holds what pages are made of: HTML, style and the script that links charts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

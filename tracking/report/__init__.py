"""The report of a study: one HTML file that needs no network.

| module | holds |
|---|---|
| `axes` | the axis of a hyperparameter, in its sampling scale |
| `behind` | the table behind each chart |
| `charts/` | the charts, by Vega-Altair |
| `comparison_page` | the page that compares studies, or engines of one |
| `details` | data, definition, environment, digests |
| `examples` | the samples that the champion classifies worst |
| `figures` | the charts of a study's page, with what they say |
| `formats` | numbers and durations as people read them |
| `importance` | the importance of hyperparameters |
| `notebook` | charts as a notebook shows them |
| `page` | a study's page |
| `parts` | the parts of a page: sections, and figures with what they say |
| `plots` | the charts for notebooks |
| `table` | the table of trials |
| `trial_data` | trials and curves as columns |
| `verdict` | what was asked and found, how far to trust it, what to do next |
| `write` | a study's page and plots, among its run's artifacts |

The folder `assets/` holds what pages are made of: HTML, style and the script that links charts.
"""

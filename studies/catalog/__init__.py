"""Ready studies: each is a study file as a user would write it, loaded by its path.

| file | shows |
|---|---|
| `digits` | the first study: a small network on handwritten digits |
| `mnist` | MNIST, one hidden layer |
| `binary` | two classes |
| `regression` | a numeric target far from 0 |
| `linear_regression` | a line through points with outliers: which loss finds it |
| `convolutional` | what it is worth to know which pixels are neighbours |
| `text` | texts as samples, which a layer of the model splits into words |
| `time_series` | windows of hours, parts cut in time, data that depends on a hyperparameter |
| `transfer` | a base that has learnt something else, frozen and then unfrozen |
| `tabular` | a table: numbers, categories and missing values |
| `all_settings` | all settings of a course on neural networks in one space |
"""

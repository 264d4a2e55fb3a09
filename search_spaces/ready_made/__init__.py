"""Ready-made parameters: what the field usually searches, with its usual ranges and scales.

| file | holds |
|---|---|
| `architecture` | units, layers, activation, initializer, kernel_initializer, bias_initializer |
| `regularization` | l1, l2, l1_l2, dropout, batch_normalization (batchnorm) |
| `training` | learning_rate, momentum, epochs, batch_size, label_smoothing |
| `optimizers` | optimizer, with a learning rate and a momentum for each |
| `keras_names` | the names that Keras knows |
| `usual` | defaults and bounds where a range is overridden |

Each returns a parameter, or a group of parameters that a SearchSpace takes. Every
part can be overridden: `dropout(0.0, 0.6, name="dropout_top", role="scientific")`.
"""

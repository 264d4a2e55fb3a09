"""Training: from a trial's spec to a stream of epochs.

| module | holds |
|---|---|
| `trainer` | `Trainer`, the seam; what a trainer is given |
| `plain` | the trainer that calls `model.fit` |
| `compiled` | the trainer that runs whole epochs, by programs |
| `hypermodel` | the trainer of a `HyperModel` with a `fit` of its own |
| `fitness` | which trainings are for programs |
| `fitting` | what `fit` does, with an epoch per call |
| `programs` | traced once for a structure, lent to every trial that has it |
| `structure`, `fingerprints` | what of a model decides its graph, as a key |
| `code_reading` | what compiled Python code reads beside its arguments |
| `lifting` | numbers that a program reads from variables |
| `epochs` | an epoch and a validation as TensorFlow functions |
| `loops` | a step for each batch, as one function; what executes it |
| `graph_checks` | what a graph may hold if it is to be used again |
| `chosen_programs` | which programs train and validate a model now |
| `program_checks` | a program compared with the model's own steps |
| `callbacks` | which callbacks watch batches, or may change a model |
| `variables` | making variables ahead of the training |
| `batches` | training data in the order of each epoch, validation data as it is |
| `streaming`, `tensors` | data batch by batch; arrays as TensorFlow takes them |
| `environment` | what bits depend on beside spec and code |
| `seed_states` | the seed generators that are not the model's own |
| `determinism` | seeds, threads, and names of layers |
| `global_settings` | settings of the process, the same for each trial |
| `made_data` | data and class weights that functions of `hp` make for each trial |
| `building` | from hyperparameters to a compiled model, checked |
| `target_checks`, `compared_outputs` | whether output and loss fit the targets |
| `discovering`, `repeated_builds` | a study's space; whether a builder repeats its model |
| `metric_directions` | which way a metric gets better |
| `trying` | the default model, trained for a batch before the study |
| `peak_memory` | the most memory that a trial took |
| `best_weights` | the weights of the best epoch, kept and written |
| `beyond_weights` | variables that a state holds beyond the weights |
| `callback_surroundings` | what callbacks keep outside of their attributes |
| `run_trial`, `watch` | the whole of a trial; following its training epoch by epoch |
| `checkpointing` | keeping the state of a training, and resuming from it |
| `states`, `state_writer`, `callback_states` | that state in a file; writing it; callbacks in it |
| `weight_layouts` | where in a file of weights each array is |
| `champion`, `signatures` | a trial's best weights as a model of MLflow |
| `served` | that model, taking samples as their user has them |
| `own_code`, `champion_loader` | the code of its own layers, and what loads them |
"""

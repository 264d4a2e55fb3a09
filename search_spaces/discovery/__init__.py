"""Discovery: the space of a builder that declares its hyperparameters inline.

| module | holds |
|---|---|
| `covering` | builds for every pair of values, to find what depends on two of them |
| `discover` | `discover(build)`, which puts all of this together |
| `exploration` | chooses values for builds until no build declares anything new |
| `inference` | the condition under which a parameter is active, from builds |
| `probing` | which values of a parameter deserve a build |
| `reading` | which parameters of a declared space a builder uses, and what else it declares |
| `replaying` | whether a function would read the same from other hyperparameters |
| `traced_hyperparameters` | the `hp` of a traced build, which notes what it declares |
| `tracing` | running a builder on chosen values, and what it then declared |
"""

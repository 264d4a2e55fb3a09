"""Discovery: the space of a builder that declares its hyperparameters inline.

| module | holds |
|---|---|
| `discover` | `discover(build)`, which puts the next two together |
| `exploring` | which values deserve a build, and under which condition a parameter is active |
| `tracing` | running a builder on chosen values, and what it then declared |
| `reading` | which parameters of a declared space a builder reads, or a function of its `hp` |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

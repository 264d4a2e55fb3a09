from .class_weights import (
    resolve_class_weight as resolve_class_weight,
)
from .class_weights import (
    with_class_weight as with_class_weight,
)
from .engine_options import name_of_object as name_of_object
from .engine_options import split_options as split_options
from .outputs import Output as Output
from .seeds import (
    epoch_seed as epoch_seed,
)
from .seeds import (
    fold_seed as fold_seed,
)
from .seeds import (
    permutation as permutation,
)
from .seeds import (
    sampler_seed as sampler_seed,
)
from .seeds import (
    trial_seed as trial_seed,
)
from .settings import (
    ENGINES as ENGINES,
)
from .settings import (
    PRUNERS as PRUNERS,
)
from .settings import (
    check_engine as check_engine,
)
from .settings import (
    check_pruner as check_pruner,
)
from .settings import (
    check_seconds as check_seconds,
)
from .settings import (
    hyperband_trials as hyperband_trials,
)

from .discovery.discover import Discovery as Discovery
from .discovery.discover import discover as discover
from .errors import (
    BuilderError as BuilderError,
)
from .errors import (
    ComparisonError as ComparisonError,
)
from .errors import (
    DataError as DataError,
)
from .errors import (
    EngineError as EngineError,
)
from .errors import (
    FailedAlikeError as FailedAlikeError,
)
from .errors import (
    HyperparameterError as HyperparameterError,
)
from .errors import (
    InternalError as InternalError,
)
from .errors import (
    KerastudyError as KerastudyError,
)
from .errors import (
    NoTestPartError as NoTestPartError,
)
from .errors import (
    NotRecordableError as NotRecordableError,
)
from .errors import (
    ObjectiveError as ObjectiveError,
)
from .errors import (
    SearchSpaceError as SearchSpaceError,
)
from .errors import (
    SeedError as SeedError,
)
from .errors import (
    ServerAwayError as ServerAwayError,
)
from .errors import (
    ServerRefusedError as ServerRefusedError,
)
from .errors import (
    StatisticsError as StatisticsError,
)
from .errors import (
    StoreError as StoreError,
)
from .errors import (
    StoreLockedError as StoreLockedError,
)
from .errors import (
    StudyChangedError as StudyChangedError,
)
from .errors import (
    StudyDeletedError as StudyDeletedError,
)
from .errors import (
    StudyError as StudyError,
)
from .errors import (
    StudyFileError as StudyFileError,
)
from .errors import (
    StudyNameError as StudyNameError,
)
from .errors import (
    StudyNotFoundError as StudyNotFoundError,
)
from .errors import (
    TrackingError as TrackingError,
)
from .errors import (
    UnchangeableError as UnchangeableError,
)
from .errors import (
    WorkerError as WorkerError,
)
from .hyperparameters import Hyperparameters as Hyperparameters
from .keras_names import (
    ACTIVATIONS as ACTIVATIONS,
)
from .keras_names import (
    BIAS_INITIALIZERS as BIAS_INITIALIZERS,
)
from .keras_names import (
    INITIALIZER_ALIASES as INITIALIZER_ALIASES,
)
from .keras_names import (
    INITIALIZERS as INITIALIZERS,
)
from .keras_names import (
    OPTIMIZERS as OPTIMIZERS,
)
from .keras_names import (
    UNUSABLE_ACTIVATIONS as UNUSABLE_ACTIVATIONS,
)
from .keras_names import (
    UNUSABLE_INITIALIZERS as UNUSABLE_INITIALIZERS,
)
from .keras_names import (
    UNUSABLE_OPTIMIZERS as UNUSABLE_OPTIMIZERS,
)
from .library_parts import (
    AttributePart as AttributePart,
)
from .library_parts import (
    MissingPartError as MissingPartError,
)
from .library_parts import (
    ModulePart as ModulePart,
)
from .library_parts import (
    PrivatePart as PrivatePart,
)
from .library_parts import (
    private_parts as private_parts,
)
from .parameters.kinds import (
    ROLES as ROLES,
)
from .parameters.kinds import (
    Boolean as Boolean,
)
from .parameters.kinds import (
    Choice as Choice,
)
from .parameters.kinds import (
    Fixed as Fixed,
)
from .parameters.kinds import (
    Float as Float,
)
from .parameters.kinds import (
    Int as Int,
)
from .parameters.kinds import (
    Parameter as Parameter,
)
from .parameters.scalars import NOT_GIVEN as NOT_GIVEN
from .parameters.scalars import Scalar as Scalar
from .parameters.scales import SCALES as SCALES
from .ready_made import (
    activation as activation,
)
from .ready_made import (
    batch_normalization as batch_normalization,
)
from .ready_made import (
    batch_size as batch_size,
)
from .ready_made import (
    batchnorm as batchnorm,
)
from .ready_made import (
    bias_initializer as bias_initializer,
)
from .ready_made import (
    dropout as dropout,
)
from .ready_made import (
    epochs as epochs,
)
from .ready_made import (
    initializer as initializer,
)
from .ready_made import (
    kernel_initializer as kernel_initializer,
)
from .ready_made import (
    l1 as l1,
)
from .ready_made import (
    l1_l2 as l1_l2,
)
from .ready_made import (
    l2 as l2,
)
from .ready_made import (
    label_smoothing as label_smoothing,
)
from .ready_made import (
    layers as layers,
)
from .ready_made import (
    learning_rate as learning_rate,
)
from .ready_made import (
    momentum as momentum,
)
from .ready_made import (
    optimizer as optimizer,
)
from .ready_made import (
    units as units,
)
from .space.membership import Containment as Containment
from .space.search_space import SearchSpace as SearchSpace
from .spellings import spell_domain as spell_domain
from .tailoring import Tailoring as Tailoring
from .tailoring import parse_edit as parse_edit

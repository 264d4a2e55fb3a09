from .reading import reading_of as reading_of
from .replaying import (
    RecordedHyperparameters as RecordedHyperparameters,
)
from .replaying import (
    answers_alike as answers_alike,
)

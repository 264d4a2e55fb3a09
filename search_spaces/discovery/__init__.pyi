from .reading import RecordedHyperparameters as RecordedHyperparameters
from .reading import answers_alike as answers_alike
from .reading import reading_of as reading_of

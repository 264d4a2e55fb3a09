from .files import KeptScores as KeptScores
from .files import ScoresError as ScoresError
from .files import read_scores as read_scores
from .files import write_scores as write_scores
from .sample_scores import SampleScores as SampleScores
from .sample_scores import average as average
from .sample_scores import pooled as pooled
from .sample_scores import score_matrix as score_matrix

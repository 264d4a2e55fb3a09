from .sample_scores import SampleScores as SampleScores
from .sample_scores import average as average
from .sample_scores import pooled as pooled
from .sample_scores import score_matrix as score_matrix
from .score_files import ScoresError as ScoresError
from .score_files import read_scores as read_scores
from .score_files import write_scores as write_scores

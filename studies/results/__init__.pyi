from .model_loading import load_model as load_model
from .study_results import StudyResults as StudyResults
from .study_results import read_study as read_study

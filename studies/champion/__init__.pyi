from .evaluation import Reading as Reading
from .inputs import Inputs as Inputs
from .inputs import Taken as Taken
from .inputs import read_inputs as read_inputs
from .prediction import predictions_table as predictions_table

from .variants import holding_all as holding_all
from .variants import read_as as read_as

from .definitions import check_code as check_code
from .definitions import check_definitions as check_definitions
from .findings import read_record as read_record
from .runs import check_lost_parents as check_lost_parents
from .runs import check_readable as check_readable
from .runs import check_running as check_running

from .definitions import check_code as check_code
from .definitions import check_definitions as check_definitions
from .lost import check_lost_parents as check_lost_parents
from .runs import check_readable as check_readable
from .runs import check_running as check_running
from .studies import read_record as read_record

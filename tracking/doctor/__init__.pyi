from .checks import check_champion as check_champion
from .checks import check_code as check_code
from .checks import check_journal as check_journal
from .checks import check_running as check_running
from .findings import Finding as Finding
from .findings import attended as attended

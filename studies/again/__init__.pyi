from .reproduction import (
    Reproduction as Reproduction,
)
from .reproduction import (
    max_difference as max_difference,
)
from .reproduction import (
    reproduce as reproduce,
)
from .reruns import unsound_checkpoints as unsound_checkpoints

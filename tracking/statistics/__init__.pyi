from .corrections import confirmed_value as confirmed_value
from .corrections import corrected as corrected
from .intervals import (
    crossed as crossed,
)
from .intervals import (
    gain as gain,
)
from .intervals import (
    heavy_tails as heavy_tails,
)
from .intervals import (
    level_of_reading as level_of_reading,
)
from .intervals import (
    loss_interval as loss_interval,
)
from .intervals import (
    share_bounds as share_bounds,
)
from .race import Round as Round
from .race import rounds as rounds
from .race import survivors as survivors
from .sentences import (
    grounds as grounds,
)
from .sentences import (
    interval_text as interval_text,
)
from .sentences import (
    verdict_sentences as verdict_sentences,
)

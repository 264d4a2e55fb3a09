from .confirm import confirm_study as confirm_study
from .outcome import not_paired as not_paired
from .plan import DEFAULTS as DEFAULTS
from .plan import ConfirmOptions as ConfirmOptions
from .plan import make_plan as make_plan

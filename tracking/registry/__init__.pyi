from .champions import register_champion as register_champion
from .champions import withdraw_champion as withdraw_champion

"""The level of an interval after several readings of the same test part."""

from __future__ import annotations

from search_spaces.errors import StatisticsError
from tracking.statistics.crossed import check_level


def level_of_reading(readings: int, level: float = 0.95) -> float:
    """Returns the level of the interval at a reading: 1 - 0.05 / r at the r-th.

    Who reads a test part again may keep the better of two results. With Bonferroni's inequality,
    each of r intervals is made so wide that all of them hold at `level`. O. J. Dunn, Multiple
    comparisons among means, Journal of the American Statistical Association 56, 1961.

    Args:
        readings: How often the part was read, this time included: 1 or more.
        level: The level of the first reading: above 0, below 1.

    Raises:
        StatisticsError: If there is no reading, or the level is no share.
    """
    check_level(level)
    if readings < 1:
        raise StatisticsError(f"readings must be 1 or more, not {readings}")
    return 1 - (1 - level) / readings

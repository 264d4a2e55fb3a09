from .cluster import RayOptions as RayOptions
from .cluster import check_address as check_address

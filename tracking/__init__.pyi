from .records import Objective as Objective
from .store.store_folder import Store as Store

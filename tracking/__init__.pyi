from .records import Objective as Objective
from .store.store_folder_and_json import Store as Store

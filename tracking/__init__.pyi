from .records import Objective as Objective

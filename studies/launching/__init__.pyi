from .launch import describe_target as describe_target
from .launch import launch_study as launch_study
from .launch import launch_target as launch_target
from .launch import run_study as run_study
from .launch_checks_lock_and_journal import differences as differences
from .launch_checks_lock_and_journal import server_for as server_for
from .launch_checks_lock_and_journal import warnings_of as warnings_of

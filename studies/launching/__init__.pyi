from .launch import launch_target as launch_target
from .opening import LaunchOptions as LaunchOptions
from .starting_values import read_rows as read_rows
from .study_run import run_study as run_study

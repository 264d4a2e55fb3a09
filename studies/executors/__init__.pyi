from .jobs import Executor as Executor
from .jobs import Handler as Handler
from .jobs import Job as Job
from .jobs import Jobs as Jobs
from .jobs import result_of_lost as result_of_lost
from .jobs import run_jobs as run_jobs
from .jobs import spec_of as spec_of
from .messages import LoadStudy as LoadStudy
from .pool import LaunchWorkers as LaunchWorkers
from .pool import LocalWorkers as LocalWorkers
from .pool import WorkerPool as WorkerPool
from .ray.cluster import check_installed as check_installed
from .ray.cluster import connected as connected
from .ray.cluster import silent as silent
from .ray.workers import RayPool as RayPool
from .ray.workers import RayWorkers as RayWorkers
from .session import InProcessExecutor as InProcessExecutor
from .session import Session as Session
from .sizing import (
    Machine as Machine,
)
from .sizing import (
    asked_workers as asked_workers,
)
from .sizing import (
    described_workers as described_workers,
)
from .sizing import (
    suited_workers as suited_workers,
)
from .sizing import (
    this_machine as this_machine,
)
from .sizing import (
    too_many as too_many,
)
from .sizing import variables_of as variables_of
from .sizing import visible_gpus as visible_gpus
from .worker import OnOutput as OnOutput
from .worker import ProcessLike as ProcessLike
from .worker import WorkerExecutor as WorkerExecutor
from .worker import WorkerProcess as WorkerProcess
from .worker import kind_of as kind_of
from .worker_main import serve as serve

"""Trials on a Ray cluster: each worker is an actor that runs a worker process on its node.

The driver alone asks, decides and records. An actor of Ray's core holds the resources of one worker
(CPUs, a GPU or a share of one), starts the same worker process as a launch on this machine, and
passes messages and files on. So all else is shared with local workers: `WorkerPool`,
`WorkerExecutor`, `worker_main`. Ray is imported only when it is used.

| module | holds |
|---|---|
| `options` | what a launch says of the cluster |
| `cluster` | the connection to the cluster, or a cluster on this machine; private parts of Ray |
| `workers` | a launch's workers on the cluster: their number, resources, and the driver's side |
| `host` | what an actor does on a node |
| `parcels` | messages between the two, with files |
"""

"""The connection to Ray, and which paths mean the same thing on every machine of the cluster."""

import logging
import os
import secrets

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.command import InputError
from shards.location import Location, locate

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""`ray job submit` sets this variable for the program that it starts."""


def connect() -> None:
    """Joins the cluster that `RAY_ADDRESS` names, as under `ray job submit`; otherwise starts Ray in this process.

    It never joins a cluster that merely runs on this machine.
    """
    # Which operators a plan has is Ray's business; its progress, its warnings and its errors are the user's.
    logging.getLogger("ray.data._internal.execution.streaming_executor").setLevel(logging.WARNING)
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS") or "local", log_to_driver=True)


def resolve(field: str, uri: str) -> Location:
    """The location that the config's `field` names.

    Raises InputError for a relative path under `ray job submit`, where it would lie in Ray's upload folder and be
    lost with it.
    """
    if SUBMITTED in os.environ and "://" not in uri and not os.path.isabs(uri):
        raise InputError(
            f"{field} is {uri!r}, a relative path, and under `ray job submit` it would be lost in Ray's upload "
            "folder; give an absolute path or an address such as s3://"
        )
    return locate(uri)


def check_shared(field: str, folder: Location) -> None:
    """Raises InputError if there are several nodes and one of them does not see `folder`.

    A probe file is written here and looked for on every node, before any work starts.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    probe = folder / f".probe-{secrets.token_hex(8)}"
    probe.write(b"")
    try:
        blind = [node["NodeManagerAddress"] for node in nodes if not _sees(node["NodeID"], probe)]
    finally:
        probe.filesystem.delete_file(probe.path)
    if blind:
        raise InputError(
            f"{field} {folder} is not seen by {len(blind)} of {len(nodes)} nodes ({', '.join(blind)}); "
            "give a shared folder or an address such as s3://"
        )


def _sees(node_id: str, probe: Location) -> bool:
    here = NodeAffinitySchedulingStrategy(node_id, soft=False)
    exists = ray.remote(lambda: probe.exists()).options(num_cpus=0, scheduling_strategy=here)
    return ray.get(exists.remote())

"""A node of two that goes while it trains: the run goes on with the worker that is left, or with one on a new node."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import printed

from training.config import TrainingConfig
from training.log import read_log

UPDATES, CHECKPOINT_EVERY = 40, 8
SCRIPT = """
import os, sys, threading, time
from pathlib import Path

folder, output, what, *arguments = sys.argv[1:]
os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "0.2"
import ray
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from training import run
from training.log import read_log

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "temp_dir": folder, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
ray.init(address=cluster.address)

def take_away():
    while not (records := read_log(Path(output))) or records[-1]["update"] < 6:
        time.sleep(0.01)
    if what == "told of":
        deadline = time.time() + 60
        GcsClient(address=cluster.gcs_address).drain_node(node.node_id, 2, "a test", int(1000 * deadline))
        while not [path for path in Path(output).glob("checkpoints/*/manifest.json") if int(path.parent.name[7:]) % 8]:
            time.sleep(0.01)
    cluster.remove_node(node, allow_graceful=False)
    print("a node is gone", flush=True)
    if what != "lost":
        cluster._shutdown_at_exit = False  # a signal handler, which only the main thread may set
        cluster.add_node(num_cpus=1)

threading.Thread(target=take_away, daemon=True).start()
code = run.main(arguments)
print(sum(one["Alive"] for one in ray.nodes()), "nodes at the end")
ray.shutdown()
cluster.shutdown()
sys.exit(code)
"""


def run(config: TrainingConfig, *words: str) -> str:
    """Runs the config in a process of its own: `python WORDS --config ...`; returns what it prints."""
    path = Path(f"{config.output}.yaml")
    path.write_text(json.dumps(dataclasses.asdict(config)))  # JSON is YAML
    return printed(*words, "--config", str(path))


@pytest.fixture
def short_folder():
    """Ray's sockets lie in it, so it has a short name."""
    folder = tempfile.mkdtemp(prefix="ray-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(make_config: Callable[..., TrainingConfig], tmp_path_factory) -> TrainingConfig:
    output = tmp_path_factory.mktemp("run") / "output"
    config = make_config(output, updates=UPDATES, checkpoint_every=CHECKPOINT_EVERY, learning_rate=1e-3)
    run(config, "-m", "training.run")
    return config


@pytest.mark.slow
@pytest.mark.parametrize(("what", "failures", "least"), [("replaced", 1, 0), ("lost", 1, 1), ("told of", 0, 0)])
def test_a_node_that_goes_changes_no_loss(
    undisturbed: TrainingConfig, short_folder: str, tmp_path: Path, what: str, failures: int, least: int
):
    output = tmp_path / "output"
    config = dataclasses.replace(undisturbed, output=str(output), failures=failures, least_workers=least)

    printed = run(config, "-c", SCRIPT, short_folder, config.output, what)

    assert "a node is gone" in printed
    assert f"{1 if what == 'lost' else 2} nodes at the end" in printed
    records, expected = read_log(output), read_log(Path(undisturbed.output))
    losses, expected_losses = ([record["loss"] for record in one] for one in (records, expected))
    assert [record["update"] for record in records] == list(range(1, UPDATES + 1))
    if what == "lost":  # the worker that is left goes on alone, and sums in another order
        assert losses == [pytest.approx(loss, abs=1e-5) for loss in expected_losses]
        assert losses != expected_losses
    else:  # two workers all along
        assert losses == expected_losses
    written = [int(path.name[7:]) for path in (output / "checkpoints").iterdir()]
    assert len([update for update in written if update % CHECKPOINT_EVERY]) == (what == "told of")

"""A node that goes while it works: what it had not committed is done elsewhere, and nothing is lost or doubled."""

import shutil
import sys
import tempfile

import pytest
from jobs_to_kill import command, commits, files, finish, start

SCRIPT = """
import sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from pipeline import web

folder, commits = sys.argv[1], Path(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "temp_dir": folder, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
ray.init(address=cluster.address)

def remove():
    while len(list(commits.glob("*.json"))) < 2:
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)
    print("the node is gone with", len(list(commits.glob("*.json"))), "commits", flush=True)

threading.Thread(target=remove, daemon=True).start()
code = web.main(sys.argv[3:])
print(len([each for each in ray.nodes() if each["Alive"]]), "node left")
ray.shutdown()
cluster.shutdown()
sys.exit(code)
"""


@pytest.mark.slow
def test_a_node_that_goes_takes_nothing_with_it(site, material, tmp_path):
    photograph = (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()
    for n in range(24):
        site.file(f"/{n}.webp", photograph, "image/webp")
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of a picture.</p><img src={n}.webp>")
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url}/{n}.html\n" for n in range(24)))
    finish(start(command(urls, tmp_path / "undisturbed")))

    folder = tempfile.mkdtemp(prefix="ray-")  # short: Ray's sockets lie in it
    try:
        flags = command(urls, tmp_path / "out")[3:]
        job = start([sys.executable, "-c", SCRIPT, folder, str(tmp_path / "out" / "commits"), *flags])
        printed = finish(job)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert "the node is gone with" in printed
    assert "1 node left" in printed
    assert len(commits(tmp_path / "out")) == 12
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")

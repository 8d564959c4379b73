"""The same shards on a Ray cluster of two nodes, one of which dies."""

import os
import threading
import warnings
from pathlib import Path

import pytest

import attar
from attar import batch
from tests.batches import kept, pictures

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of which there are many


@pytest.fixture
def cluster(monkeypatch):
    """A head and a second node, each a set of processes of its own on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

    home = str(Path(attar.__file__).parents[1])
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (home, known))))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    memory = {"object_store_memory": 80 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **memory})
    made.second = made.add_node(num_cpus=1, object_store_memory=80 << 20)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_node_that_dies(cluster, tmp_path):
    source = pictures(tmp_path / "in", count=40, size=(240, 320))
    (source / "bad.png").write_bytes(b"no picture")
    options = {"reduce": "spp", "shard_images": 2}
    local = batch.run(source, tmp_path / "local", workers=2, **options)

    done = tmp_path / "ray" / "_attar" / "done"
    stopped = threading.Event()
    at_death = []

    def kill():
        while not stopped.wait(0.02):
            finished = len([*done.glob("*.json")]) if done.is_dir() else 0
            if finished >= 4:
                at_death.append(finished)
                cluster.remove_node(cluster.second, allow_graceful=False)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = batch.run(source, tmp_path / "ray", engine="ray", **options)
    finally:
        stopped.set()
        killer.join()
    assert at_death
    assert at_death[0] < report.shards, "the node died when all was done"
    assert (report.images_done, report.failed) == (local.images_done, local.failed) == (41, 1)
    assert kept(tmp_path / "ray") == kept(tmp_path / "local")

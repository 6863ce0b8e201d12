"""The cluster files are what Ray accepts."""

import json
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

CLUSTER = Path(__file__).parents[1] / "cluster"


@pytest.mark.parametrize("path", sorted(CLUSTER.glob("*.yaml")), ids=lambda path: path.name)
def test_cluster_yaml_obeys_rays_own_schema(path):
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    cluster = yaml.safe_load(path.read_text())
    jsonschema.validate(cluster, schema)
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    assert sum(kind["max_workers"] for kind in types.values()) <= cluster["max_workers"]
    assert all(kind["min_workers"] == 0 for kind in types.values()), "an idle cluster costs one head and nothing else"
    image = cluster["docker"]["image"]
    assert f":{ray.__version__}-" in image, f"{image} is not the Ray {ray.__version__} of constraints.txt"

from pathlib import Path
import pytest
from training.run import run

pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")

def test_run(ray_cluster, make_config, tmp_path: Path):
    run(make_config(tmp_path / "run", updates=20))
    for line in (tmp_path/"run/log.jsonl").read_text().splitlines(): print(line)

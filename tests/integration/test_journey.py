"""From a real site and a real archive to adapters: the two legs together."""

import json
import math

import pytest

from pipeline import web
from shards.dataset import open_dataset
from training import run as training


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_twenty_updates_on_a_real_site_and_a_real_archive(material, serve_folder, backbones, tmp_path, capsys):
    address = serve_folder(material / "sites" / "based-cooking")
    recipes, archive = str(tmp_path / "recipes"), str(tmp_path / "archive")
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    assert web.main(["--start", f"{address}/index.html", "--follow", "--output", recipes, *loopback]) == 0
    kiwix = str(material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz")
    assert web.main(["--warc", kiwix, "--output", archive]) == 0
    texts = [text.text for uri in (recipes, archive) for page in open_dataset(uri).documents() for text in page.texts]

    mixture = {
        "recipes": {"uri": recipes, "kind": "interleaved", "batch": 8, "max_text": 64},
        "archive": {"uri": archive, "kind": "interleaved", "batch": 2, "weight": 0.2, "max_text": 64},
    }
    argv = ["--output", str(tmp_path / "run"), "--datasets", json.dumps(mixture), *backbones(texts)]
    schedule = ["--updates", "20", "--learning_rate", "0.01", "--warmup", "5"]
    assert training.main([*argv, *schedule]) == 0
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [record["loss"]["recipes"] for record in records]
    assert len(losses) == 20
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])

    capsys.readouterr()
    assert training.main([*argv, *schedule]) == 0
    assert "already holds this run's 20 updates; nothing to do" in capsys.readouterr().out

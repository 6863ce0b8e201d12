"""The fetching benchmark on a handful of images: both sides get all of them, and the line that programs read."""

import asyncio
import json
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from benchmarks import fetch
from benchmarks.many_hosts import LARGEST, SMALLEST, addresses, find_jpegs, many_hosts, stand_in


@pytest.fixture
def jpegs(tmp_path):
    """A folder with three JPEGs of noise, two of them of the size that is served."""
    for side in (40, 400, 440):
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{side}.jpg", quality=90)
    return tmp_path


@pytest.fixture
def names(monkeypatch):
    """The hosts' names resolve until the test ends."""
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    stand_in()


def test_every_host_gives_its_jpegs_and_no_robots_txt(jpegs, names):
    files = find_jpegs(jpegs)
    assert [SMALLEST <= file.stat().st_size <= LARGEST for file in files] == [True, True]
    with many_hosts(files) as port:
        urls = addresses(port, 5, 20)
        assert len(set(urls)) == 20
        assert len({url.split("/")[2] for url in urls}) == 5
        for url in urls[:4]:
            place = int(url.rpartition("/")[2].removesuffix(".jpg"))
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == files[place % 2].read_bytes()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://host0.bench:{port}/robots.txt", timeout=10)


def test_an_image_that_does_not_come_ends_the_benchmark(jpegs, names):
    with many_hosts(find_jpegs(jpegs)) as port:
        urls = [f"http://host0.bench:{port}/none.png"]
        with pytest.raises(fetch.InputError, match="http_404"):
            asyncio.run(fetch._fetch_and_decode(urls, fetch.FetchBenchmarkConfig()))


@pytest.mark.slow
def test_the_benchmark_ends_with_its_figures(jpegs, names, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "SETTINGS", ((1, 4),))
    monkeypatch.setattr(fetch, "PROCESSES", (1,))
    sizes = [
        "--pages",
        "0",
        "--hosts",
        "5",
        "--images",
        "12",
        "--trial_images",
        "6",
        "--fetches",
        "20",
        "--rounds",
        "1",
    ]
    assert fetch.main(["--material", str(jpegs), *sizes]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["benchmark"] == "fetch"
    assert {name: target["must"] for name, target in said["targets"].items()} == {
        "ratio_to_img2dataset": ">= 1.5",
        "share_of_loopback_ceiling": ">= 0.7",
    }
    assert all(target["value"] > 0 for target in said["targets"].values())


def test_a_folder_without_jpegs_is_refused(tmp_path, capsys):
    assert fetch.main(["--material", str(tmp_path)]) != 0
    assert "holds no JPEG of 100 to 400 kB" in capsys.readouterr().err

"""Whole gathering jobs on real bytes: what arrives, what a second run does, and what a killed run leaves."""

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import pairs, video, web
from shards.dataset import open_dataset
from shards.document import Media, Text

ROOT = Path(__file__).parents[2]
LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
PHOTOGRAPHS_ON_PAGES = 98
"""Of the 105 photographs in based-cooking/pix, so many are named by a page that links reach; counted with grep."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def state(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def photograph(material: Path) -> bytes:
    return (material / "sites" / "based-cooking" / "pix" / "pan-pizza.webp").read_bytes()


@pytest.mark.usefixtures("ray_cluster")
def test_a_real_site_arrives_and_a_second_run_changes_nothing(material, serve_folder, tmp_path, capsys):
    address = serve_folder(material / "sites" / "based-cooking")
    argv = ["--start", f"{address}/index.html", "--follow", "--output", str(tmp_path / "out"), *LOOPBACK]
    assert web.main(argv) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    documents = list(dataset.documents())
    photographs = {media.url for document in documents for media in document.media}
    assert len(photographs) == PHOTOGRAPHS_ON_PAGES
    assert dataset.manifest.counts["pages"] > 380
    assert dataset.manifest.drops["page_no_images"] > 250
    pizza = next(document for document in documents if document.source.endswith("/pan-pizza.html"))
    assert [type(block) for block in pizza.blocks] == [Text, Media, Text]
    assert pizza.facts["title"].startswith("Pan pizza")
    shown = capsys.readouterr().out
    assert "dropped: page_no_images" in shown
    assert "documents/s" in shown

    before = state(tmp_path / "out")
    assert web.main(argv) == 0
    assert "was finished already; nothing was changed" in capsys.readouterr().out
    assert state(tmp_path / "out") == before


@pytest.mark.usefixtures("ray_cluster")
def test_an_archive_gives_pages_with_its_own_images(material, tmp_path):
    archive = material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz"
    assert web.main(["--warc", str(archive), "--output", str(tmp_path)]) == 0
    dataset = open_dataset(str(tmp_path))
    assert [document.source for document in dataset.documents()] == [
        "https://kiwix.org/en/",
        "https://kiwix.org/en/about-us/",
    ]
    assert dataset.manifest.counts["images"] == 4
    assert dataset.manifest.counts["pages"] == 3


@pytest.mark.usefixtures("ray_cluster")
def test_a_cut_archive_keeps_what_stands_before_the_cut(material, tmp_path):
    whole = (material / "warc" / "warc2zim__kiwix-with-redirects.warc.gz").read_bytes()
    (tmp_path / "cut.warc.gz").write_bytes(whole[: len(whole) * 9 // 10])
    assert web.main(["--warc", str(tmp_path / "*.warc.gz"), "--output", str(tmp_path / "out")]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    assert [document.source for document in dataset.documents()] == ["https://kiwix.org/en/"]
    assert dataset.manifest.counts["archives_cut"] == 1
    assert "cut.warc.gz is cut or broken" in dataset.manifest.notes[0]


@pytest.mark.usefixtures("ray_cluster")
def test_pairs_arrive_in_order_and_every_loss_is_counted(site, photograph, tmp_path, capsys):
    site.file("/a.webp", photograph, "image/webp")
    site.file("/b.webp", b"<html>not a picture</html>", "image/webp")
    urls = [f"{site.url}/{name}" for name in ("a.webp", "b.webp", "gone.webp", "a.webp", "a.webp")] + ["ftp://x/y"]
    captions = ["A pizza.", "Nothing.", "Gone.", "Pizza again.", None, "Elsewhere."]
    table = pa.table({"address": urls, "words": captions})
    pq.write_table(table, tmp_path / "list.parquet")
    argv = ["--input", str(tmp_path / "list.parquet"), "--output", str(tmp_path / "out"), "--url-col", "address"]
    assert pairs.main([*argv, "--caption-col", "words", "--chunk_pairs", "2", *LOOPBACK]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    documents = list(dataset.documents())
    assert [[type(block) for block in document.blocks] for document in documents] == [[Media, Text], [Media, Text]]
    assert sorted(document.texts[0].text for document in documents) == ["A pizza.", "Pizza again."]
    assert dataset.manifest.drops == {
        "caption_empty": 1,
        "image_bad_address": 1,
        "image_http_404": 1,
        "image_not_an_image": 1,
    }
    assert pairs.main([*argv, "--caption-col", "nothing"]) == 2
    assert "has no column 'nothing'; its columns are address, words" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_a_limit_ends_with_an_estimate_and_the_whole_goes_on_from_there(site, photograph, tmp_path, capsys):
    for n in range(6):
        site.file(f"/{n}.webp", photograph, "image/webp")
    lines = "".join(f"{site.url}/{n}.webp,Picture {n}.\n" for n in range(6))
    (tmp_path / "list.csv").write_text("url,caption\n" + lines)
    argv = ["--input", str(tmp_path / "list.csv"), "--output", str(tmp_path / "out"), "--chunk_pairs", "2", *LOOPBACK]
    assert pairs.main([*argv, "--limit", "2"]) == 0
    assert "The whole, 6 pairs, would take about" in capsys.readouterr().out
    asked = len(site.requests)
    assert pairs.main(argv) == 0
    assert open_dataset(str(tmp_path / "out")).manifest.documents == 6
    pictures = [path for path in site.requests[asked:] if path != "/robots.txt"]
    assert sorted(pictures) == ["/2.webp", "/3.webp", "/4.webp", "/5.webp"]

    asked = len(site.requests)
    for limit, documents in ((["--limit", "2"], 2), ([], 6)):
        assert pairs.main([*argv, *limit]) == 0
        assert len(list(open_dataset(str(tmp_path / "out")).documents())) == documents
    assert len(site.requests) == asked, "what is committed is not fetched again, whatever the limit was in between"


@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_of_videos(material, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("cockatoo.mp4", "frog.webm"):
        (folder / name).write_bytes((material / "videos" / name).read_bytes())
        (folder / name).with_suffix(".txt").write_text(f"A film:\n {name}\n")
    (folder / "broken.mp4").write_bytes(b"#EXTM3U\nfile:///etc/passwd")
    (folder / "broken.txt").write_text("A playlist.")
    (folder / "mute.mp4").write_bytes(b"")
    assert video.main(["--input", str(folder), "--output", str(tmp_path / "out")]) == 0
    dataset = open_dataset(str(tmp_path / "out"))
    found = {Path(document.source).name: document for document in dataset.documents()}
    assert sorted(found) == ["cockatoo.mp4", "frog.webm"]
    assert found["frog.webm"].texts[0].text == "A film: frog.webm"
    (clip,) = found["cockatoo.mp4"].media
    assert [frame.seconds for frame in clip.frames] == [float(n) for n in range(len(clip.frames))]
    assert len(clip.frames) == math.ceil(found["cockatoo.mp4"].measures["seconds"])
    assert dataset.manifest.drops == {"video_not_a_video": 1, "video_no_text": 1}
    before = state(tmp_path / "out")
    assert video.main(["--input", str(folder), "--output", str(tmp_path / "out")]) == 0
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("job", "argv", "sentence"),
    [
        (web, [], "output"),
        (web, ["--output", "o"], "give exactly one of --urls, --start"),
        (web, ["--output", "o", "--urls", "/none.txt"], "/none.txt cannot be read"),
        (web, ["--output", "o", "--start", "ftp://x.org"], "start is 'ftp://x.org'"),
        (web, ["--output", "o", "--warc", "/none/*.warc.gz"], "names no file"),
        (web, ["--output", "o", "--start", "http://x.org", "--allow-network", "all"], "'all' does not appear"),
        (web, ["--output", "o", "--start", "http://x.org", "--image.quality", "0"], "image.quality is 0"),
        (pairs, ["--output", "o", "--input", "/none.parquet"], "/none.parquet cannot be read"),
        (video, ["--output", "o", "--input", "/none.csv"], "/none.csv cannot be read"),
        (video, ["--output", "o", "--input", "x", "--decoder", "vlc"], "decoder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(job, argv, sentence, capsys):
    assert job.main(argv) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_lists_that_are_not_what_their_name_says(tmp_path, capsys):
    (tmp_path / "list.parquet").write_text("url,caption\n")
    (tmp_path / "list.txt").write_text("http://x.org/\nnot an address\n")
    assert pairs.main(["--output", "o", "--input", str(tmp_path / "list.parquet")]) == 2
    assert "cannot be read as parquet" in capsys.readouterr().err
    assert web.main(["--output", "o", "--urls", str(tmp_path / "list.txt")]) == 2
    assert "entry 2: 'not an address' is not an http or https address" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_the_output_of_another_job_is_refused(site, photograph, tmp_path, capsys):
    site.file("/a.webp", photograph)
    (tmp_path / "list.csv").write_text(f"url,caption\n{site.url}/a.webp,A picture.\n")
    out = str(tmp_path / "out")
    argv = ["--input", str(tmp_path / "list.csv"), "--output", out, *LOOPBACK]
    assert pairs.main(argv) == 0
    assert web.main(["--start", f"{site.url}/", "--output", out]) == 2
    assert "belongs to pipeline.pairs, not pipeline.web" in capsys.readouterr().err
    assert pairs.main([*argv, "--image.quality", "50"]) == 2
    assert "was begun with another image" in capsys.readouterr().err
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ".job.json.0123.partial").write_text("{")
    assert pairs.main([*argv, "--output", str(tmp_path / "begun")]) == 0
    assert [path.name for path in (tmp_path / "begun").glob(".*")] == [".writer"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert pairs.main([*argv, "--output", str(tmp_path / "mine")]) == 2
    assert "with other files in it" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_job_run_again_ends_as_an_undisturbed_one(site, photograph, tmp_path):
    for n in range(16):
        site.file(f"/{n}.webp", photograph, "image/webp")
        site.page(f"/{n}.html", f"<p>Page number {n} speaks of a picture.</p><img src={n}.webp>")
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{n}.html\n" for n in range(16)))

    def command(output: str) -> list[str]:
        paths = ["--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / output), "--chunk_pages", "2"]
        slow = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0.15"]
        return [sys.executable, "-m", "pipeline.web", *paths, *slow]

    driver = subprocess.Popen(command("killed"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while len(list((tmp_path / "killed").glob("commits/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    committed = list((tmp_path / "killed").glob("commits/*.json"))
    assert 3 <= len(committed) < 8
    assert not (tmp_path / "killed" / "manifest.json").exists()

    for output in ("killed", "undisturbed"):
        subprocess.run(command(output), cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    assert open_dataset(str(tmp_path / "killed")).manifest.documents == 16

"""img2dataset as an engine gives what the native one gives, by the same manners, on one list and server."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline import pairs
from shards.dataset import open_dataset

LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.retries", "0"]
pytestmark = pytest.mark.usefixtures("ray_cluster")


def picture(width: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, 240)).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def listed(site, tmp_path) -> Path:
    """A list of pictures, and of everything that may go wrong with one."""
    for number in range(7):
        site.file(f"/good/{number} ä.jpg", picture(320 + number))
        site.answers[f"/good/{number}%20%C3%A4.jpg"] = site.answers.pop(f"/good/{number} ä.jpg")
    site.file("/small.png", picture(20, "PNG"))
    site.file("/text.png", b"<html>no picture</html>")
    site.file("/large.jpg", picture(320) + bytes(300_000))
    site.file("/private/a.jpg", picture(320))
    site.answers["/noai.jpg"] = (200, {"X-Robots-Tag": "noai"}, picture(320))
    site.answers["/busy.jpg"] = (503, {}, b"")
    site.answers["/moved.jpg"] = (301, {"Location": "/good/0%20%C3%A4.jpg"}, b"")
    site.answers["/inside.jpg"] = (302, {"Location": "http://10.0.0.1/secret.jpg"}, b"")
    site.answers["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /private/\n")
    names = [*(f"good/{number} ä.jpg" for number in range(7)), "good/0%20%C3%A4.jpg#twice", "moved.jpg"]
    names += ["small.png", "text.png", "large.jpg", "private/a.jpg", "noai.jpg", "busy.jpg", "gone.jpg", "inside.jpg"]
    rows = [{"url": f"{site.url}/{name}", "caption": f"Picture {n}", "n": n} for n, name in enumerate(names)]
    rows += [{"url": "http://169.254.169.254/latest", "caption": "Metadata"}, {"url": "ftp://x/y", "caption": "No web"}]
    rows += [{"url": f"{site.url}/good/1 ä.jpg", "caption": ""}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "list.jsonl"


def gather(listed: Path, output: str, *more: str):
    argv = ["--input", str(listed), "--output", str(listed.parent / output), "--chunk_pairs", "6", *LOOPBACK, *more]
    assert pairs.main([*argv, "--fetch.image_bytes", "200000"]) == 0
    return open_dataset(str(listed.parent / output))


def told(dataset):
    return [
        (document.key, document.source, document.facts, document.blocks, document.measures)
        for document in dataset.documents()
    ]


def test_both_engines_give_the_same_documents_and_the_same_reasons(listed, site, capsys):
    native = gather(listed, "native")
    asked = sorted(site.requests)
    site.requests.clear()
    other = gather(listed, "img2dataset", "--engine", "img2dataset")
    assert told(other) == told(native)
    assert len(told(native)) == 9
    assert other.manifest.drops == native.manifest.drops
    assert native.manifest.drops == {
        "caption_empty": 1, "image_bad_address": 1, "image_forbidden_address": 2, "image_header_noai": 1,
        "image_http_404": 1, "image_http_503": 1, "image_not_an_image": 1, "image_robots": 1, "image_side_under": 1,
        "image_too_large": 1,
    }  # fmt: skip
    assert sorted(site.requests) == asked, "the site is asked for the same, each once"
    assert not (listed.parent / "img2dataset" / "work").exists()
    site.answers["/busy.jpg"] = (200, {}, picture(330))
    again = gather(listed, "img2dataset", "--retry_failed", "true")
    assert len(told(again)) == 10, "what failed for a time is asked for by the native engine"
    capsys.readouterr()
    gather(listed, "img2dataset", "--engine", "img2dataset")
    assert "nothing was changed" in capsys.readouterr().out


def test_its_own_options_resize_and_encode_and_a_trusted_list_is_said_to_be_one(listed, site, capsys):
    rows = listed.read_text().splitlines()  # without those that lead out of this machine, where it would go
    listed.write_text("\n".join(row for row in rows if "169.254" not in row and "inside" not in row))
    options = ["--img2dataset.disable_all_reencoding", "false", "--img2dataset.image_size", "100"]
    trusted = gather(listed, "out", "--engine", "img2dataset", "--trust_list", "true", *options)
    assert "trust_list: img2dataset asked the list's addresses itself, without robots.txt" in capsys.readouterr().out
    assert "/robots.txt" not in site.requests
    assert {min(m.frames[0].width, m.frames[0].height) for d in trusted.documents() for m in d.media} == {100}
    drops = trusted.manifest.drops
    assert drops["image_http_404"] == drops["image_http_503"] == drops["image_header_disallowed"] == 1
    assert {f"{site.url}/private/a.jpg", f"{site.url}/large.jpg"} <= {
        document.source for document in trusted.documents()
    }


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--trust_list", "true"], "trust_list is for engine img2dataset"),
        (["--engine", "img2dataset", "--retry_failed", "true"], "retry_failed is for engine native"),
        (["--img2dataset.thread_count", "0"], "img2dataset.thread_count is 0; it must be 1 or greater"),
        (["--img2dataset.verify_hash", '["h", "md5"]'], "verify_hash is of md5 and img2dataset.compute_hash None"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(argv, sentence, capsys):
    assert pairs.main(["--input", "x", "--output", "y", *argv]) == 2
    assert sentence in capsys.readouterr().err

"""Whole runs of `pipeline.pairs`: sets and lists, cleaning by presets, several captions of one picture."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import pairs
from pipeline.ledger import read_records
from shards.dataset import open_dataset
from shards.document import Text

ROOT = Path(__file__).parents[2]
LOOPBACK = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0", "--fetch.retries", "0"]
pytestmark = pytest.mark.usefixtures("ray_cluster")


def picture(width: int = 320, height: int = 240, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def run(tmp_path: Path, input_: Path | str, *more: str, output: str = "out"):
    argv = ["--input", str(input_), "--output", str(tmp_path / output), *LOOPBACK, *more]
    assert pairs.main(argv) == 0
    return open_dataset(str(tmp_path / output))


def entries(tmp_path: Path, output: str = "out"):
    ledgers = sorted((tmp_path / output / "ledger").iterdir())
    location = open_dataset(str(tmp_path / output)).location / "ledger"
    return [entry for file in ledgers for record in read_records(location / file.name) for entry in record.entries]


@pytest.fixture(scope="module")
def coco(material):
    """The photographs, and their captions in the order of COCO's file, which is not that of the images."""
    folder = material / "images-captions" / "coco-by"
    said = json.loads((folder / "captions.json").read_text())
    names = {image["id"]: image["file_name"] for image in said["images"]}
    captions = dict[str, list[str]]()
    for annotation in said["annotations"]:
        captions.setdefault(names[annotation["image_id"]], []).append(annotation["caption"].strip())
    return folder / "images", captions


def test_cocos_five_captions_become_five_documents_or_one(coco, serve_folder, tmp_path):
    folder, captions = coco
    address = serve_folder(folder)
    rows = [{"url": f"{address}/{name}", "caption": texts, "split": "val"} for name, texts in captions.items()]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows[:12])))
    together = list(run(tmp_path, tmp_path / "list.jsonl", "--captions", "together", output="together").documents())
    assert [tuple(text.text for text in document.texts) for document in together] == [
        tuple(dict.fromkeys(texts)) for texts in list(captions.values())[:12]
    ]
    assert all(len(document.media) == 1 and document.facts == {"split": "val"} for document in together)
    apart = list(run(tmp_path, tmp_path / "list.jsonl", output="apart").documents())
    assert [document.texts[0].text for document in apart] == [
        text.text for document in together for text in document.texts
    ]
    assert {document.media[0].frames[0].data for document in apart} == {
        document.media[0].frames[0].data for document in together
    }


def test_a_set_of_openflamingos_needs_no_network_and_gives_what_a_list_gives(coco, serve_folder, tmp_path):
    folder, captions = coco
    address, names = serve_folder(folder), list(captions)[:10]
    (tmp_path / "list.jsonl").write_text(
        "".join(json.dumps({"url": f"{address}/{name}", "caption": captions[name][0]}) + "\n" for name in names)
    )
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for number, name in enumerate(names):
            said = json.dumps({"url": f"{address}/{name}", "caption": "less than the text", "key": number})
            for suffix, data in (
                ("jpg", (folder / name).read_bytes()),
                ("txt", captions[name][0].encode()),
                ("json", said.encode()),
            ):
                member = tarfile.TarInfo(f"{number:05d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    listed = list(run(tmp_path, tmp_path / "list.jsonl", output="listed").documents())
    held = list(run(tmp_path, tmp_path / "*.tar", "--chunk_pairs", "4", output="held").documents())
    assert [document.key for document in held] == [document.key for document in listed]
    assert [document.blocks for document in held] == [document.blocks for document in listed]
    assert [document.measures for document in held] == [document.measures for document in listed]


def test_a_folder_of_files_and_a_parquet_set(site, tmp_path):
    (tmp_path / "files" / "00000").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "files" / "00000" / f"{number}.png").write_bytes(picture(300 + number))
        (tmp_path / "files" / "00000" / f"{number}.txt").write_text(f"Picture {number}.")
    (tmp_path / "files" / "00000" / "3.jpg").write_bytes(b"no picture")
    dataset = run(tmp_path, tmp_path / "files", output="from_files")
    assert [document.texts[0].text for document in dataset.documents()] == [f"Picture {n}." for n in range(3)]
    assert dataset.manifest.drops == {"caption_empty": 1}
    rows = [{"url": "http://shy.example/a.jpg", "caption": "One.", "jpg": picture(), "status": "success"}]
    rows += [{"url": "http://x.example/b.jpg", "caption": "Two.", "jpg": picture(), "status": "success"}]
    rows += [{"url": "http://x.example/c.jpg", "caption": "Three.", "jpg": None, "status": "failed_to_download"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    (tmp_path / "opt_out.txt").write_text("shy.example\n")
    dataset = run(tmp_path, tmp_path / "set.parquet", "--opt_out", str(tmp_path / "opt_out.txt"), output="from_parquet")
    assert [document.source for document in dataset.documents()] == ["http://x.example/b.jpg"]
    assert dataset.manifest.drops == {"image_not_in_set": 1, "image_opted_out": 1}
    assert site.requests == []


GOOD = "A red boat on the blue sea under a grey and cloudy sky"
"""Thirteen words, letters and spaces."""


def preset_rows(site: str) -> tuple[list[dict[str, str]], dict[str, int]]:
    """A list in which every rule of the presets has something to drop, and how much."""
    rows = [
        {"url": f"{site}/shared{n}.png", "caption": "Click here to see more of our great new offers"} for n in range(11)
    ]
    rows += [{"url": f"{site}/often.png", "caption": f"{GOOD} {n}"} for n in range(1001)]
    rows += [{"url": f"{site}/good.png", "caption": GOOD}]
    rows += [
        {"url": f"{site}/small.png", "caption": f"{GOOD} small"},
        {"url": f"{site}/long.png", "caption": f"{GOOD} long"},
    ]
    rows += [{"url": f"{site}/file.png", "caption": "a long holiday on the beach at night.jpg"}]
    rows += [{"url": f"{site}/date.png", "caption": "Monday the 3rd of June 2013 at 10 pm"}]
    rows += [{"url": f"{site}/short.png", "caption": "A boat"}]
    rows += [{"url": f"{site}/verbose.png", "caption": " ".join([GOOD] * 10)}]
    return rows, {
        "caption_images_of_text_over": 11, "caption_texts_of_image_over": 1001, "image_side_under": 1,
        "image_aspect_over": 1, "caption_file_name_over": 1, "caption_date_over": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "dropped"),
    [
        ("align", {"caption_words_under": 1, "caption_words_over": 1}),
        ("ltip", {"caption_tokens_under": 1, "caption_tokens_over": 1}),
    ],
)
def test_presets_drop_by_every_rule_and_the_ledger_names_the_numbers(preset, dropped, site, tmp_path, capsys):
    for name, size in (("good", (400, 300)), ("small", (199, 210)), ("long", (900, 280))):
        site.file(f"/{name}.png", picture(*size))
    rows, common = preset_rows(site.url)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    dataset = run(tmp_path, tmp_path / "list.parquet", "--config", str(ROOT / "recipes" / "pairs" / f"{preset}.yaml"))
    assert [document.source for document in dataset.documents()] == [f"{site.url}/good.png"]
    assert dataset.manifest.drops == common | dropped
    assert sorted({path for path in site.requests if path != "/robots.txt"}) == ["/good.png", "/long.png", "/small.png"]
    found = {(entry.address.rpartition("/")[2], entry.kind): entry for entry in entries(tmp_path)}
    shared, often = found["shared0.png", "caption"], found["often.png", "caption"]
    assert (shared.reason, shared.measure, shared.threshold) == ("images_of_text_over", 11, 10)
    assert (often.reason, often.measure, often.threshold) == ("texts_of_image_over", 1001, 1000)
    assert found["small.png", "image"].measure == 199
    assert found["good.png", "caption"].measures["images_of_text"] == 1
    assert "captions have 13.0 tokens on average (10%: 13" in capsys.readouterr().out


def test_rare_tokens_by_their_rank_in_this_list(site, tmp_path):
    site.file("/a.png", picture())
    rows = [{"url": f"{site.url}/a.png", "caption": f"one red boat {n % 2}"} for n in range(4)]
    rows += [{"url": f"{site.url}/a.png", "caption": "one red mggqpuweqdpd"}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # one, red and `one red` occur five times, boat and `red boat` four times: the sixth is rarer.
    dataset = run(tmp_path, tmp_path / "list.jsonl", "--caption", '{"rarest_rank": {"most": 5}}')
    assert dataset.manifest.drops == {"caption_rarest_rank_over": 1, "document_repeated": 2}
    refused = next(entry for entry in entries(tmp_path) if entry.kind == "caption" and entry.reason)
    assert (refused.measure, refused.threshold) == (6, 5)


def test_another_list_is_counted_anew_and_the_same_one_goes_on(site, tmp_path, capsys):
    site.file("/a.png", picture())
    (tmp_path / "list.csv").write_text(f"url,caption\n{site.url}/a.png,A boat.\n")
    rules = ["--caption", '{"images_of_text": {"most": 1}}']
    assert run(tmp_path, tmp_path / "list.csv", *rules).manifest.documents == 1
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert run(tmp_path, tmp_path / "list.csv", *rules).manifest.documents == 1
    assert "nothing was changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    (tmp_path / "list.csv").write_text(f"url,caption\n{site.url}/a.png,A boat.\n{site.url}/b.png,a  boat.\n")
    assert run(tmp_path, tmp_path / "list.csv", *rules).manifest.drops == {"caption_images_of_text_over": 2}


def test_broken_rows_and_a_cut_tar_are_counted_and_the_rest_is_kept(site, tmp_path):
    site.file("/a.png", picture())
    lines = [json.dumps({"url": f"{site.url}/a.png", "caption": f"Boat {n}."}) for n in range(3)]
    (tmp_path / "list.jsonl").write_text("\n".join([lines[0], "{", lines[1], "[]", lines[2]]))
    dataset = run(tmp_path, tmp_path / "list.jsonl", "--chunk_pairs", "2")
    assert [document.texts[0] for document in dataset.documents()] == [
        Text(text=f"Boat {n}.", caption=True) for n in range(3)
    ]
    assert dataset.manifest.drops == {"pair_malformed": 2}
    assert dataset.manifest.counts["pairs"] == 5


def test_wrong_settings_are_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("url,caption\n")
    argv = ["--input", str(tmp_path / "list.csv"), "--output", str(tmp_path / "out")]
    assert pairs.main([*argv, "--caption", '{"beauty": {"least": 1}}']) == 2
    assert "caption has the unknown rule 'beauty'; known are date, file_name, images_of_text" in capsys.readouterr().err
    assert pairs.main([*argv, "--captions", "mixed"]) == 2
    assert "captions" in capsys.readouterr().err
    assert pairs.main(["--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 2
    assert "cannot be read: it names no file" in capsys.readouterr().err

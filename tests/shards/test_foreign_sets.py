"""Sets that other tools wrote: adopted in place, read as documents in order and one by one, every loss counted."""

import base64
import hashlib
import io
import json
import random
import tarfile
from collections import Counter
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from webdataset.writer import TarWriter

from shards import adopt, export, remove, verify
from shards.chunk import write_chunk
from shards.dataset import Dataset, open_dataset
from shards.document import Document, Media, Text
from shards.errors import DatasetError, ShardError
from shards.foreign.layout import open_layout
from shards.foreign.pairs import look_up
from shards.foreign.records import BadRecord, frame_of
from shards.foreign.tars import Sample, sample_places
from shards.location import locate
from shards.manifest import merge, read_commits, write_manifest


def picture(colour: str, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, *samples: dict[str, Any]) -> None:
    """As webdataset's own writer does, with times and owners."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, TarWriter(file, encoder=False) as writer:
        for sample in samples:
            writer.write(sample)


def adopted(tmp_path: Path, kind: str, *more: str) -> Dataset:
    """The dataset of the set in `set`; holds that it reads the same in order, one by one, and under `verify`."""
    folder = str(tmp_path / "out")
    assert adopt.main(["--kind", kind, "--input", str(tmp_path / "set"), "--output", folder, *more]) == 0
    dataset = open_dataset(folder)
    rows = dataset.index().to_pylist()
    documents = list(dataset.documents())
    assert [dataset.read(row["shard"], row["offset"], row["size"]) for row in rows] == documents
    assert [row["key"] for row in rows] == [document.key for document in documents]
    assert verify.main([folder]) == 0
    assert ForkingPickler.dumps(dataset)  # workers that decode are given the dataset
    assert not list(Path(folder).rglob("*.tar"))
    return dataset


def shape(document: Document) -> list[str]:
    return [block.text if isinstance(block, Text) else f"<{block.url}>" for block in document.blocks]


def pairs() -> list[dict[str, Any]]:
    """What img2dataset and OpenFlamingo meet."""
    said = {"url": "http://x/1.jpg", "caption": "In the json.", "key": "000000001", "status": "success"}
    return [
        {"__key__": "000000000", "jpg": picture("red"), "txt": b" One. ", "json": b'{"url": "http://x/0.jpg"}'},
        {"__key__": "000000001", "png": picture("blue", "PNG"), "json": json.dumps(said).encode()},
        {"__key__": "000000002", "jpeg": picture("green"), "txt": b"Without an address."},
        {"__key__": "000000003", "jpg": picture("red", "GIF"), "txt": b"A film of sorts."},
        {"__key__": "000000004", "jpg": b"no picture", "txt": b"Nothing."},
        {"__key__": "000000005", "txt": b"No image."},
        {"__key__": "000000006", "jpg": picture("red"), "txt": b" "},
        {
            "__key__": "000000007",
            "webp": picture("red", "WEBP"),
            "txt": b"A webp.",
            "pickle": b"cos\nsystem\n(S''\ntR.",
        },
    ]


def test_shards_of_img2dataset_are_pairs_in_place(tmp_path):
    write_tar(tmp_path / "set" / "00000.tar", *pairs())
    write_tar(tmp_path / "set" / "00001.tar", *pairs()[:1])
    before = (tmp_path / "set" / "00000.tar").read_bytes()
    dataset = adopted(tmp_path, "img2dataset")
    assert [shape(document) for document in dataset.documents()] == [
        ["<http://x/0.jpg>", "One."],
        ["<http://x/1.jpg>", "In the json."],
        ["<00000.tar#000000002>", "Without an address."],
        ["<00000.tar#000000007>", "A webp."],
        ["<http://x/0.jpg>", "One."],
    ]
    formats = [document.media[0].frames[0].format for document in dataset.documents()]
    assert formats == ["jpg", "png", "jpg", "webp", "jpg"]
    assert (tmp_path / "set" / "00000.tar").read_bytes() == before
    assert dataset.manifest.drops == {
        "record_format_gif": 1,
        "record_no_caption": 1,
        "record_no_image": 1,
        "record_not_a_picture": 1,
    }
    assert len({document.key for document in dataset.documents()}) == 5


def test_an_export_for_img2dataset_comes_back(tmp_path):
    write_tar(tmp_path / "set" / "00000.tar", *pairs()[:2])
    first = adopted(tmp_path, "img2dataset")
    assert export.main([str(tmp_path / "out"), "--format", "img2dataset", "--output", str(tmp_path / "2" / "set")]) == 0
    again = adopted(tmp_path / "2", "img2dataset")
    assert [document.blocks for document in again.documents()] == [document.blocks for document in first.documents()]


def test_extended_headers_folders_and_long_names_are_read_and_links_are_not(tmp_path):
    (tmp_path / "set").mkdir()
    long = "f" * 90 + "/" + "n" * 120
    with tarfile.open(tmp_path / "set" / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("f" * 90)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for stem in (long, "link", "ünicode"):
            for suffix, data in {"jpg": picture("red"), "txt": b"Text."}.items():
                member = tarfile.TarInfo(f"{stem}.{suffix}")
                member.size = len(data)
                if stem == "link" and suffix == "jpg":
                    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
                tar.addfile(member, io.BytesIO(data))
    dataset = adopted(tmp_path, "img2dataset")
    assert [document.source for document in dataset.documents()] == [f"a.tar#{long}", "a.tar#ünicode"]
    assert dataset.manifest.drops == {"record_not_a_plain_file": 1}


def test_a_tar_that_is_cut_is_refused_wherever_it_is(tmp_path, capsys):
    write_tar(tmp_path / "set" / "a.tar", *pairs()[:3])
    whole = (tmp_path / "set" / "a.tar").read_bytes()
    end = len(whole.rstrip(b"\0")) + 600
    for cut in range(1, end, 700):
        (tmp_path / "set" / "a.tar").write_bytes(whole[:cut])
        with pytest.raises(DatasetError, match=r"a\.tar (is cut|cannot be read)"):
            list(sample_places(locate(str(tmp_path / "set" / "a.tar"))))
    assert adopt.main(["--kind", "img2dataset", "--input", str(tmp_path / "set"), "--output", str(tmp_path / "o")]) == 2
    assert "is cut or broken at byte" in capsys.readouterr().err


def test_a_set_that_changed_behind_its_manifest_is_named(tmp_path, capsys):
    write_tar(tmp_path / "set" / "00000.tar", *pairs()[:1])
    dataset = adopted(tmp_path, "img2dataset")
    tar = tmp_path / "set" / "00000.tar"
    data = bytearray(tar.read_bytes())
    data[data.index(b"One.")] = ord("o")
    tar.write_bytes(data)
    capsys.readouterr()
    assert verify.main([str(tmp_path / "out")]) == 1
    assert f"{tar} was changed: its sha256 is" in capsys.readouterr().out
    tar.write_bytes(data[:-512])
    with pytest.raises(ShardError, match=r"00000\.tar has \d+ bytes and the manifest says"):
        dataset.shard_rows("00000")


def test_the_folder_of_a_set_and_that_of_another_are_left_alone(tmp_path, capsys):
    write_tar(tmp_path / "set" / "00000.tar", *pairs()[:1])
    (tmp_path / "set" / "00000.parquet").write_bytes(b"img2dataset's own")
    argv = ["--kind", "img2dataset", "--input", str(tmp_path / "set"), "--output"]
    assert adopt.main([*argv, str(tmp_path / "set")]) == 2
    assert "is a folder with files in it; give a new folder" in capsys.readouterr().err
    assert (tmp_path / "set" / "00000.parquet").read_bytes() == b"img2dataset's own"
    adopted(tmp_path, "img2dataset")
    assert adopt.main(["--kind", "mmc4-tar", *argv[2:], str(tmp_path / "out")]) == 2
    assert "was begun with another set or other settings" in capsys.readouterr().err


def test_files_that_are_committed_are_not_read_again_and_workers_change_nothing(tmp_path):
    for number in range(3):
        write_tar(tmp_path / "set" / f"{number}.tar", *pairs()[:2])
    adopted(tmp_path, "img2dataset")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (tmp_path / "out" / "commits" / "1.json").unlink()
    times = (tmp_path / "out" / "0.parquet").stat().st_mtime_ns
    adopted(tmp_path, "img2dataset", "--workers", "2")
    assert (tmp_path / "out" / "0.parquet").stat().st_mtime_ns == times
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before[path]} <= {".writer"}


ENERGON = """
sample_type: {__module__: megatron.energon, __class__: CaptioningSample}
field_map: {image: jpg, caption: "txt,detail.json[captions][1]"}
"""
SPLIT = """
split_parts: {train: ["shards/s_{0..1}.tar", shards/s_2.tar], val: [shards/s_3.tar]}
exclude: [shards/s_1.tar, shards/s_2.tar/b]
"""


def write_energon(folder: Path, dataset: str) -> None:
    (folder / ".nv-meta").mkdir(parents=True)
    (folder / ".nv-meta" / "dataset.yaml").write_text(dataset)
    (folder / ".nv-meta" / "split.yaml").write_text(SPLIT)


def test_a_captioning_set_of_energon_keeps_to_its_split(tmp_path):
    write_energon(tmp_path / "set", ENERGON)
    detail = json.dumps({"captions": ["no", "From the json."]}).encode()
    for number in range(4):
        write_tar(
            tmp_path / "set" / "shards" / f"s_{number}.tar",
            {"__key__": "a", "jpg": picture("red"), "txt": b"A text of %d." % number},
            {"__key__": "b", "jpg": picture("red"), "detail.json": detail},
        )
    dataset = adopted(tmp_path, "energon")
    assert [shape(document) for document in dataset.documents()] == [
        ["<shards/s_0.tar#a>", "A text of 0."],
        ["<shards/s_0.tar#b>", "From the json."],
        ["<shards/s_2.tar#a>", "A text of 2."],
    ]
    assert dataset.manifest.drops == {"record_excluded": 1}
    assert [shard.name for shard in dataset.manifest.shards] == ["shards/s_0", "shards/s_2"]


def test_an_interleaved_set_of_energon_is_read_as_documented_and_its_code_is_not_run(tmp_path):
    """The example of docs/source/advanced/custom_sample_loader.md."""
    kind = "sample_type: {__class__: InterleavedSample}\nsample_loader: sample_loader.py:sample_loader\n"
    write_energon(tmp_path / "set", kind)
    (tmp_path / "set" / ".nv-meta" / "sample_loader.py").write_text("raise SystemExit('run')")
    record = {"images": [None, "2345ew.jpg", None], "texts": ["Some text.", None, "More text."]}
    sample = {"__key__": "sample_1", "2345ew.jpg": picture("red"), "json": json.dumps(record).encode()}
    lost = {"__key__": "sample_2", "json": json.dumps(record).encode()}
    for number in range(3):
        write_tar(tmp_path / "set" / "shards" / f"s_{number}.tar", *([sample, lost] if number == 0 else []))
    dataset = adopted(tmp_path, "energon")
    (document,) = dataset.documents()
    assert shape(document) == ["Some text.", "<shards/s_0.tar#sample_1.1>", "More text."]
    assert dataset.manifest.drops == {"record_no_image": 1}


@pytest.mark.parametrize(
    ("dataset", "split", "sentence"),
    [
        ("sample_type: {__class__: OCRSample}", SPLIT, "has samples of type 'OCRSample'"),
        ("sample_type: {__class__: CaptioningSample}\nsample_loader: x:y", SPLIT, "a field_map of image and caption"),
        (ENERGON, "split_parts: {val: []}", "has no part 'train' in its split_parts"),
        ("{", SPLIT, "is not YAML"),
        ("a: !!python/object/apply:os.system [true]", SPLIT, "is not YAML"),
    ],
)
def test_an_energon_set_that_cannot_be_read_is_refused(tmp_path, capsys, dataset, split, sentence):
    write_energon(tmp_path / "set", dataset)
    (tmp_path / "set" / ".nv-meta" / "split.yaml").write_text(split)
    assert adopt.main(["--kind", "energon", "--input", str(tmp_path / "set"), "--output", str(tmp_path / "o")]) == 2
    assert sentence in capsys.readouterr().err


def mmc4_page(url: str, *images: dict[str, Any]) -> dict[str, Any]:
    return {"url": url, "text_list": ["First.", "Second.", "Third."], "image_info": list(images)}


def test_shards_that_openflamingo_makes_of_mmc4_are_pages(tmp_path):
    """Images in no order, base64 as Python prints it, one that is no picture."""
    encoded = base64.b64encode(picture("red"))
    images = (
        {"raw_url": "http://x/2.jpg", "matched_text_index": 2, "matched_sim": 0.3, "image_base64": encoded.decode()},
        {"raw_url": "http://x/0.jpg", "matched_text_index": 0, "matched_sim": 0.2, "image_base64": str(encoded)},
        {"raw_url": "http://x/no.jpg", "matched_text_index": 1, "matched_sim": 0.2, "image_base64": "bm8="},
    )
    pages = [mmc4_page("http://p/1", *images), mmc4_page("http://p/2"), {"url": 7}]
    samples = [{"__key__": f"{number:06d}", "json": json.dumps(one).encode()} for number, one in enumerate(pages)]
    write_tar(tmp_path / "set" / "000000.tar", *samples)
    dataset = adopted(tmp_path, "mmc4-tar")
    (document,) = dataset.documents()
    assert document.source == "http://p/1"
    assert shape(document) == ["<http://x/0.jpg>", "First. Second.", "<http://x/2.jpg>", "Third."]
    assert dataset.manifest.drops == {"image_not_a_picture": 1, "record_malformed": 1, "record_no_image": 1}


def test_mmc4_with_its_images_in_a_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "ab12.png").write_bytes(picture("red", "PNG"))
    image = {"image_name": "ab12.png", "raw_url": "http://x/i.png", "matched_text_index": 1}
    others = [{**image, "image_name": name} for name in ("gone.png", "../images/ab12.png", None)]
    lines = [mmc4_page("http://p/1", image, *others), mmc4_page("http://p/2", image)]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "docs_shard_0.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
    dataset = adopted(tmp_path, "mmc4", "--images", str(tmp_path / "images"))
    assert [shape(document) for document in dataset.documents()] == [
        ["First.", "<http://x/i.png>", "Second. Third."]
    ] * 2
    assert dataset.manifest.drops == {"image_absent": 3}


def test_obelics_with_its_images_in_a_folder(tmp_path):
    address, gone = "http://x/a.jpg", "http://x/gone.jpg"
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{hashlib.sha256(address.encode()).hexdigest()}.jpg").write_bytes(picture("red"))
    row = {
        "images": [None, address, gone, None],
        "metadata": json.dumps([None, {"alt_text": "An image"}, {}, None]),
        "general_metadata": json.dumps({"url": "http://p/1"}),
        "texts": ["One.END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED", None, None, "Two.\n\n \n\nThree."],
    }
    (tmp_path / "set").mkdir()
    without = {**row, "images": [None, gone, gone, None]}
    rows = [row, without, {**row, "metadata": "[]"}, {**row, "metadata": "no JSON"}, row]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "train-0.parquet", row_group_size=2)
    dataset = adopted(tmp_path, "obelics", "--images", str(tmp_path / "images"))
    assert [shape(document) for document in dataset.documents()] == [["One.", f"<{address}>", "Two.\n\nThree."]] * 2
    assert [media.alt for document in dataset.documents() for media in document.media] == ["An image"] * 2
    assert dataset.manifest.drops == {
        "image_absent": 4,
        "record_lengths_differ": 1,
        "record_malformed": 1,
        "record_no_image": 1,
    }


def test_an_export_with_pictures_comes_back_as_obelics(tmp_path):
    frames = [frame_of(picture("red")), frame_of(picture("blue", "PNG"))]
    media = [Media(kind="image", frames=(frame,), url=f"http://x/{n}", alt="Ä") for n, frame in enumerate(frames)]
    page = Document(key="k", source="http://p/1", blocks=(media[0], Text(text="Between."), media[1]))
    location = locate(str(tmp_path / "ours"))
    write_chunk(location, "000000", lambda _: [page])
    write_manifest(location, merge("test", {}, read_commits(location)))
    argv = [str(tmp_path / "ours"), "--format", "parquet", "--pictures", "--output", str(tmp_path / "set")]
    assert export.main(argv) == 0
    (again,) = adopted(tmp_path, "obelics").documents()
    assert (again.source, again.blocks) == (page.source, page.blocks)


def test_a_set_in_an_unknown_manner_and_an_empty_folder_are_refused(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    assert adopt.main(["--kind", "obelics", "--input", str(tmp_path / "set"), "--output", str(tmp_path / "o")]) == 2
    assert "holds no file .parquet of a set of kind obelics" in capsys.readouterr().err
    write_tar(tmp_path / "set" / "00000.tar", *pairs()[:1])
    adopted(tmp_path, "img2dataset")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"img2dataset"', '"other"'))
    with pytest.raises(DatasetError, match="the set is of kind 'other'"):
        list(open_dataset(str(tmp_path / "out")).documents())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("txt", b"text"),
        ("json[a]", 1),
        ("json[b][1][c]", "deep"),
        ("jpg,txt", b"text"),
        ("json[b][7]", None),
        ("json[a][b]", None),
        ("json[", None),
        ("none[a],json[a]", 1),
    ],
)
def test_fields_are_looked_up_as_energon_does(field, value):
    """Energon's flavors/webdataset/field_access.py gives the same (commit bef8be2), and raises where this gives None.

    It also raises where the first of several names is not there, which its documentation has otherwise.
    """
    parts = {"txt": b"text", "json": b'{"a": 1, "b": [0, {"c": "deep"}]}'}
    assert look_up(Sample(name="s", parts=parts), field) == value


def test_an_adopted_set_is_not_ours_to_take_out_of(tmp_path, capsys):
    write_tar(tmp_path / "set" / "00000.tar", *pairs()[:1])
    adopted(tmp_path, "img2dataset")
    (tmp_path / "urls.txt").write_text("http://x/0.jpg")
    assert remove.main([str(tmp_path / "out"), "--urls", str(tmp_path / "urls.txt")]) == 2
    assert "is an adopted set; take it out of the set's own files" in capsys.readouterr().err


def test_the_same_set_gives_the_same_keys_wherever_it_lies(tmp_path):
    keys = Counter[str]()
    for place in ("one", "two"):
        write_tar(tmp_path / place / "set" / "00000.tar", *pairs())
        keys.update(document.key for document in adopted(tmp_path / place, "img2dataset").documents())
    assert set(keys.values()) == {2}


def broken(data: bytes, choice: random.Random) -> bytes:
    """`data` cut or with some bytes changed, the sums of its headers mended so that what they say is believed."""
    changed = bytearray(data[: choice.randrange(1, len(data))] if choice.random() < 0.3 else data)
    for _ in range(choice.randrange(1, 30)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    for start in range(0, len(changed) - 511, 512):
        if changed[start + 257 : start + 262] == b"ustar":
            header = changed[start : start + 512]
            changed[start + 148 : start + 156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * ord(" "))
    return bytes(changed)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_mutated_tar_gives_documents_counted_losses_or_a_dataset_error(tmp_path, form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for stem in ("ü", "n" * 120):
            for suffix, data in {"jpg": picture("red"), "txt": b"Text.", "json": b'{"url": "http://x/1"}'}.items():
                member = tarfile.TarInfo(f"{stem}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    layout = open_layout({"kind": "img2dataset", "folder": str(tmp_path), "images": ""})
    file, choice, seen = locate(str(tmp_path / "a.tar")), random.Random(20261122), Counter[str]()
    for _ in range(150):
        (tmp_path / "a.tar").write_bytes(broken(buffer.getvalue(), choice))
        try:
            for offset, size in layout.places(file):
                try:
                    seen["documents"] += bool(layout.read(file, offset, size, Counter()).blocks)
                except BadRecord as bad:
                    seen[bad.reason] += 1
        except DatasetError as error:
            seen["refused"] += "a.tar" in str(error)
    assert seen["documents"] > 50
    assert seen["refused"] > 30

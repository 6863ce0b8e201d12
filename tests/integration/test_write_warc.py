"""`--write-warc`: what a crawl fetched is kept, and gives the same documents again without the network."""

from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline import web
from shards.dataset import open_dataset
from shards.document import Document


def documents(output: Path) -> list[Document]:
    return sorted(open_dataset(str(output)).documents(), key=lambda document: document.key)


@pytest.mark.usefixtures("ray_cluster")
def test_a_kept_crawl_is_extracted_again_without_the_network(site, material, tmp_path):
    pictures = sorted((material / "images-captions" / "coco-by" / "images").iterdir())
    for n in range(6):
        site.file(f"/{n}.jpg", pictures[n].read_bytes(), "image/jpeg")
        site.answers[f"/moved-{n}.jpg"] = (301, {"Location": f"/{n}.jpg"}, b"")
        site.page(
            f"/{n}.html", f"<title>{n}</title><p>Page {n} speaks of pictures.</p><img src=moved-{n}.jpg><img src=0.jpg>"
        )
    site.page("/refused.html", "<p>A page that asks for no use.</p><img src=0.jpg>", X_Robots_Tag="noai")
    (tmp_path / "urls.txt").write_text("".join(f"{site.url}/{n}.html\n" for n in [*range(6), "refused"]))
    loopback = ["--allow-network", "127.0.0.0/8", "--fetch.delay_seconds", "0"]
    argv = ["--urls", str(tmp_path / "urls.txt"), "--output", str(tmp_path / "out"), "--write-warc", *loopback]
    assert web.main(argv) == 0
    crawled = documents(tmp_path / "out")
    assert len(crawled) == 6
    assert site.requests.count("/0.jpg") <= 2, "at most once by its own name, and once where /moved-0.jpg leads"

    site.requests.clear()
    assert web.main(["--warc", str(tmp_path / "out" / "warc" / "*.warc"), "--output", str(tmp_path / "again")]) == 0
    assert documents(tmp_path / "again") == crawled
    assert site.requests == []
    (segment,) = (tmp_path / "out" / "warc").iterdir()
    with segment.open("rb") as file:
        kinds = [record.rec_type for record in ArchiveIterator(file)]
    assert kinds.count("response") == 6 + 6 + 6

from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from demo.server import serve


def test_serves_the_folder_on_loopback_and_then_stops(tmp_path):
    (tmp_path / "robots.txt").write_text("User-agent: *\n")
    with serve(tmp_path) as url:
        assert url.startswith("http://127.0.0.1:")
        with urlopen(url + "robots.txt") as answer:
            assert answer.read() == b"User-agent: *\n"
        with pytest.raises(HTTPError, match="404") as refused:
            urlopen(url + "absent.png")
        refused.value.close()
    with pytest.raises(URLError):
        urlopen(url + "robots.txt")

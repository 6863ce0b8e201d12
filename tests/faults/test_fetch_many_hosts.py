"""Many hosts at once must not cost the process its files: connections that nobody waits for are closed."""

import json
import subprocess
import sys

HOSTS = 300
FILES = 128

FETCH = """
import asyncio, json, os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
from pipeline.door import FetchError
from pipeline.fetch import FetchConfig, open_fetcher

look_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **options: look_up("127.0.0.1", *rest, **options)

async def main(port, hosts):
    most_open = 0
    async with open_fetcher(FetchConfig(connections=32, retries=0), "127.0.0.0/8") as fetcher:
        async def fetch(number):
            nonlocal most_open
            try:
                found = (await fetcher.fetch(f"http://host{number}.test:{port}/", 100)).data.decode()
            except FetchError as error:
                found = error.reason
            most_open = max(most_open, len(os.listdir("/proc/self/fd")))
            return found
        found = await asyncio.gather(*map(fetch, range(hosts)))
    print(json.dumps([sorted(set(found)), most_open]))

asyncio.run(main(int(sys.argv[1]), int(sys.argv[3])))
"""


def test_hundreds_of_hosts_are_asked_with_few_files(strange):
    strange.say("/", body=b"x")
    command = [sys.executable, "-c", FETCH, str(strange.port), str(FILES), str(HOSTS)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    found, most_open = json.loads(finished.stdout)
    assert found == ["x"]
    assert 20 < most_open < FILES
    assert {visit.fields.get("connection") for visit in strange.visits} == {None, "close"}

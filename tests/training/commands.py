"""Commands in processes of their own, whose Ray is not the test session's."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def printed(*words: str) -> str:
    """What `python` and these words print. Fails where they do."""
    job = subprocess.run(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400
    )
    assert job.returncode == 0, job.stdout
    return job.stdout

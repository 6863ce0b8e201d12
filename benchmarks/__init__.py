"""Measurements against real material and against peers; run by hand, imported by nothing."""

import os

# A Ray task has one thread for matrix products; with more, the CPU time of small ones doubles for nothing.
os.environ.setdefault("OMP_NUM_THREADS", "1")

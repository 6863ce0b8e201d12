"""Freed memory goes back to the system while gradients come."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from jobs.command import InputError
from training.heap import trim_heap

MEGABYTE = 1_000_000
FREED = 300
"""Megabytes that the process below frees, of 400 that it takes, in pieces that stay on the heap."""
GRADIENTS = f"""
import os
import torch
from torch import nn
from training.heap import trim_heap

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // {MEGABYTE}

parameters = [nn.Parameter(torch.zeros({MEGABYTE // 4})) for _ in range(3)]  # a megabyte each
trim_heap(parameters, every=2 * {MEGABYTE})
pieces = [bytearray(100_000) for _ in range(4_000)]
for number, piece in enumerate(pieces):
    piece[::4096] = b"1" * len(piece[::4096])
del piece
pieces = pieces[::4]
print(resident())
for parameter in parameters:
    parameter.sum().backward()
    print(resident())
"""


def test_memory_freed_on_the_heap_is_given_back_when_enough_gradients_have_come():
    """Between pieces that live, where free memory at the end of the heap cannot account for it."""
    fixed = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000000", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", GRADIENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], env=fixed)
    before, first, second, third = map(int, done.stdout.split())
    assert first > before - FREED / 4
    assert second < before - FREED * 3 / 4
    assert third == pytest.approx(second, abs=FREED / 4)


def test_where_nothing_can_be_given_back_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with pytest.raises(InputError, match=r"trim_heap is for glibc.*set it to 0"):
        trim_heap([nn.Parameter(torch.zeros(1))], every=MEGABYTE)

"""Gives memory that the backward has freed back to the system, where glibc's malloc would keep it.

Of what a forward leaves on the heap the backward frees a piece at a time, but gradients are larger than the pieces, and
small objects that outlive them lie between them. So the heap grows while less and less of it is used: at the shape of
OPT-125M by a tenth of the peak (docs/decisions.md).
"""

import ctypes
from collections.abc import Iterable
from functools import partial

from torch import Tensor, nn

from jobs.command import InputError


def trim_heap(parameters: Iterable[nn.Parameter], *, every: int) -> None:
    """From now on gives freed memory back each time that gradients of `every` bytes have come to the parameters.

    Raises InputError where the C library is not glibc.
    """
    try:
        give_back = ctypes.CDLL(None).malloc_trim
    except AttributeError as error:
        raise InputError("trim_heap is for glibc, and this C library has no malloc_trim; set it to 0") from error
    came = 0

    def count(size: int, _: Tensor) -> None:
        nonlocal came
        came += size
        if came >= every:
            give_back(0)
            came = 0

    for parameter in parameters:
        size = parameter.nbytes  # of the whole, before ZeRO takes it apart
        parameter.register_post_accumulate_grad_hook(partial(count, size))

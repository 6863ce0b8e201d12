"""A process that makes samples: `python -m training.data.decoder SOCKET MEMORY`, both numbers of open files.

It is told the makers once, by dataset, then answers request after request until nobody asks any more. Pixels go into
the memory that it shares with the process that asks, all else through the socket, pickled by `multiprocessing`: values
of our own, made by our own code. It imports neither torch nor transformers, so that it starts in under a second.
"""

import mmap
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection

from shards.errors import DatasetError
from training.data.appearance import Pixels
from training.data.maker import Made, SampleMaker
from training.data.pictures import BadMedia
from training.data.slots import pixels_at
from training.data.source import Request


def answer(maker: SampleMaker, request: Request, pixels: Pixels) -> Made | Exception:
    """What the request became, or why it became nothing; a RuntimeError holds the traceback of a fault of our own."""
    try:
        return maker.make(request, pixels)
    except (BadMedia, DatasetError) as error:
        return error
    except Exception:
        return RuntimeError(f"a sample could not be made of {request}:\n{traceback.format_exc()}")


def main(socket: int, file: int) -> None:

    with Connection(socket) as connection:
        makers: Mapping[str, SampleMaker] = connection.recv()
        memory = mmap.mmap(file, 0)
        while True:
            try:
                request, offset = connection.recv()
                maker = makers[request.dataset]
                connection.send(answer(maker, request, pixels_at(memory, offset, maker.most_pixels)))
            except (EOFError, ConnectionError):
                return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

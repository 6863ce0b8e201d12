"""Forks a child for each file: started by `pipeline.decoding.confinement`, whose socket is its standard input.

An order is a line of JSON, the module and its argument, and two open files: where the child says its answer, and
where its errors go. The next byte ends the child, if it is still there, and the answer to it is its exit status. The
server itself touches no file of strangers, has one thread, and ends when its parent does.
"""

import importlib
import json
import os
import signal
import socket
import sys
import traceback

PACKAGE = "pipeline.decoding."
ORDER_BYTES = 1 << 16


def serve(line: socket.socket) -> None:
    """Orders one after the other, until the parent closes the line."""
    while True:
        order, files = receive(line)
        if not order:
            return
        module, argument = json.loads(order)
        child = fork(line, module, argument, files)
        for file in files:
            os.close(file)
        end = line.recv(1)
        os.kill(child, signal.SIGKILL)  # one that has ended waits to be asked for its status, which stays as it was
        _, status = os.waitpid(child, 0)
        if not end:
            return
        line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """An order and its files; nothing where the line was closed."""
    order, files, _, _ = socket.recv_fds(line, ORDER_BYTES, 2)
    while order and not order.endswith(b"\n"):
        order += line.recv(ORDER_BYTES)
    return order, files


def fork(line: socket.socket, name: str, argument: str, files: list[int]) -> int:
    """The process id of a child that runs `main` of the module `name`, which is imported here, once."""
    if not name.startswith(PACKAGE):
        raise ValueError(f"module is {name!r}; it must start with {PACKAGE!r}")
    module = importlib.import_module(name)
    child = os.fork()
    if child:
        return child
    try:
        line.close()
        answer, errors = files  # they stay open, so that the parent reads to the child's end and no less
        os.dup2(answer, sys.stdout.fileno())
        os.dup2(errors, sys.stderr.fileno())
        sys.argv = [name, argument]
        module.main()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    line = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    with line:
        serve(line)


if __name__ == "__main__":
    main()

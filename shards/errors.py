"""The errors of this package."""


class DatasetError(ValueError):
    """A dataset, shard or document is missing, cut, edited or breaks the schema; the message says which and where."""


class ShardError(DatasetError):
    """One shard cannot be used as it is; the others of its dataset may be whole."""

    def __init__(self, message: str, shard: str) -> None:
        """`shard` is its name in the manifest."""
        super().__init__(message, shard)  # both, so that a process that hands it to another can make it again
        self.shard = shard

    def __str__(self) -> str:
        return str(self.args[0])


class NoRoomError(OSError, DatasetError):
    """There was no room to write a file: `errno` says of which kind, `filename` where."""

    def __str__(self) -> str:
        return (
            f"{self.filename} cannot be written: {self.strerror}; nothing of it was kept, so make room and start again"
        )

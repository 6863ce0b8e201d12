"""The one error of this package."""


class DatasetError(ValueError):
    """A dataset, shard or document is missing, cut, edited or breaks the schema; the message says which and where."""

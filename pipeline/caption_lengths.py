"""How long the captions of a dataset are, in tokens: what tells LTIP's descriptions from ALIGN's alt texts."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np

from shards.index import read_index
from shards.location import Location
from shards.manifest import Manifest

LTIP = 20.5
"""Mean tokens of a caption of LTIP (Flamingo), by a tokenizer of subwords, which counts a few more."""
TENTHS = (0.1, 0.25, 0.5, 0.75, 0.9)


def print_lengths(output: Location, manifest: Manifest) -> None:
    """Prints mean and quantiles of `tokens` over the documents of a dataset of pairs, if it has any."""
    lengths = count_lengths(output, [shard.name for shard in manifest.shards])
    if lengths:
        print(describe(lengths))


def count_lengths(output: Location, shards: Sequence[str]) -> Counter[float]:
    """How many documents have captions of how many tokens, from the indexes of `shards`."""
    lengths = Counter[float]()
    for name in shards:
        table = read_index((output / f"{name}.parquet").read(), ["measures"])
        measures = cast(list[dict[str, float]], table["measures"].to_pylist(maps_as_pydicts="strict"))
        lengths.update(row["tokens"] for row in measures if "tokens" in row)
    return lengths


def describe(lengths: Counter[float]) -> str:
    """A sentence: mean and quantiles."""
    values = np.repeat(list(lengths.keys()), list(lengths.values()))
    quantiles = ", ".join(f"{share:.0%}: {np.quantile(values, share):.0f}" for share in TENTHS)
    return f"captions have {values.mean():.1f} tokens on average ({quantiles}); those of LTIP have {LTIP}"

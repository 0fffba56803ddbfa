"""Which advice comes first where more helps than one record can use.

Belongs here: the order by relevance. Does not belong here: what may be given at all (``models.advice``), the items and
how many of them one record gets (``knowledge/advice.yaml``, where the rule stands in words).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from models.knowledge_files import factor_ids

# What helping the first, the second, and any later likely condition counts; contributing factors are counted apart
# from conditions in the same way. 1, 1/2 and 1/3 in sixths, so that sums stay whole. Judgement, no clinician asked.
WEIGHTS = (6, 3, 2)


def relevance(likely: pl.Series, helped_by: Sequence[Collection[str]]) -> NDArray[np.int64]:
    """How relevant each item is to each record: the sum of the weights of what it helps, 0 where that is nothing.

    ``likely``: List(String), for each record ids of conditions and contributing factors, likeliest first.
    ``helped_by``: for each item the ids that it helps. Gives records x items.
    """
    every = sorted({name for ids in helped_by for name in ids})
    flat = (
        pl.DataFrame({"row": np.arange(len(likely)), "id": likely.cast(pl.List(pl.String))})
        .explode("id")
        .drop_nulls("id")
        .with_columns(pl.col("id").is_in(sorted(factor_ids())).alias("is_factor"))
        .with_columns(
            pl.int_range(pl.len()).over("row", "is_factor").clip(0, len(WEIGHTS) - 1).alias("place"),
            pl.col("id").replace_strict(every, range(len(every)), default=None, return_dtype=pl.Int64).alias("what"),
        )
        .drop_nulls("what")
    )
    weight = np.zeros((len(likely), len(every)), dtype=np.float32)  # small whole numbers: exact, and quick to multiply
    weight[flat["row"].to_numpy(), flat["what"].to_numpy()] = np.array(WEIGHTS)[flat["place"].to_numpy()]
    helps = np.array([[name in ids for ids in helped_by] for name in every], dtype=np.float32)
    return (weight @ helps).astype(np.int64)


def most_relevant(shares: NDArray[np.int64], ids: Sequence[str], at_most: int) -> pl.Series:
    """For each row of ``shares`` (records x items) the ids of its greatest entries above 0, greatest first.

    Of equal entries the item that stands first in ``ids`` comes first. Gives a List(String) series of at most
    ``at_most`` (1 or more) ids a row, empty where nothing is above 0.
    """
    items = len(ids)
    at_most = min(at_most, items)
    # One whole number an entry that orders by share, then by place, so that no two of a row are equal.
    key = np.where(shares > 0, shares * items + np.arange(items)[::-1], -1)
    top = -np.sort(np.partition(-key, at_most - 1, axis=1)[:, :at_most], axis=1)
    kept = top >= 0
    names = pl.Series(ids, dtype=pl.String).gather(pl.Series(items - 1 - top[kept] % items, dtype=pl.UInt32))
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(offsets), names.to_arrow()), dtype=pl.List(pl.String))

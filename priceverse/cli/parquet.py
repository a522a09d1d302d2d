"""Candles as a Parquet file: prices and volumes are decimal(24, 8), as the database has them, never a double.

It needs the extra `parquet`: arro3-io, 12 MB of Arrow in Rust; pyarrow and fastparquet with pandas are ten times that.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from arro3.core import DataType

TIME, COUNT = "timestamp", "trades"


def write(pages: Iterable[Sequence[dict[str, Any]]], columns: Sequence[str], target: Path | IO[bytes]) -> None:
    """Write all candles, a row group a page at least."""
    try:
        from arro3.core import Array, Field, RecordBatch, RecordBatchReader, Schema  # noqa: PLC0415 - an extra
        from arro3.io import write_parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise click.ClickException("Parquet takes one library more: pip install 'priceverse[parquet]'") from None

    schema = Schema([Field(name, _kind(name), nullable=name != TIME) for name in columns])

    def batch(page: Sequence[dict[str, Any]]) -> RecordBatch:
        texts = ([None if candle.get(name) is None else str(candle[name]) for candle in page] for name in columns)
        arrays = [Array(each, _text()).cast(_kind(name)) for name, each in zip(columns, texts, strict=True)]
        return RecordBatch.from_arrays(arrays, schema=schema)

    write_parquet(RecordBatchReader.from_batches(schema, [batch(page) for page in pages if page]), target)


def _kind(name: str) -> "DataType":
    from arro3.core import DataType  # noqa: PLC0415 - an extra

    if name == TIME:
        return DataType.timestamp("ms", tz="UTC")
    return DataType.int64() if name == COUNT else DataType.decimal128(24, 8)


def _text() -> "DataType":
    from arro3.core import DataType  # noqa: PLC0415 - an extra

    return DataType.utf8()

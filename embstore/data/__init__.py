"""Where records come from: hub datasets, CSV, TSV, JSON Lines, Parquet and text files, and a sample."""

from embstore.data.dataset import TextDataset
from embstore.data.options import ReadOptions
from embstore.data.sources import SAMPLE, open_dataset

__all__ = ["SAMPLE", "ReadOptions", "TextDataset", "open_dataset"]

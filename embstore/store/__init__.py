"""Everything on disk: manifest, records, embeddings, index, and the store that binds them.

What writes stands in `embstore.store.writer` and is not imported here: a query pays for reading alone.
"""

from embstore.store.home import delete_store, find_store, home_folder, store_names, store_path
from embstore.store.manifest import Manifest, is_store, read_manifest
from embstore.store.split import Split
from embstore.store.store import Store
from embstore.store.verify import Verification, verify_store

__all__ = [
    "Manifest",
    "Split",
    "Store",
    "Verification",
    "delete_store",
    "find_store",
    "home_folder",
    "is_store",
    "read_manifest",
    "store_names",
    "store_path",
    "verify_store",
]

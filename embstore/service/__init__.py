"""HTTP over the flows: a typed API for programs and a page for people, safe by default."""

import os

# Turns that a thread of GNU's OpenMP waits before it sleeps: some tenth of a millisecond, which bridges the
# steps of an encoder. By default it is 3 ms, in which others are kept from the cores. Read when torch and
# faiss are loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

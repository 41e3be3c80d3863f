"""HTTP over the flows: a typed API for programs and a page for people, safe by default."""

import os

# Threads of GNU's OpenMP spin for about so many hundred thousandths of a millisecond before they sleep, which
# bridges the steps of an encoder; by default for 3 ms, in which they keep other threads from the cores. It is
# read when torch and faiss are loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

"""HTTP over the flows: a typed API for programs and a page for people, safe by default."""

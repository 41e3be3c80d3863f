"""The structures that an index can have; together the one door to faiss."""

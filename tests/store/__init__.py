"""Tests of the store: everything on disk."""

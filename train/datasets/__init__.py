"""Readers of the original layouts: a folder as its authors publish it -> one manifest."""

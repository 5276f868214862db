"""Runs: one input from beginning to end, many at once, and what an interrupted run is continued from."""

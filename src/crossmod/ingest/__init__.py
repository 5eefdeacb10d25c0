"""Finding the scans of a data set: one reader per layout.

A reader gives `Found`: participants, scans and annotations by path, nothing read but names. The
readers share their rules for names through `names.py`.
"""

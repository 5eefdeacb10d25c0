"""From data sets of any layout to scans that crossmod can use.

One reader per layout gives `Found`: participants, scans and annotations by path, nothing read but
names (`names.py` and `folders.py` hold what they share, `detect.py` chooses). `index.py` and
`tables.py` make the index of a study of it; `stage.py` converts one session to BIDS.
"""

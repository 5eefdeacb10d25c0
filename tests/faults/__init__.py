"""Malformed input: each case is made by code, met by a test, and listed in the documentation.

A module of cases (`files.py`) has a list `CASES` of `Fault`s. `GROUPS` in `cases.py` names the
modules; `workflow/make_malformed_page.py` writes docs/reference/malformed-input.md from them.
"""

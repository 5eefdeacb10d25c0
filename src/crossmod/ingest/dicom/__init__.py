"""Folders of DICOM files: any names, any depth, one top folder per participant.

`reader` finds series by their headers and gives sources that name a record of headers and a series
in it; `conversion` makes a volume of one.
"""

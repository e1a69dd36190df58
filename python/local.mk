# For notebooks: one file, which goes where PYTHONPATH is told, or beside a notebook.
pythonmbdir = $(pkgdatadir)/python
dist_pythonmb_DATA = python/mb.py

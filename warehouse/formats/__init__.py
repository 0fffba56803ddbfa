"""The formats that clinics send, each read into the same blocks of text cells.

Belongs here: recognising a file by its content and reading it, one module a format. Does not belong here: what a
column is called on the form (``schemas.mapping``), what a cell may hold (``schemas.contract``), the database.
"""

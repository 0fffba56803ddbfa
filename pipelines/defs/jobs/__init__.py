"""Jobs: what an analyst launches by hand. Those that materialise assets stand in ``assets``; those that change
something have a launch form of named and bounded fields, one file for each kind of change.
"""

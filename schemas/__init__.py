"""What data may look like: the intake form, the contract, the shapes of the tables.

Belongs here: the form as data, the contract that reads text into typed answers, the Arrow shapes that
the other layers exchange. Does not belong here: clinical knowledge (``models``), storage (``warehouse``),
orchestration (``pipelines``). Imports none of those.
"""

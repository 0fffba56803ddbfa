"""Clinical knowledge and everything that decides from it: catalogue, rules, advice, model, referral.

Belongs here: what conditions, findings and criteria mean, as data under ``knowledge/``, and the mechanism that
applies it to a batch of accepted records. Does not belong here: reading files of clinics (``schemas``), storage
(``warehouse``), orchestration (``pipelines``). Imports ``schemas`` only.
"""

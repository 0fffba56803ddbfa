"""Whether what comes in and what comes of it is still as it was: pure functions on counts of the warehouse.

Belongs here: drift of answers and tiers, silence and volume of clinics, calibration and sensitivity on outcomes as they
return, the limits of all of these, and the hiding of small counts. Does not belong here: counting
(``warehouse.monitoring``), the figures of a model before it is used (``models.evaluation``), what is done with a
finding (``pipelines``).
"""

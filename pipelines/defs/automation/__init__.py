"""What runs by itself: sensors and schedules, each with its own switch in the UI.

``landing_folder`` and ``reconcile`` take files in, ``waiting_batches`` loads them, ``automation`` lets scoring and
publication follow, ``unpublished_work`` sees to what none of them did.
"""

"""Taking records back: hidden (restrict) or destroyed (erase), and kept from coming in again.

Belongs here: what is withdrawn, where it lies, how it goes and how it is known when it is sent again. The command and
the publication that follows are ``pipelines``' and ``warehouse.snapshots``'.
"""

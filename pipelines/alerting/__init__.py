"""Alerts: what deserves one, in words and counts, and getting it out. Only the sensor and the command know when."""

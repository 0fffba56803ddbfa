"""What a clinician enters on the page: forms, their check, and what waits to be published."""

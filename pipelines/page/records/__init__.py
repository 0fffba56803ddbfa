"""One record: in full, as a printed referral, and with one more answer."""

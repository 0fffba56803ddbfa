"""Who is asking and what they may see: hosts, signing in, roles, limits, form tokens, headers, the access log."""

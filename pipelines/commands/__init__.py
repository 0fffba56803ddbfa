"""One file a command of ``hiptriage``; each is imported when it is called."""

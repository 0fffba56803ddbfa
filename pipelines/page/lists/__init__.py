"""The worklist on the screen and on paper, and what has to stand above or beside its rows."""

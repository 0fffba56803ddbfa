"""From a clinic's own columns and values to those of the form: declared in a file, checked, applied, never guessed."""

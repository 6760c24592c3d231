"""The kinds of files that a trained classifier can be written as. caspl/use/export.py is the command."""

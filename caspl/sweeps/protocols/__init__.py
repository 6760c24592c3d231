"""The protocols of the family: which configuration, keys, shots and seeds a trainer gets in an experiment, and whose they are.

`table.py` holds them as data, `rows.py` says what a row is and which one fits, `reading.py` who reads which key.
`caspl sweep protocols` prints the table.
"""

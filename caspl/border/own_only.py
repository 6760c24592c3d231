"""Importing this makes `dassl` CasPL's own, for a program that is ours as a whole: see `own_dassl.insist`."""

from . import own_dassl

OTHER = own_dassl.insist()  # the folder of the Dassl that is not used; None: there is none

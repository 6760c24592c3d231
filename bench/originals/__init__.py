"""The repositories of the family, run beside this one from checkouts of the user's; nothing of them is here."""

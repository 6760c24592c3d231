"""Every file of prompts: what was learned, as this program and as the family's programs write it, and where it is found."""

"""The border to whichever Dassl can be imported: whose it is, its registries, what datasets tell beyond its interface."""

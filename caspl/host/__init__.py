"""CasPL inside other people's checkouts of the CoOp family: `import caspl.plugin` is the one line.

`installation` is what that line calls; `check` is what it asks of the host's Dassl first; `registries`, `configuration` and
`messages` are what it changes, and `changes` how that is undone. `twins` and `graft` put boosting prompts into a host's own
trainers and its CLIP. Importing `registries` or `configuration` registers what is CasPL's; only `installation.install` changes
what is the host's.
"""

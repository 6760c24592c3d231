"""CasPL inside other people's checkouts of the CoOp family: `import caspl.plugin` is the one line."""

"""Completion of `caspl` in bash, zsh and fish.

What is completed lies in table.json, which `collect` makes of the commands' own parsers, keys and registries, since these take
PyTorch and seconds; `answers` looks it up, and the shells' scripts (scripts/) ask for its answers.
"""

#!/usr/bin/env bash
# Boosting prompts for each dataset, from its training images without their labels; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" phase1 "$@"

#!/usr/bin/env bash
# Train and test on all classes, with few labelled images of each; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" few_shot "$@"

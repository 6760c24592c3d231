#!/usr/bin/env bash
# Train on ImageNet, test on other datasets; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" cross_dataset "$@"

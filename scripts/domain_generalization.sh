#!/usr/bin/env bash
# Train on ImageNet, test on its variants; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" domain_generalization "$@"

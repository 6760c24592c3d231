#!/usr/bin/env bash
# Train on base classes, test on base and on new ones; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" base2new "$@"

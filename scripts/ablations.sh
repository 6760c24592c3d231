#!/usr/bin/env bash
# Base-to-new for each value of one way to vary CasPL; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" ablations "$@"

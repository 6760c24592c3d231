#!/usr/bin/env bash
# Everything for a table or figure of the paper; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" reproduce "$@"

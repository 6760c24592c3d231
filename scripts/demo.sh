#!/usr/bin/env bash
# The whole method on real images, with no download; --help shows its options, docs/sweeps.md says more.
exec bash "$(dirname "$0")/sweep.sh" demo "$@"

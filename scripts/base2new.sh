#!/usr/bin/env bash
# Base-to-new: train on the first half of the classes, test on it and on the other half, and print the harmonic means.
#
#     bash scripts/base2new.sh --root DATA --trainers "CoOp CasPL_CoOp" --datasets "oxford_pets dtd"
#
# Its own option: --all also tests over all classes. ZeroshotCLIP, ZeroshotCLIP2 and CasPLBoost (what phase 1 alone gives)
# are tested only, as they see no labels.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=base2new
parse_arguments "--trainers --shots --boosting --all" "$@"
settle_datasets "${BENCHMARK[@]}"
refuse_linear_probe

each plan_base2new "$OUT/base2new"
carry_out "$OUT/base2new"

#!/usr/bin/env bash
# Cross-dataset: train on all classes of ImageNet, test the same prompts on the other datasets.
#
#     bash scripts/cross_dataset.sh --root DATA --trainers "MaPLe CasPL_MaPLe" --datasets "oxford_pets dtd"
#
# Its own option: --source NAME trains on another dataset than imagenet.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=transfer
parse_arguments "--trainers --shots --boosting --source" "$@"
check_dataset "$SOURCE"
settle_datasets "${BENCHMARK[@]}"
refuse_linear_probe

DATASETS=("$SOURCE" "${DATASETS[@]}")
each plan_transfer
carry_out "$OUT"

#!/usr/bin/env bash
# Domain generalisation: train on all classes of ImageNet, test the same prompts on ImageNetV2, -Sketch, -A and -R. The models
# are those of cross_dataset.sh.
#
#     bash scripts/domain_generalization.sh --root DATA --trainers "CoOp CasPL_CoOp"
#
# Its own option: --source NAME trains on another dataset than imagenet.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=transfer
parse_arguments "--trainers --shots --boosting --source" "$@"
check_dataset "$SOURCE"
settle_datasets "${IMAGENET_VARIANTS[@]}"
refuse_linear_probe

DATASETS=("$SOURCE" "${DATASETS[@]}")
each plan_transfer
carry_out "$OUT"

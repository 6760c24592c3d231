#!/usr/bin/env bash
# Few-shot: train and test on all classes, with 1, 2, 4, 8 and 16 labelled images of each.
#
#     bash scripts/few_shot.sh --root DATA --trainers "PromptSRC CasPL_PromptSRC" --datasets dtd --shots "1 4 16"
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=few_shot SHOTS=(1 2 4 8 16)
parse_arguments "--trainers --shots --boosting" "$@"
settle_datasets "${BENCHMARK[@]}"

each plan_few_shot
carry_out "$OUT"

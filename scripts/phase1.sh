#!/usr/bin/env bash
# Phase 1 of CasPL: boosting prompts for each dataset, from its training images without their labels. The other sweeps
# call for what they need; this script is for boosting prompts alone, and for more seeds.
#
#     bash scripts/phase1.sh --root DATA --datasets "oxford_pets dtd"
#
# A union of datasets is written with a plus: --datasets oxford_pets+dtd. Seed 1 only, unless --seeds says more.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=phase1 TRAINERS=(CasPLBoost) SEEDS=(1)
parse_arguments "" "$@"
settle_datasets "${BENCHMARK[@]}"

# shellcheck disable=SC2329 # `each` calls it
plan() { plan_phase1 "$1" "$3" training; } # DATASET TRAINER SEED SHOTS
each plan
carry_out "" # the base-to-new tables show boosting prompts: base2new.sh --trainers CasPLBoost

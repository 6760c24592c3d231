#!/usr/bin/env bash
# The whole method on real images, with no download: handwritten digits, base classes zero to four, new five to nine.
# Prints a table and writes it, as results.* into output/demo. Run again, it skips what is finished and resumes the rest.
#
#     bash scripts/demo.sh
set -euo pipefail
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$SCRIPTS/.."

base2new() { bash scripts/base2new.sh --datasets digits --output output/demo --all --jobs 2 --no-table "$@"; }

# 1. Zero-shot: the large CLIP, in place of the small one that the configuration names
base2new --trainers ZeroshotCLIP --name digits_teacher "$@" -- MODEL.BACKBONE.NAME demo/teacher

# 2. The small one; boosted by the large one on training images whose labels are not read; and with 16 labelled images for
#    each base class, without and with the frozen boosting prompts of seed 1
base2new --trainers "ZeroshotCLIP CasPLBoost CoOp CasPL_CoOp" "$@"

# 3. The results
case " $* " in *" --dry-run "* | *" --help "*) exit ;; esac
echo
python -m caspl.results output/demo

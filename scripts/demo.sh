#!/usr/bin/env bash
# The whole method on real images, with no download: handwritten digits, base classes zero to four, new five to nine.
# Prints a table, writes output/demo/results.csv and output/demo/results.png. Run again, it resumes or just tests again.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

OUT=output/demo
run() {  # run TRAINER CLASSES OUTPUT-FOLDER MORE...
    local accuracy
    accuracy=$(python train.py --root data --trainer "$1" --dataset-config-file configs/datasets/digits.yaml \
        --config-file "configs/trainers/$1/digits.yaml" --output-dir "$3" "${@:4}" DATASET.SUBSAMPLE_CLASSES "$2" \
        | grep '^\* accuracy' | tail -1)
    echo "$3 $accuracy"
}
together() {  # wait for the runs started with &; stop if one has failed
    local job
    for job in $(jobs -p); do wait "$job"; done
}

# 1. Zero-shot: the small CLIP and the large one
for classes in base new all; do
    run ZeroshotCLIP $classes $OUT/clip_student/seed1/$classes --eval-only --backbone demo/student &
    run ZeroshotCLIP $classes $OUT/clip_teacher/seed1/$classes --eval-only --backbone demo/teacher &
    together
done

# 2. Phase 1: the large one boosts the small one on the training images, whose labels are not read
for seed in 1 2 3; do
    boosting=$OUT/boosting/seed$seed
    run CasPLBoost all $boosting/all --seed $seed
    for classes in base new; do
        run CasPLBoost $classes $boosting/$classes --eval-only --model-dir $boosting/all --load-epoch 10 &
    done
    together
done

# 3. Phase 2: 16 labelled images for each base class, without and with the frozen boosting prompts of seed 1
for seed in 1 2 3; do
    coop=$OUT/coop/seed$seed caspl=$OUT/caspl_coop/seed$seed
    run CoOp base $coop/base --seed $seed DATASET.NUM_SHOTS 16
    run CasPL_CoOp base $caspl/base --seed $seed DATASET.NUM_SHOTS 16 TRAINER.CASPL.BOOSTING $OUT/boosting/seed1/all
    for classes in new all; do
        run CoOp $classes $coop/$classes --eval-only --model-dir $coop/base --load-epoch 50 &
        run CasPL_CoOp $classes $caspl/$classes --eval-only --model-dir $caspl/base --load-epoch 50 &
        together
    done
done

# 4. The results
python -m caspl.results $OUT

#!/usr/bin/env bash
# Ablations of CasPL: base-to-new for each value of one grid, below OUTPUT/ablations/GRID.
#
#     bash scripts/ablations.sh --root DATA --grid temperature --datasets dtd --trainers "CasPL_CoOp CasPLBoost" --seeds 1
#
# Its own options: --grid NAME, and --values "..." in place of the grid's usual ones.
#   length       tokens, adapting+boosting: 8+16
#   depth        blocks that one phase enters, in both towers or in one: boosting_6, adapting_3, boosting_text_1 ...
#   frozen       boosting prompts in phase 2: True, or False to train them, too
#   one_phase    True: as many tokens without phase 1, all trained with the labels
#   temperature  of the distillation
#   loss         kl, reverse_kl, l1, mse or feature
#   teacher      a backbone: ViT-L/14
#   domain       the images of phase 1: self, another dataset, a union such as self+imagenet
#   names        in the softmax of phase 1: all, or base for those of the base classes only
set -euo pipefail
# shellcheck disable=SC2034,SC2329 # protocols.sh reads variables, and `each` calls functions
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SETTING=base2new TRAINERS=(CasPL_CoOp)
OF_PHASE1="length depth temperature loss teacher names" # grids that change it

usual_values() { # DATASET: sets VALUES
    local depths=(1 3 6 9 12) teachers=(RN50 ViT-B/32 ViT-B/16 ViT-L/14)
    [[ $1 != digits ]] || depths=(1 2 3) teachers=(demo/student demo/teacher)
    case $GRID in
        length) VALUES=(4+4 4+8 8+4 8+8 8+16 16+8 16+16) ;;
        depth) VALUES=("${depths[@]/#/boosting_}" boosting_text_1 boosting_vision_1 "${depths[@]/#/adapting_}") ;;
        frozen | one_phase) VALUES=(True False) ;;
        temperature) VALUES=(0.5 1 2 4) ;;
        loss) VALUES=(kl reverse_kl l1 mse feature) ;;
        teacher) VALUES=("${teachers[@]}") ;;
        domain) VALUES=(self imagenet self+imagenet) ;;
        names) VALUES=(all base) ;;
    esac
}

check_grid() {
    local value pattern trainer
    case $GRID in
        length) pattern='[1-9][0-9]*\+[1-9][0-9]*' ;;
        depth) pattern='(boosting|adapting)(_text|_vision)?_[1-9][0-9]*' ;;
        frozen | one_phase) pattern='True|False' ;;
        temperature) pattern='[0-9]*\.?[0-9]+' ;;
        loss) pattern='kl|reverse_kl|l1|mse|feature' ;;
        names) pattern='all|base' ;;
        teacher | domain) pattern='.+' ;;
        '') mistake "--grid is missing; --help lists the grids" && return ;;
        *) mistake "there is no grid \"$GRID\"; --help lists the grids" && return ;;
    esac
    for value in ${VALUES[@]+"${VALUES[@]}"}; do
        [[ $value =~ ^($pattern)$ ]] || mistake "--values has \"$value\", which the grid $GRID does not know; --help shows what it takes"
    done
    for trainer in "${TRAINERS[@]}"; do
        [[ $trainer == CasPL_* || $trainer == CasPLBoost ]] || mistake "$trainer has no boosting prompts to vary; the grids are for CasPL_* and CasPLBoost"
        [[ $trainer != CasPLBoost || " $OF_PHASE1 " == *" $GRID "* ]] || mistake "the grid $GRID leaves CasPLBoost as it is; it is for CasPL_*"
    done
    [[ -z $BOOSTING || $GRID == frozen ]] || mistake "--boosting is of no use here, as the grid $GRID decides on the boosting prompts"
}

towers() { # NODE PREFIX TOWER NUMBER: sets KEYS, such as TRAINER.CASPL.DEPTH_TEXT 6; TOWER may be empty, which is both
    local tower
    KEYS=()
    for tower in TEXT VISION; do
        [[ -n $3 && $3 != "$tower" ]] || KEYS+=("TRAINER.$1.$2_$tower" "$4")
    done
}

adapting_length() { # TRAINER NUMBER: sets KEYS; false if the method has no choice
    local node=${1#CasPL_}
    node=${node^^}
    case $node in
        COOP | COCOOP) KEYS=("TRAINER.$node.N_CTX" "$2" "TRAINER.$node.CTX_INIT" "") ;; # words would fix the number
        PROGRAD) KEYS=(TRAINER.COOP.N_CTX "$2") ;;
        MAPLE) KEYS=(TRAINER.MAPLE.N_CTX "$2") ;;
        VPT) KEYS=(TRAINER.VPT.N_CTX_VISION "$2") ;;
        IVLP | PROMPTSRC) towers "$node" N_CTX "" "$2" ;;
        CASPLBOOST) KEYS=() ;;
        *) return 1 ;;
    esac
}

adapting_depth() { # TRAINER TOWER NUMBER: sets KEYS; false if the method has no such choice
    case ${1#CasPL_}/$2 in
        MaPLe/) KEYS=(TRAINER.MAPLE.PROMPT_DEPTH "$3") ;;
        VPT/ | VPT/VISION) KEYS=(TRAINER.VPT.PROMPT_DEPTH_VISION "$3") ;;
        IVLP/*) towers IVLP PROMPT_DEPTH "$2" "$3" ;;
        PromptSRC/*) towers PROMPTSRC PROMPT_DEPTH "$2" "$3" ;;
        *) return 1 ;;
    esac
}

vary() { # VALUE DATASET TRAINER: sets what protocols.sh can vary; false if the value is not for this trainer
    local value=$1 tower='' of_phase1=''
    PHASE1_KEYS=() PHASE2_KEYS=() ONE_PHASE=false PHASE1_DATASET='' PHASE1='' PHASE1_TAG='' TAG=-$GRID=${value//[\/: ]/_}
    case $value in *_text_*) tower=TEXT ;; *_vision_*) tower=VISION ;; esac
    case $GRID/$value in
        length/*)
            adapting_length "$3" "${value%+*}" || return
            PHASE2_KEYS=(${KEYS[@]+"${KEYS[@]}"}) of_phase1=${value#*+} # one phase 1 for all adapting lengths
            towers CASPL N_CTX "" "$of_phase1"
            PHASE1_KEYS=("${KEYS[@]}")
            ;;
        depth/boosting_*) towers CASPL DEPTH "$tower" "${value##*_}" && PHASE1_KEYS=("${KEYS[@]}") of_phase1=$value ;;
        depth/adapting_*) adapting_depth "$3" "$tower" "${value##*_}" && PHASE2_KEYS=("${KEYS[@]}") || return ;;
        frozen/*) PHASE2_KEYS=(TRAINER.CASPL.FREEZE "$value") ;;
        one_phase/True) ONE_PHASE=true && keys_of_one_phase "$2" ;;
        temperature/* | loss/* | teacher/*) PHASE1_KEYS=("TRAINER.CASPL.${GRID^^}" "$value") of_phase1=$value ;;
        names/*) PHASE1_KEYS=(TRAINER.CASPL.CLASSES "$value") of_phase1=$value ;;
        domain/*)
            PHASE1_DATASET=${value//self/$2}
            check_dataset "$PHASE1_DATASET"
            [[ $value != *+* ]] || of_phase1=$PHASE1_DATASET # a single dataset has its ordinary phase 1
            ;;
    esac
    [[ -n $of_phase1 ]] || return 0
    PHASE1=$OUT/ablations/$GRID/boost PHASE1_TAG=-$GRID=${of_phase1//[\/: ]/_}
    [[ $3 != CasPLBoost ]] || TAG=$PHASE1_TAG
}

keys_of_one_phase() { # DATASET: sets PHASE2_KEYS, the lengths and depths that phase 1 would have had
    local CONFIG CONFIG_FILE EPOCH METHOD_KEYS key
    choose CasPLBoost "$1" 0
    PHASE2_KEYS=(TRAINER.CASPL.ONE_PHASE True)
    for key in N_CTX_TEXT N_CTX_VISION DEPTH_TEXT DEPTH_VISION; do
        PHASE2_KEYS+=("TRAINER.CASPL.$key" "$(yaml_value "$CONFIG_FILE" "$key")")
    done
}

plan() { # DATASET TRAINER SEED SHOTS
    local value given=${#VALUES[@]} VALUES=(${VALUES[@]+"${VALUES[@]}"})
    ((given)) || usual_values "$1"
    for value in "${VALUES[@]}"; do
        if vary "$value" "$1" "$2"; then
            plan_base2new "$OUT/ablations/$GRID/base2new" "$@"
        elif ((given)); then
            mistake "$GRID $value is nothing that $2 could vary"
        fi
    done
}

parse_arguments "--trainers --shots --boosting --all --grid --values" "$@"
settle_datasets "${BENCHMARK[@]}"
check_grid
stop_at_mistakes
each plan
((${#FOLDERS[@]})) || mistake "the grid $GRID has nothing that ${TRAINERS[*]} could vary"
carry_out "$OUT/ablations/$GRID/base2new"

# The experiments of the CoOp family: which configuration and which keys a run gets, and which folder. Sourced by common.sh.
# The settings are those of the published scripts; docs/sweeps.md shows the folders.
# shellcheck shell=bash disable=SC2034,SC2153 # common.sh uses what is set here, and sets what is used

BENCHMARK=(imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 dtd eurosat ucf101)
IMAGENET_VARIANTS=(imagenetv2 imagenet_sketch imagenet_a imagenet_r)
SETTING='' # phase1, base2new, few_shot or transfer (cross-dataset and domain generalisation)

# What ablations.sh varies: the ends of the folders' names, keys of the two phases, whether there is a phase 1, on what, where
TAG='' PHASE1_TAG='' PHASE1_KEYS=() PHASE2_KEYS=() ONE_PHASE=false PHASE1_DATASET='' PHASE1=''

# ------------------------------------------------------------ configurations
choose() { # TRAINER DATASET SHOTS [FOR-TRAINER]: sets CONFIG, CONFIG_FILE, EPOCH (the last one) and METHOD_KEYS
    local given=${CONFIG_OF[$1]-}
    if [[ -n $given ]]; then
        CONFIG=$given
    elif [[ $2 == digits ]]; then
        CONFIG=digits
    elif [[ $1 == CasPLBoost ]]; then
        usual_phase1 "${PHASE1_DATASET:-$2}" "${4-}"
    else
        usual_config "$1" "$2" "$3"
    fi
    CONFIG_FILE=configs/trainers/$1/$CONFIG.yaml
    EPOCH=''
    method_keys "$@"
    if [[ -f $CONFIG_FILE ]]; then
        last_epoch "$1"
    else
        mistake "no $CONFIG_FILE; that folder has $(cd "configs/trainers/$1" && printf '%s\n' *.yaml | sed 's/\.yaml$//' | commas)"
    fi
}

usual_phase1() { # DATASET FOR-TRAINER: sets CONFIG
    local batch=batch4 shape=8+8ctx_l12
    [[ +$1+ != *+imagenet+* ]] || batch=batch128_lr0025
    case $SETTING/$1/$2 in
        transfer/imagenet/CasPL_CoCoOp) shape=4+4ctx_l3 ;;
        transfer/imagenet/*) shape=4+4ctx_l1 ;;
    esac
    CONFIG=vit_b16_c2_ep20_${batch}_$shape
}

usual_config() { # TRAINER DATASET SHOTS: sets CONFIG
    local by_shots='' # 200 epochs
    if [[ $3 == 1 || $2 == imagenet ]]; then by_shots=_ep50; elif (($3 <= 4)); then by_shots=_ep100; fi
    case $SETTING/$1/$2 in
        transfer/CoOp/* | base2new/CoOp/imagenet) CONFIG=vit_b16_ep50_ctxv1 ;;
        base2new/CoOp/*) CONFIG=vit_b16_ctxv1 ;;
        few_shot/CoOp/* | few_shot/*ProGrad/*) CONFIG=vit_b16$by_shots ;;
        transfer/*ProGrad/* | */*ProGrad/imagenet) CONFIG=vit_b16_ep50 ;;
        */ProGrad/* | */CasPL_ProGrad/*) CONFIG=vit_b16_ep100 ;;
        transfer/CasPL_CoOp/*) CONFIG=vit_b16_ep10_ctxv1 ;;
        */CasPL_CoOp/*) CONFIG=vit_b16_ep50 ;;
        */CoCoOp/* | transfer/CasPL_CoCoOp/*) CONFIG=vit_b16_c4_ep10_batch1_ctxv1 ;;
        */CasPL_CoCoOp/*) CONFIG=vit_b16_c8_ep10_batch1 ;;
        */KgCoOp/* | */CasPL_KgCoOp/*) CONFIG=vit_b16_ep100_ctxv1 ;;
        */VPT/*) CONFIG=vit_b16_c2_ep5_batch4_4 ;;
        */CasPL_VPT/*) CONFIG=vit_b16_c2_ep5_batch4_8_l12 ;;
        */IVLP/*) CONFIG=vit_b16_c2_ep5_batch4_2+2ctx ;;
        */CasPL_IVLP/*) CONFIG=vit_b16_c2_ep20_batch4_8+8ctx_l12 ;;
        transfer/MaPLe/*) CONFIG=vit_b16_c2_ep5_batch4_2ctx_cross_datasets ;;
        */MaPLe/*) CONFIG=vit_b16_c2_ep5_batch4_2ctx ;;
        transfer/CasPL_MaPLe/*) CONFIG=vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12 ;;
        */CasPL_MaPLe/*) CONFIG=vit_b16_c8_ep5_batch4_8ctx_l12 ;;
        transfer/PromptSRC/*) CONFIG=vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets ;;
        few_shot/PromptSRC/*) CONFIG=vit_b16_c2_ep50_batch4_4+4ctx_few_shot ;;
        */PromptSRC/*) CONFIG=vit_b16_c2_ep20_batch4_4+4ctx ;;
        transfer/CasPL_PromptSRC/*) CONFIG=vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l3 ;;
        few_shot/CasPL_PromptSRC/*) CONFIG=vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12 ;;
        */CasPL_PromptSRC/*) CONFIG=vit_b16_c2_ep20_batch4_8+8ctx_l12 ;;
        *) CONFIG=vit_b16 ;; # zero-shot and linear probe; of a trainer that was added, --config knows better
    esac
}

last_epoch() { # TRAINER: sets EPOCH from the pairs after --, else from CONFIG_FILE
    local i
    case $1 in
        ZeroshotCLIP*) return 0 ;;
        LinearProbe) EPOCH=1 && return ;; # it is fitted at once
    esac
    EPOCH=$(yaml_value "$CONFIG_FILE" MAX_EPOCH)
    for ((i = 0; i < ${#EXTRA[@]}; i += 2)); do
        [[ ${EXTRA[i]} != OPTIM.MAX_EPOCH ]] || EPOCH=${EXTRA[i + 1]}
    done
    [[ $EPOCH =~ ^[1-9][0-9]*$ ]] || mistake "OPTIM.MAX_EPOCH is \"$EPOCH\" with $CONFIG_FILE, expected a whole number from 1"
}

yaml_value() { # FILE KEY: prints the value of the only key of that name
    [[ ! -f $1 ]] || sed -n "s/^ *$2: *\"\{0,1\}\([^\"# ]*\).*/\1/p" "$1"
}

method_keys() { # TRAINER DATASET SHOTS: sets METHOD_KEYS, those that the protocols change from dataset to dataset
    METHOD_KEYS=()
    case $CONFIG/$2 in # PromptSRC's Gaussian weights of the 50 epochs
        *few_shot*/stanford_cars | *few_shot*/oxford_flowers | *few_shot*/fgvc_aircraft | *few_shot*/dtd | *few_shot*/eurosat)
            METHOD_KEYS=(TRAINER.PROMPTSRC.GPA_MEAN 45 TRAINER.PROMPTSRC.GPA_STD 5)
            ;;
        *few_shot*) METHOD_KEYS=(TRAINER.PROMPTSRC.GPA_MEAN 30 TRAINER.PROMPTSRC.GPA_STD 30) ;;
    esac
    case $SETTING/$1/$2 in
        few_shot/*ProGrad/oxford_flowers | few_shot/*ProGrad/dtd | few_shot/*ProGrad/eurosat)
            (($3 < 8)) || METHOD_KEYS=(LOSS.LAMBDA 0.8)
            ;;
    esac
    if [[ $1 == CasPLBoost ]]; then
        METHOD_KEYS+=(${PHASE1_KEYS[@]+"${PHASE1_KEYS[@]}"})
    else
        METHOD_KEYS+=(${PHASE2_KEYS[@]+"${PHASE2_KEYS[@]}"})
    fi
}

dataset_keys() { # DATASET: sets DATASET_FILE and DATASET_KEYS; a+b is the union of a and b
    local name names members=''
    DATASET_FILE=configs/datasets/$1.yaml DATASET_KEYS=()
    [[ $1 == *+* ]] || return 0
    IFS=+ read -ra names <<<"$1"
    for name in "${names[@]}"; do members+="${members:+,}'$(yaml_value "configs/datasets/$name.yaml" NAME)'"; done
    DATASET_FILE=configs/datasets/union.yaml DATASET_KEYS=(DATASET.MEMBERS "($members)")
}

reads() { # TRAINER KEY: whether it reads a key that stands after --; what all trainers share is for all of them
    local node=${1#CasPL_}
    node=${node^^}
    case $node in KGCOOP | PROGRAD) node=COOP ;; ZEROSHOTCLIP*) node=ZSCLIP ;; esac
    case $2 in
        TRAINER.CASPL.BOOSTING | TRAINER.CASPL.FREEZE | TRAINER.CASPL.ONE_PHASE | TRAINER.CASPL.DEPTH_OF_ADAPTING) [[ $1 == CasPL_* ]] ;;
        TRAINER.CASPL.*) [[ $1 == CasPLBoost ]] ;;
        TRAINER.COOP.W) [[ $1 == *KgCoOp ]] ;;
        TRAINER."$node".*) ;;
        TRAINER.*) false ;;
        LOSS.*) [[ $1 == *ProGrad ]] ;;
        TEST.FEATURE_STORE) [[ $1 != ZeroshotCLIP* && $1 != LinearProbe ]] ;;
    esac
}

# ------------------------------------------------------------ one run
plan_training() { # FOLDER KIND NEEDS DATASET TRAINER SEED KEYS...: with the configuration that was chosen
    local folder=$1 kind=$2 needs=$3 dataset=$4 trainer=$5 seed=$6
    shift 6
    dataset_keys "$dataset"
    add_run "$folder" "$kind" "$needs" "$EPOCH" "$trainer" --seed "$seed" --trainer "$trainer" \
        --dataset-config-file "$DATASET_FILE" --config-file "$CONFIG_FILE" --output-dir "$folder" \
        "$@" ${DATASET_KEYS[@]+"${DATASET_KEYS[@]}"} ${METHOD_KEYS[@]+"${METHOD_KEYS[@]}"}
}

plan_test() { # FOLDER MODEL DATASET TRAINER SEED KEYS...: MODEL is the folder of a training; empty: zero-shot
    local folder=$1 model=$2 dataset=$3 trainer=$4 seed=$5 load=(--eval-only)
    shift 5
    dataset_keys "$dataset"
    [[ -z $model ]] || load+=(--model-dir "$model" --load-epoch "$EPOCH")
    add_run "$folder" test "$model" '' "$trainer" --seed "$seed" --trainer "$trainer" \
        --dataset-config-file "$DATASET_FILE" --config-file "$CONFIG_FILE" "${load[@]}" --output-dir "$folder" \
        "$@" ${DATASET_KEYS[@]+"${DATASET_KEYS[@]}"} ${METHOD_KEYS[@]+"${METHOD_KEYS[@]}"}
}

plan_phase1() { # DATASET SEED KIND [FOR-TRAINER]: boosting prompts for tests on DATASET; sets FOLDER
    local CONFIG CONFIG_FILE EPOCH METHOD_KEYS name # the caller's own stay as they are
    choose CasPLBoost "$1" 0 "${4-}"
    name=$CONFIG
    [[ $SETTING != phase1 ]] || name=${NAME:-$CONFIG}
    FOLDER=${PHASE1:-$OUT/boost}/${PHASE1_DATASET:-$1}/$name$PHASE1_TAG/seed$2
    plan_training "$FOLDER" "$3" '' "${PHASE1_DATASET:-$1}" CasPLBoost "$2"
}

plan_learner() { # FOLDER DATASET TRAINER SEED KEYS...: a method that learns from labels, behind boosting prompts if CasPL_
    local folder=$1 dataset=$2 trainer=$3 seed=$4 needs='' boosting=()
    shift 4
    if [[ $trainer == CasPL_* ]] && ! $ONE_PHASE; then
        if [[ -n $BOOSTING ]]; then
            boosting=(TRAINER.CASPL.BOOSTING "$BOOSTING")
        else # of seed 1 for all seeds, as published
            plan_phase1 "$dataset" 1 boosting "$trainer"
            needs=$FOLDER boosting=(TRAINER.CASPL.BOOSTING "$FOLDER")
        fi
    fi
    plan_training "$folder" training "$needs" "$dataset" "$trainer" "$seed" "$@" ${boosting[@]+"${boosting[@]}"}
}

plan_label_free() { # DATASET TRAINER SEED: sets MODEL (phase 1, or nothing), the SEED in use, and the choice
    MODEL='' SEED=1 # of zero-shot, where nothing is random
    choose "$2" "$1" 0
    [[ $2 == CasPLBoost ]] || return 0
    SEED=$3
    [[ -z $BOOSTING ]] || mistake "CasPLBoost tests the phase 1 of this sweep, --boosting is for CasPL_*; leave out one of the two"
    plan_phase1 "$1" "$3" phase1
    MODEL=$FOLDER
}

label_free() { [[ $1 == ZeroshotCLIP || $1 == ZeroshotCLIP2 || $1 == CasPLBoost ]]; } # TRAINER

# ------------------------------------------------------------ one experiment
plan_base2new() { # FOLDER DATASET TRAINER SEED SHOTS: train on base classes, test on new ones
    local top=$1 dataset=$2 trainer=$3 seed=$4 shots=$5 parts=(test_new) keys=() part end
    if label_free "$trainer"; then
        plan_label_free "$dataset" "$trainer" "$seed"
        seed=$SEED shots=0 parts=(test_base test_new)
    else
        choose "$trainer" "$dataset" "$shots"
        keys=(DATASET.NUM_SHOTS "$shots")
    fi
    end=$dataset/shots_$shots/$trainer/${NAME:-$CONFIG}$TAG/seed$seed
    if ((shots)); then
        MODEL=$top/train_base/$end
        plan_learner "$MODEL" "$dataset" "$trainer" "$seed" "${keys[@]}" DATASET.SUBSAMPLE_CLASSES base
    fi
    ! $ALL || parts+=(test_all)
    for part in "${parts[@]}"; do
        plan_test "$top/$part/$end" "$MODEL" "$dataset" "$trainer" "$seed" \
            ${keys[@]+"${keys[@]}"} DATASET.SUBSAMPLE_CLASSES "${part#test_}"
    done
}

plan_few_shot() { # DATASET TRAINER SEED SHOTS: train and test on all classes; sets MODEL and END, the end of the folders
    local dataset=$1 trainer=$2 seed=$3 shots=$4
    if label_free "$trainer"; then
        plan_label_free "$dataset" "$trainer" "$seed"
        END=$trainer/${NAME:-$CONFIG}_0shots
        plan_test "$OUT/$dataset/$END/seed$SEED" "$MODEL" "$dataset" "$trainer" "$SEED"
    else
        choose "$trainer" "$dataset" "$shots"
        SEED=$seed END=$trainer/${NAME:-$CONFIG}_${shots}shots MODEL=$OUT/$dataset/$END/seed$seed
        plan_learner "$MODEL" "$dataset" "$trainer" "$seed" DATASET.NUM_SHOTS "$shots"
    fi
}

plan_transfer() { # DATASET TRAINER SEED SHOTS: train on SOURCE, test on DATASET
    plan_few_shot "$SOURCE" "$2" "$3" "$4"
    [[ $1 == "$SOURCE" ]] ||
        plan_test "$OUT/evaluation/${END%/*}/${END##*/}/$1/seed$SEED" "$MODEL" "$1" "$2" "$SEED"
}

each() { # FUNCTION WORDS...: call it for every dataset, trainer, seed and number of shots
    local dataset trainer seed shots
    for dataset in "${DATASETS[@]}"; do
        for trainer in "${TRAINERS[@]}"; do
            for seed in "${SEEDS[@]}"; do
                for shots in "${SHOTS[@]}"; do "$@" "$dataset" "$trainer" "$seed" "$shots"; done
            done
        done
    done
}

refuse_linear_probe() {
    [[ " ${TRAINERS[*]} " != *" LinearProbe "* ]] ||
        mistake "LinearProbe knows no classes but those that it was trained on; few_shot.sh takes it"
}

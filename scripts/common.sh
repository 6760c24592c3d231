# What the sweeps share; the other scripts source it. Here is their command line, in runs.sh the list of runs and how they are
# carried out, in protocols.sh which runs an experiment has. A script calls parse_arguments, settle_datasets, functions
# plan_*, carry_out. Functions that answer more than yes or no set global variables, which their comments name.
# shellcheck shell=bash disable=SC2034 # what is set here and used by the others

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 402)); then
    echo "error: this is bash $BASH_VERSION, the sweeps need 4.2 or later" >&2
    exit 2
fi
SCRIPT=$0
START=$PWD
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case $SCRIPT in /*) ;; *) SCRIPT=$START/$SCRIPT ;; esac
cd "$REPOSITORY" || exit
# shellcheck source=scripts/runs.sh
source scripts/runs.sh
# shellcheck source=scripts/protocols.sh
source scripts/protocols.sh

# ------------------------------------------------------------ the command line
declare -A CONFIG_OF SEEN # trainer -> configuration that was asked for; mistakes that have been told
CONFIG_FOR_ALL='' MISTAKES=0
ROOT=data OUT=output JOBS=1 BOOSTING='' NAME='' SOURCE=imagenet GRID='' ALL=false DRY_RUN=false TABLE=true
DATASETS=() TRAINERS=(CoOp CasPL_CoOp) SEEDS=(1 2 3) SHOTS=(16) VALUES=() EXTRA=()

mistake() { # SENTENCE: say it, once; nothing will run
    [[ -z ${SEEN[$1]-} ]] || return 0
    echo "error: $1" >&2
    SEEN[$1]=told MISTAKES=$((MISTAKES + 1))
}

stop_at_mistakes() { ((MISTAKES == 0)) || exit 2; }

usage() { # the comment that a script begins with, and what all of them take
    sed -n '2,/^set -/{/^set -/d; /^# shellcheck/d; s/^# \{0,1\}//; p;}' "$SCRIPT"
    cat <<'END'

Options:
  --root DATA        folder of the datasets (default data)
  --output DIR       where all runs go (default output)
  --datasets NAMES   of files in configs/datasets; lists are separated by spaces or commas
  --trainers NAMES   of folders in configs/trainers (default CoOp CasPL_CoOp)
  --seeds NUMBERS    (default 1 2 3; phase 1: 1)
  --shots NUMBERS    labelled images per class (default 16; few-shot: 1 2 4 8 16)
  --config NAME      in place of the trainers' usual configuration; TRAINER=NAME is for one of them
  --name NAME        of the runs' folders, in place of the configuration's: keeps runs with other settings apart
  --boosting PATH    boosting prompts for all CasPL_* (default: those of phase 1, seed 1, which are trained if missing)
  --jobs N           runs at a time (default 1)
  --no-table         no table at the end
  --dry-run          print the commands that would run, and run nothing
  -- KEY VALUE ...   for every run of train.py whose trainer reads the key, for example -- OPTIM.LR 0.001
docs/sweeps.md says more.
END
}

parse_arguments() { # OPTIONS THE-COMMAND-LINE...: OPTIONS are those beyond root, output, datasets ... that the script takes
    local takes=" --root --output --datasets --seeds --config --name --jobs $1 "
    shift
    while (($#)); do
        case $1 in
            --help | -h) usage && exit 0 ;;
            --dry-run) DRY_RUN=true ;;
            --no-table) TABLE=false ;;
            --) shift && EXTRA=("$@") && break ;;
            *)
                if [[ $takes != *" $1 "* ]]; then
                    mistake "$(basename "$SCRIPT") has no option $1; --help lists those that it has"
                    while (($# > 1)) && [[ $2 != -* ]]; do shift; done # what would be its value
                elif [[ $1 == --all ]]; then
                    ALL=true
                elif (($# == 1)); then
                    mistake "$1 is the last word, its value is missing"
                else
                    take_option "$1" "$2"
                    shift
                fi
                ;;
        esac
        shift
    done
    check_arguments
    stop_at_mistakes
    limit_threads
}

take_option() { # OPTION VALUE
    if [[ -z ${2//[, ]/} ]]; then
        mistake "the value of $1 is empty"
        return
    fi
    case $1 in
        --root) ROOT=$(from_start "$2") ;;
        --output) OUT=$(from_start "$2") ;;
        --boosting) BOOSTING=$(from_start "$2") ;;
        --jobs) JOBS=$2 ;;
        --name) NAME=$2 ;;
        --source) SOURCE=$2 ;;
        --grid) GRID=$2 ;;
        --config) if [[ $2 == *=* ]]; then CONFIG_OF[${2%%=*}]=${2#*=}; else CONFIG_FOR_ALL=$2; fi ;;
        --datasets) split "$2" && DATASETS=("${LIST[@]}") ;;
        --trainers) split "$2" && TRAINERS=("${LIST[@]}") ;;
        --seeds) split "$2" && SEEDS=("${LIST[@]}") ;;
        --shots) split "$2" && SHOTS=("${LIST[@]}") ;;
        --values) split "$2" && VALUES=("${LIST[@]}") ;;
    esac
}

split() { IFS=', ' read -ra LIST <<<"${1//$'\n'/ }"; } # WORDS: sets LIST

from_start() { # PATH as it is seen from the repository, for one that was given in the folder of the caller
    local path=$1
    [[ $path == /* || $START == "$REPOSITORY" ]] || path=$START/$path
    while [[ $path == ?*/ ]]; do path=${path%/}; done
    printf %s "$path"
}

check_arguments() {
    local word
    for word in "${TRAINERS[@]}"; do check_name trainer "$word" configs/trainers/*/; done
    for word in ${DATASETS[@]+"${DATASETS[@]}"}; do check_dataset "$word"; done
    for word in "${SEEDS[@]}"; do check_number --seeds "$word"; done
    for word in "${SHOTS[@]}"; do check_number --shots "$word"; done
    check_number --jobs "$JOBS"
    [[ $NAME != */* ]] || mistake "--name $NAME has a slash; it names one folder"
    check_configs
    check_pairs
}

check_name() { # KIND NAME PATHS...: the paths end in the names that there are
    local kind=$1 name=$2 names
    shift 2
    names=$(printf '%s\n' "$@" | sed 's|/$||; s|.*/||; s|\.yaml$||')
    grep -qxF -e "$name" <<<"$names" || mistake "no $kind is called \"$name\"; there are $(commas <<<"$names")"
}

commas() { paste -sd, - | sed 's/,/, /g'; } # joins lines

check_dataset() { # NAME, or a union of datasets: NAME+NAME
    local name names
    IFS=+ read -ra names <<<"$1"
    for name in "${names[@]}"; do check_name dataset "$name" configs/datasets/*.yaml; done
}

check_number() { # OPTION WORD
    [[ $2 =~ ^[1-9][0-9]*$ ]] || mistake "$1 has \"$2\", expected whole numbers from 1"
}

check_configs() {
    local trainer
    for trainer in ${CONFIG_OF[@]+"${!CONFIG_OF[@]}"}; do check_name trainer "$trainer" configs/trainers/*/; done
    [[ -n $CONFIG_FOR_ALL ]] || return 0
    for trainer in "${TRAINERS[@]}"; do CONFIG_OF[$trainer]=${CONFIG_OF[$trainer]-$CONFIG_FOR_ALL}; done
}

read_by_any() { # KEY
    local trainer
    for trainer in "${TRAINERS[@]}"; do
        ! reads "$trainer" "$1" || return 0
        [[ $trainer != CasPL_* ]] || ! reads CasPLBoost "$1" || return 0
    done
    return 1
}

check_pairs() {
    local i
    ((${#EXTRA[@]} % 2 == 0)) || mistake "an odd number of words stands after --, expected pairs KEY VALUE"
    for ((i = 0; i < ${#EXTRA[@]}; i += 2)); do
        [[ ${EXTRA[i]} =~ ^[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*$ ]] || mistake "\"${EXTRA[i]}\" stands after -- where a KEY such as OPTIM.LR is expected"
        read_by_any "${EXTRA[i]}" || mistake "${EXTRA[i]} stands after --, but none of ${TRAINERS[*]} reads it"
    done
}

check_disk() { # what a dry run can do without
    local dataset others=''
    command -v python >/dev/null || mistake "there is no command python; activate the environment that this project is installed in"
    for dataset in ${DATASETS[@]+"${DATASETS[@]}"}; do [[ $dataset == digits ]] || others+=" $dataset"; done
    [[ -z $others || -d $ROOT ]] || mistake "no folder $ROOT (--root); it holds the folders of the datasets$others"
    { mkdir -p "$OUT" && [[ -w $OUT ]]; } 2>/dev/null || mistake "can't write to $OUT (--output)"
    [[ -z $BOOSTING || -f $BOOSTING || -f $BOOSTING/boosting.safetensors ]] ||
        mistake "no boosting prompts at $BOOSTING (--boosting); expected a boosting.safetensors of phase 1, or its folder"
}

settle_datasets() { # NAMES...: sets DATASETS, if none were given, to those of them that this project has
    local name given=${#DATASETS[@]} missing=()
    for name; do
        if ((given)); then
            break
        elif [[ -f configs/datasets/$name.yaml ]]; then
            DATASETS+=("$name")
        else
            missing+=("$name")
        fi
    done
    ((${#missing[@]} == 0)) || echo "left out, as configs/datasets has no file for them: ${missing[*]}" >&2
    ((${#DATASETS[@]})) || mistake "configs/datasets has none of the usual datasets; choose with --datasets"
    stop_at_mistakes
}

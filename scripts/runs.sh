# The list of runs, and carrying it out: several at a time, skipping what is finished. Sourced by common.sh.
# shellcheck shell=bash disable=SC2034,SC2153 # common.sh uses what is set here, and sets what is used

# ------------------------------------------------------------ the list
declare -A INDEX # folder -> number of its run
FOLDERS=() COMMANDS=()
KINDS=()    # training or test; phase1: a training whatever its settings were; boosting: the same, only its prompts count
NEEDS=()    # folder of the run that must have ended well before; may be empty
EPOCHS=()   # the last one of a training; empty: a test
SETTINGS=() # the command without what may change: where data and outputs lie

add_run() { # FOLDER KIND NEEDS EPOCH TRAINER WORDS...: a run of train.py, unless it is on the list already
    local trainer=$5 key
    local folder=$1 kind=$2 i=${INDEX[$1]-${#FOLDERS[@]}}
    [[ $kind == boosting && -n ${KINDS[i]-} ]] || KINDS[i]=$kind
    [[ -z ${INDEX[$folder]-} ]] || return 0
    INDEX[$folder]=$i FOLDERS[i]=$folder NEEDS[i]=$3 EPOCHS[i]=$4
    shift 5
    for ((key = 0; key < ${#EXTRA[@]}; key += 2)); do
        ! reads "$trainer" "${EXTRA[key]}" || set -- "$@" "${EXTRA[@]:key:2}"
    done
    quote python train.py --root "$ROOT" "$@"
    COMMANDS[i]=$THREADS$QUOTED
    SETTINGS[i]=${*//"$OUT/"/}
}

limit_threads() { # sets THREADS, which stands before the commands: runs at a time must not wait for each other's
    local cores
    THREADS=''
    ((JOBS > 1)) || return 0
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    THREADS="OMP_NUM_THREADS=${OMP_NUM_THREADS-$((cores > JOBS ? cores / JOBS : 1))} "
}

quote() { # WORDS...: sets QUOTED, the line that a shell reads as these words
    local word
    QUOTED=''
    for word; do
        if [[ $word == *\'* && ! $word =~ [\"\$\`\\!] ]]; then
            word="\"$word\""
        elif [[ ! $word =~ ^[A-Za-z0-9_./:=+,@%-]+$ ]]; then
            word="'${word//\'/\'\\\'\'}'"
        fi
        QUOTED+="${QUOTED:+ }$word"
    done
}

newest_log() { # FOLDER: sets LOG; empty: there is none
    local logs=("$1"/log.txt*) # log.txt, log.txt-<time> ...: the last is the newest
    LOG=${logs[${#logs[@]} - 1]}
    [[ -f $LOG ]] || LOG=''
}

read_accuracy() { # sets ACCURACY to the last one on test images that LOG has, such as 82.3%
    ACCURACY=''
    [[ -n $LOG ]] || return
    ACCURACY=$(awk '/^Evaluate on the \*/ { val = /\*val\*/ } /^\* accuracy: / && !val { last = $3 } END { print last }' "$LOG")
    [[ -n $ACCURACY ]]
}

checkpoint() { # FOLDER EPOCH: sets CHECKPOINT
    local files=("$1"/*/model.pth.tar-"$2")
    CHECKPOINT=${files[0]}
    [[ -f $CHECKPOINT ]]
}

finished() { # RUN, by number: what it is for is there, and was made with these settings; sets ACCURACY
    local folder=${FOLDERS[$1]} kind=${KINDS[$1]} needs=${NEEDS[$1]} settings=''
    newest_log "$folder"
    read_accuracy || [[ $kind == boosting ]] || return
    [[ ! -f $folder/settings.txt ]] || settings=$(<"$folder/settings.txt")
    case $kind in
        boosting) [[ -f $folder/boosting.safetensors ]] ;;
        phase1) checkpoint "$folder" "${EPOCHS[$1]}" ;;
        training) [[ ${settings:-${SETTINGS[$1]}} == "${SETTINGS[$1]}" ]] && checkpoint "$folder" "${EPOCHS[$1]}" ;;
        test) [[ ${settings:-${SETTINGS[$1]}} == "${SETTINGS[$1]}" ]] && up_to_date "$needs" ;;
    esac
}

up_to_date() { # MODEL: true if it was not trained again after LOG, the test of it, was begun; empty: no model
    [[ -z $1 ]] || { checkpoint "$1" "${EPOCHS[${INDEX[$1]}]}" && [[ ! $CHECKPOINT -nt $LOG ]]; }
}

started() { [[ -n ${EPOCHS[$1]} && -f ${FOLDERS[$1]}/resume.pth.tar ]]; } # RUN

unneeded() { # RUN: phase 1 for the sake of phase 2, where all that would use it is finished
    local i
    [[ ${KINDS[$1]} == boosting ]] || return
    for i in "${!FOLDERS[@]}"; do
        [[ ${NEEDS[i]} != "${FOLDERS[$1]}" ]] || finished "$i" || return
    done
}

# ------------------------------------------------------------ carrying it out
declare -a STATE=() PIDS=() # by number of the run; STATE is waiting, running, ended or failed
declare -a REFUSED=() # by number of the run: it ended with status 2 or diverged, and would do so again
FINISHED=0 TOTAL=0 TEMPORARY=''

carry_out() { # FOLDER: run what is planned, then show the table of what lies below FOLDER; empty: no table
    local i status=0
    $DRY_RUN || check_disk
    stop_at_mistakes
    for i in "${!FOLDERS[@]}"; do
        STATE[i]=waiting
        if unneeded "$i"; then STATE[i]=ended; else TOTAL=$((TOTAL + 1)); fi
    done
    if $DRY_RUN; then show_commands; else execute; fi
    if [[ -n $1 ]] && $TABLE; then show_table "$1" || status=1; fi
    list_failed || status=1
    exit $status
}

show_commands() {
    local i needs
    [[ $START == "$REPOSITORY" ]] || { quote cd "$REPOSITORY" && echo "$QUOTED"; }
    for i in "${!FOLDERS[@]}"; do
        needs=${NEEDS[i]}
        if [[ ${STATE[i]} == ended ]]; then
            continue
        elif finished "$i" && [[ ${KINDS[i]} != test || -z $needs || ${STATE[${INDEX[$needs]}]} == ended ]]; then
            echo "skip ${FOLDERS[i]}" >&2
            STATE[i]=ended
        else # stays waiting, so that the tests of it are shown, too
            echo "${COMMANDS[i]}"
        fi
    done
}

show_table() { # FOLDER
    local datasets trainers
    datasets=$(IFS=, && echo "${DATASETS[*]}") trainers=$(IFS=, && echo "${TRAINERS[*]}")
    quote python -m caspl.results "$1" --dataset "$datasets" --trainer "$trainers" --no-write
    if $DRY_RUN; then echo "$QUOTED"; else echo && eval "$QUOTED"; fi
}

execute() { # start what can be started, wait for one to end, and so on
    local i status
    TEMPORARY=$(mktemp -d)
    mkfifo "$TEMPORARY/ended"
    exec {ENDED}<>"$TEMPORARY/ended" # both ways, so that neither end waits for the other to open it
    trap 'end_runs && rm -rf "$TEMPORARY"' EXIT
    trap 'interrupt 130' INT
    trap 'interrupt 143' TERM HUP
    start_ready
    while ((${#PIDS[@]})); do
        read -r -u "$ENDED" i status
        unset "PIDS[i]"
        conclude "$i" "$status"
        start_ready
    done
}

start_ready() { # as many runs as --jobs allows; needs come before the runs that need them
    local i needs before
    for i in "${!FOLDERS[@]}"; do
        ((${#PIDS[@]} < JOBS)) || return 0
        [[ ${STATE[i]} == waiting ]] || continue
        needs=${NEEDS[i]} before=ended
        [[ -z $needs ]] || before=${STATE[${INDEX[$needs]}]}
        case $before in
            failed) conclude "$i" "it needs $needs, which failed" ;;
            ended) if finished "$i"; then conclude "$i" skip; else start "$i"; fi ;;
        esac
    done
}

start() { # RUN
    local folder=${FOLDERS[$1]} word=run
    if ! mkdir -p "$folder"; then
        conclude "$1" "its folder can't be made"
        return
    fi
    ! started "$1" || word=resume
    [[ ! -t 2 ]] || printf 'start %s\n' "$folder" >&2
    STATE[$1]=running
    set -m # a group of its own: it ends as a whole, and only when this script says so
    (
        set +me
        trap - INT TERM HUP
        run_alone "$1" "$word" </dev/null
        echo "$1 $OUTCOME" >&"$ENDED"
    ) &
    PIDS[$1]=$!
    set +m
}

run_alone() { # RUN WORD: sets OUTCOME to WORD, to skip if another sweep did it meanwhile, or to the exit status
    local folder=${FOLDERS[$1]} lock
    if command -v flock >/dev/null && exec {lock}<"$folder"; then
        flock -n "$lock" || { echo "wait for another sweep in $folder" >&2 && flock "$lock"; }
        if finished "$1"; then
            OUTCOME=skip
            return
        fi
    fi
    eval "${COMMANDS[$1]}" >/dev/null 2>"$folder/stderr.txt" # what it prints stands in log.txt, too
    OUTCOME=$?
    ((OUTCOME)) || OUTCOME=$2
}

conclude() { # RUN OUTCOME: run, resume, skip, an exit status or a reason
    local folder=${FOLDERS[$1]} outcome=$2
    FINISHED=$((FINISHED + 1))
    newest_log "$folder"
    case $outcome in
        run | resume) if read_accuracy; then keep_settings "$1"; else outcome="no result in its log"; fi ;;
        skip) read_accuracy || ACCURACY=- ;;
    esac
    case $outcome in
        run | resume | skip)
            STATE[$1]=ended
            printf '[%*d/%d] %-6s %6s  %s\n' ${#TOTAL} $FINISHED $TOTAL "$outcome" "$ACCURACY" "$folder"
            ;;
        *)
            STATE[$1]=failed
            if [[ $outcome == 2 ]] || { [[ $outcome == 1 ]] && grep -qs '^error: training has diverged' "$folder/stderr.txt"; }; then
                REFUSED[$1]=yes # of what was given, or of a file on the disk
            fi
            [[ ! $outcome =~ ^[0-9]+$ ]] || outcome="exit status $outcome"
            printf '[%*d/%d] %-6s %6s  %s\n' ${#TOTAL} $FINISHED $TOTAL failed - "$folder"
            printf '%s failed: %s\n' "$folder" "$outcome" >&2
            [[ $outcome == "it needs "* ]] || last_words "$folder" >&2
            ;;
    esac
}

keep_settings() { # RUN
    local folder=${FOLDERS[$1]}
    printf '%s\n' "${SETTINGS[$1]}" >"$folder/settings.txt"
    [[ -s $folder/stderr.txt ]] || rm -f "$folder/stderr.txt"
}

last_words() { # FOLDER: of what a run wrote to stderr, else to its log
    local file=$1/stderr.txt
    [[ -s $file ]] || file=$LOG
    [[ ! -s $file ]] || tail -n 6 "$file" | sed 's/^/    /'
}

list_failed() { # true if there are none
    local i failed=() words="the same command tries them again"
    for i in "${!FOLDERS[@]}"; do [[ ${STATE[i]} != failed ]] || failed+=("${FOLDERS[i]}"); done
    ((${#failed[@]})) || return 0
    ((${#REFUSED[@]} == 0)) || words+=", those marked * in vain until what they say is corrected"
    printf '\n%d of %d runs failed; %s:\n' ${#failed[@]} $TOTAL "$words" >&2
    for i in "${!FOLDERS[@]}"; do
        [[ ${STATE[i]} != failed ]] || printf '    %s%s\n' "${FOLDERS[i]}" "${REFUSED[i]:+ *}" >&2
    done
    return 1
}

interrupt() { # EXIT-STATUS
    trap '' INT TERM HUP # once is enough
    echo "interrupted; the same command skips what is finished and resumes what was under way" >&2
    exit "$1"
}

end_runs() { # those under way; after ten seconds by force
    local pid patience=100
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do kill -INT -- "-$pid" 2>/dev/null || true; done
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        while kill -0 -- "-$pid" 2>/dev/null && ((patience > 0)); do
            sleep 0.1
            patience=$((patience - 1))
        done
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true # so that bash does not report them
}

#!/usr/bin/env bash
# `caspl sweep` by the code of this checkout, in whichever folder it is called; the scripts beside this one call it.
#
#     bash scripts/sweep.sh EXPERIMENT [OPTIONS] [-- KEY VALUE ...]
export CASPL_CALLED_IN=$PWD # where paths of the command line begin
unset CDPATH
cd "$(dirname "$0")/.." || exit
if ! command -v python >/dev/null; then
    echo "error: there is no command python; activate the environment that this project is installed in" >&2
    exit 2
fi
exec python -m caspl sweep "$@"

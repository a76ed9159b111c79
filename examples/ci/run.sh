#!/bin/sh
# Runs a command of a CI job in a sandbox, and fails where a layer is missing that may not be.
#
#     run.sh COMMAND [ARGUMENT...]
#
#   SANDBOXD_PROFILE   the profile; builtin:ci-job where not said
#   SANDBOXD_OPTIONS   more options of `sandboxd run`, one a line
#   SANDBOXD_MAY_LACK  what this runner may lack, as `sandboxd receipt check --may-lack` takes it
#   SANDBOXD_RECEIPT   where the receipt is at the end, in a folder that exists; sandboxd-receipt.json where
#                      not said
#
# The folder that this script lies in is for the command to read alone, where it is below the one that the job
# is in: a later step may execute what is there. builtin:container has no such folders within one that may be
# written; call a copy then that lies elsewhere, as gitlab.yml does.
#
# SIGTERM, SIGINT and SIGHUP are passed on to the sandbox as SIGTERM; the receipt is kept. Who signals the whole
# process group asks sandboxd twice, which kills at once.
#
# Exit status: the command's own; 1 where a layer is missing without leave, and then the command was not
# run; 125 where no sandbox could be made, or where the command ran and something else failed then, which is
# said; 128 + n where signal n ended it.
set -eu

stopped=
signals=0
child=

# stop STATUS: a signal has come.
stop() {
    stopped=$1
    signals=$((signals + 1))
    [ -z "$child" ] || kill -s TERM "$child" 2> /dev/null || :
}

# Moved, not copied: a link that the command has put there is replaced, and not followed. The folder is the one
# that was there before the command ran, whatever it is called now.
keep() {
    status=${stopped:-$?}
    trap - EXIT
    if [ -e "$receipt" ]; then
        chmod a+r "$receipt"
        mv -fT -- "$receipt" "/proc/self/fd/9/$name" || status=125
    fi
    rm -rf -- "$folder"
    exit "$status"
}

# sandboxed [OPTION...] -- COMMAND [ARGUMENT...]
#
# Not in front: of a signal, a shell hears only when what it waits for there has ended. A signal ends the wait
# for what is not in front, which then begins again.
sandboxed() {
    # The lines of SANDBOXD_OPTIONS are words; nothing in them is a pattern.
    newline='
'
    old=$IFS
    IFS=$newline
    set -f
    # shellcheck disable=SC2086
    set -- run --receipt "$receipt" --profile "${SANDBOXD_PROFILE:-builtin:ci-job}" ${own:+"--read=$own"} ${SANDBOXD_OPTIONS-} "$@"
    set +f
    IFS=$old
    [ -z "$stopped" ] || exit "$stopped"
    sandboxd "$@" <&8 7<&- 8<&- 9<&- &
    child=$!
    # It may have come before that was known.
    [ -z "$stopped" ] || kill -s TERM "$child"
    while
        heard=$signals
        status=0
        wait "$child" || status=$?
        [ "$heard" != "$signals" ]
    do :; done
    child=
    return "$status"
}

enforced() {
    sandboxd receipt check "$receipt" ${SANDBOXD_MAY_LACK:+--may-lack "$SANDBOXD_MAY_LACK"} >&2
}

# All of it has been read before the command runs, which could otherwise change what is still to be read.
main() {
    [ $# -gt 0 ] || { echo "usage: run.sh COMMAND [ARGUMENT...]" >&2; exit 125; }
    command -v sandboxd > /dev/null || { echo "run.sh: sandboxd is not installed on this runner" >&2; exit 125; }

    artefact=${SANDBOXD_RECEIPT:-sandboxd-receipt.json}
    # It is replaced, and what is no file must not be: /dev/null is the whole host's. No command can make a device.
    case $artefact in /dev/* | /proc/*) given=device ;; *) given=file ;; esac
    if [ "$given" = device ] || { [ -e "$artefact" ] && [ ! -f "$artefact" ]; }; then
        echo "run.sh: SANDBOXD_RECEIPT=$artefact is no file, and would be replaced: name one" >&2
        exit 125
    fi
    name=$(basename -- "$artefact")
    place=$(dirname -- "$artefact")
    if [ ! -d "$place" ]; then
        echo "run.sh: SANDBOXD_RECEIPT=$artefact: there is no folder $place: make it before" >&2
        exit 125
    fi
    exec 9< "$place"
    # Under another number: what a shell does not start in front has nothing to read by itself.
    [ -e /proc/self/fd/0 ] || exec < /dev/null
    exec 7<&0

    here=$(cd -P -- "$(dirname -- "$0")" && pwd)
    job=$(pwd -P)
    case $here in
        "$job")
            echo "run.sh: it lies in the very folder that the command works in: put it in one of its own" >&2
            exit 125
            ;;
        "${job%/}"/*) own=$here ;;
        *) own= ;;
    esac

    # Git takes hooks and settings from where this file says. What is there is held, and the dot says where it looks
    # anyway; where it is not there, builtin:ci-job does not start, since the command could make it, and says so.
    if [ -d .git ] && [ ! -L .git ] && [ ! -e .git/commondir ] && [ ! -L .git/commondir ]; then
        printf '.\n' > .git/commondir || :
    fi

    trap 'stop 129' HUP
    trap 'stop 130' INT
    trap 'stop 143' TERM
    # Until the command has ended, the receipt lies where it cannot write.
    folder=$(mktemp -d)
    receipt=$folder/receipt.json
    trap keep EXIT

    # First a command that does nothing: what this runner cannot enforce is found before anything of the job
    # is run.
    exec 8< /dev/null
    sandboxed --quiet -- true
    enforced
    exec 8<&7 7<&-
    ended=0
    sandboxed -- "$@" || ended=$?
    # What the job was run with is looked at too: it was another start.
    enforced
    exit "$ended"
}

main "$@"

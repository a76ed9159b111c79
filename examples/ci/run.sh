#!/bin/sh
# Runs a command of a CI job in a sandbox, and fails where a layer is missing that may not be.
#
#     run.sh COMMAND [ARGUMENT...]
#
#   SANDBOXD_PROFILE   the profile; builtin:ci-job where not said
#   SANDBOXD_OPTIONS   more options of `sandboxd run`, one a line
#   SANDBOXD_MAY_LACK  what this runner may lack, as `sandboxd receipt check --may-lack` takes it
#   SANDBOXD_RECEIPT   where the receipt is at the end; sandboxd-receipt.json where not said
#
# Exit status: the command's own; 1 where a layer is missing without leave, and then the command was not
# run; 125 where no sandbox could be made, and then it was not run either.
set -eu

[ $# -gt 0 ] || { echo "usage: run.sh COMMAND [ARGUMENT...]" >&2; exit 125; }
command -v sandboxd > /dev/null || { echo "run.sh: sandboxd is not installed on this runner" >&2; exit 125; }

artefact=${SANDBOXD_RECEIPT:-sandboxd-receipt.json}
# It is replaced, and what is no file must not be: /dev/null is the whole host's. No command can make a device.
case $artefact in /dev/* | /proc/*) given=device ;; *) given=file ;; esac
if [ "$given" = device ] || { [ -e "$artefact" ] && [ ! -f "$artefact" ]; }; then
    echo "run.sh: SANDBOXD_RECEIPT=$artefact is no file, and would be replaced: name one" >&2
    exit 125
fi
# Until the command has ended, the receipt lies where it cannot write.
folder=$(mktemp -d)
receipt=$folder/receipt.json

# Moved, not copied: a link that the command has put there is replaced, and not followed.
keep() {
    status=$?
    trap - EXIT
    if [ -e "$receipt" ]; then
        chmod a+r "$receipt"
        mv -fT -- "$receipt" "$artefact" || status=125
    fi
    rm -rf -- "$folder"
    exit "$status"
}
trap keep EXIT

# sandboxed [OPTION...] -- COMMAND [ARGUMENT...]
sandboxed() {
    # The lines of SANDBOXD_OPTIONS are words; nothing in them is a pattern.
    newline='
'
    old=$IFS
    IFS=$newline
    set -f
    # shellcheck disable=SC2086
    set -- run --receipt "$receipt" --profile "${SANDBOXD_PROFILE:-builtin:ci-job}" ${SANDBOXD_OPTIONS-} "$@"
    set +f
    IFS=$old
    sandboxd "$@"
}

enforced() {
    sandboxd receipt check "$receipt" ${SANDBOXD_MAY_LACK:+--may-lack "$SANDBOXD_MAY_LACK"} >&2
}

# First a command that does nothing: what this runner cannot enforce is found before anything of the job
# is run.
sandboxed --quiet -- true
enforced
ended=0
sandboxed -- "$@" || ended=$?
# What the job was run with is looked at too: it was another start.
enforced
exit "$ended"

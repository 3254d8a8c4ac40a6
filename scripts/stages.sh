# The stages of run-tests.sh, which sources this file: each runs, whatever became of those before it.

outcomes=()
failed=0
current=

# Run a command as a stage: stage NAME COMMAND...
stage() {
    local outcome=passed
    current="$1" begun=$SECONDS
    shift
    printf '\n== %s\n' "$current"
    "$@" || { outcome=FAILED && failed=1; }
    note $((SECONDS - begun)) "$outcome" "$current"
    current=
}

# Say why a stage does not run: left_out NAME REASON
left_out() {
    printf '\n== %s: left out, %s\n' "$1" "$2"
    note - "left out" "$1, $2"
}

note() {
    outcomes+=("$(printf '%6s s  %-8s  %s' "$@")")
}

# Tell what became of each, and exit: with 1 if one failed.
summary() {
    printf '\n== Stages\n'
    printf '%s\n' "${outcomes[@]}"
    exit "$failed"
}

# Ctrl-C is for the stage that runs, and for those after it.
interrupted() {
    failed=130
    [ -z "$current" ] || note $((SECONDS - begun)) stopped "$current"
    summary
}
trap interrupted INT TERM

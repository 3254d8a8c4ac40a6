# The stages of run-tests.sh, which sources this file: each runs, whatever became of those before it.

outcomes=()
declare -A pids=() logs=()
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

# Run a command beside the stages that follow: meanwhile NAME COMMAND...
# A stage waits for it and shows what it said: stage NAME await NAME
meanwhile() {
    local name="$1" log
    log=$(mktemp)
    shift
    # In a process group of its own, so that all of it can be ended.
    set -m
    "$@" </dev/null >"$log" 2>&1 &
    set +m
    pids["$name"]=$! logs["$name"]=$log
}

await() {
    local status=0
    wait "${pids[$1]}" || status=$?
    cat "${logs[$1]}"
    rm "${logs[$1]}"
    unset "pids[$1]" "logs[$1]"
    return "$status"
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

# Ctrl-C is for the stage that runs, for those after it, and for what runs beside them.
interrupted() {
    failed=130
    for name in "${!pids[@]}"; do
        kill -- "-${pids[$name]}" 2>/dev/null || true
        rm -f "${logs[$name]}"
    done
    [ -z "$current" ] || note $((SECONDS - begun)) stopped "$current"
    summary
}
trap interrupted INT TERM

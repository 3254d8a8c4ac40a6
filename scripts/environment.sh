# The virtual environment of run-server.sh and run-tests.sh, which source this file.

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Print the command of a Python that is new enough: $PYTHON, or the first in the path.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.10 or newer is needed; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || true)." \
        "Name another one in the variable PYTHON."
}

# Install both distributions of a checkout with their extras in its virtual environment, unless that is done, and use it:
# environment DIR EXTRAS EXTRAS_OF_RECORDS_FILES
# It is done again when their metadata change. $VENV names another environment, which is used as it is.
environment() {
    [ -n "${VENV:-}" ] || install "$1" "$2" "$3"
    export PATH="${VENV:-$1/.venv}/bin:$PATH"
}

# Debian has what makes a virtual environment in a package of its own.
install_venv() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "Python's modules venv and ensurepip are missing; on Debian and Ubuntu: apt-get install python3-venv"
    printf 'Installing python3-venv ...\n' >&2
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends python3-venv; } \
        >/dev/null || fail "apt-get could not install python3-venv."
}

install() {
    local venv="$1/.venv" stamp="$1/.venv/installed-$2" python wanted
    python=$(find_python)
    wanted=$(printf '%s\n' "$1" && cat "$1/setup.cfg" "$1/pyproject.toml" "$1/invenio-records-files/pyproject.toml")
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    # Left by a folder that has moved, by a Python that has gone, or by a set-up that was interrupted.
    if [ -e "$venv" ] && ! { "$venv/bin/python" -m pip --version && grep -qF "$venv/bin/python" "$venv/bin/pip"; } \
        >/dev/null 2>&1; then
        rm -rf "$venv"
    fi
    if [ ! -e "$venv" ]; then
        printf 'Making a virtual environment in .venv ...\n' >&2
        "$python" -c 'import ensurepip, venv' 2>/dev/null || install_venv
        "$python" -m venv "$venv"
    fi
    printf 'Installing invenio-files-rest[%s] and invenio-records-files[%s]; this takes a minute or two ...\n' "$2" "$3" >&2
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --editable "$1[$2]" --editable "$1/invenio-records-files[$3]" >&2 ||
        fail "the installation failed."
    printf '%s\n' "$wanted" >"$stamp"
}

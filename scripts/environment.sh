# The virtual environments of run-server.sh and run-tests.sh, which source this file.

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Print the command of a Python that is new enough: $PYTHON, or the first in the path.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.15 python3.14 python3.13 python3.12 python3.11 python3.10}; do
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

# Fail where a package of Debian's cannot be installed: ensure_installable NAME WHAT-IS-MISSING
ensure_installable() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$2; on Debian and Ubuntu: apt-get install $1"
}

# Install it, without starting the service that it may have.
install_package() {
    local policy=/usr/sbin/policy-rc.d made= ok
    printf 'Installing %s ...\n' "$1" >&2
    if [ ! -e "$policy" ]; then
        made=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    { apt-get -qq -o DPkg::Lock::Timeout=300 update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$1"; } \
        >/dev/null && ok=1 || ok=
    [ -z "$made" ] || rm "$policy"
    [ -n "$ok" ] || fail "apt-get could not install $1."
}

# Print the path of nginx, which is often only in root's.
find_nginx() {
    PATH="$PATH:/usr/local/sbin:/usr/sbin" command -v nginx
}

# Install with pip, and say how far it is: pip_install PYTHON ARGUMENT...
pip_install() {
    local log line count=0 ok
    log=$(mktemp)
    "$1" -m pip install --disable-pip-version-check --no-color --progress-bar off "${@:2}" 2>&1 | tee "$log" |
        while IFS= read -r line; do
            case "$line" in
            *Collecting* | *"Requirement already"*)
                count=$((count + 1))
                if [ -t 2 ]; then
                    printf '\r\033[K  %d packages found' "$count" >&2
                elif [ $((count % 25)) -eq 0 ]; then
                    printf '  %d packages found\n' "$count" >&2
                fi
                ;;
            "Installing collected"*)
                [ ! -t 2 ] || printf '\r\033[K' >&2
                printf '  %d packages found, installing them ...\n' "$count" >&2
                ;;
            esac
        done && ok=1 || ok=
    [ -n "$ok" ] || tail -n 20 "$log" >&2
    rm "$log"
    [ -n "$ok" ]
}

install() {
    local venv="$1/.venv" metadata
    metadata=$(printf '%s\n' "$1" && cat "$1/setup.cfg" "$1/pyproject.toml" "$1/invenio-records-files/pyproject.toml")
    make_venv "$venv" "$venv/installed-$2" "$metadata" "invenio-files-rest[$2] and invenio-records-files[$3]" \
        --editable "$1[$2]" --editable "$1/invenio-records-files[$3]" ||
        fail "the installation failed."
}

# Install both distributions for the tests in an environment of another Python, which uv fetches where it is not there,
# and use it: environment_of DIR PYTHON NAME ARGUMENT_OF_UV...
# It is made anew each time, for what is lowest or newest changes. The uv is that of the environment in use.
environment_of() {
    local venv="$1/.venv-$3"
    printf 'Making a virtual environment with Python %s in %s ...\n' "$2" "$(basename "$venv")" >&2
    uv venv -q --clear --python "$2" "$venv" &&
        uv pip install -q --python "$venv/bin/python" "${@:4}" \
            --editable "$1[tests]" --editable "$1/invenio-records-files[tests]" || fail "the installation failed."
    export PATH="$venv/bin:$PATH"
}

# An environment with the published 6.1 and what serves it, for the tests that run it beside this version:
# published_environment DIR
published_environment() {
    local wanted=("invenio-files-rest==6.1.0" "invenio-db[postgresql]" pyuwsgi redis)
    make_venv "$1/.venv-published" "$1/.venv-published/installed" "${wanted[*]}" "the published 6.1" "${wanted[@]}"
}

# An environment with the packages that build on this one, for the tests that run them: ecosystem_environment DIR
ecosystem_environment() {
    local venv="$1/.venv-ecosystem" metadata
    metadata=$(printf '%s\n' "$1" && cat "$1/setup.cfg")
    # Of the many versions of botocore that they pin pip is long in finding one, uv is not.
    make_venv "$venv" "$venv/uv" uv uv uv &&
        make_venv "$venv" "$venv/installed" "$metadata" "invenio-files-rest[ecosystem,tests]" --editable "$1[ecosystem,tests]"
}

# An environment with what builds and checks a release: release_environment DIR
# It has none of what is released, which would load its jsonschema with all formats, for more than a second each time.
release_environment() {
    local wanted=("build>=1.2" "check-manifest>=0.50" "cyclonedx-bom>=7.0" "setuptools>=77" "twine>=6.1" "uv>=0.9")
    make_venv "$1/.venv-release" "$1/.venv-release/installed" "${wanted[*]}" "what a release is built with" "${wanted[@]}"
}

# Install packages in a virtual environment, unless a stamp says that it is done:
# make_venv VENV STAMP WANTED NAME ARGUMENT_OF_PIP...
make_venv() {
    local venv="$1" stamp="$2" wanted="$3" name="$4" python
    shift 4
    python=$(find_python) || return
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    # Left by a folder that has moved, by a Python that has gone, or by a set-up that was interrupted.
    if [ -e "$venv" ] && ! { "$venv/bin/python" -m pip --version && grep -qF "$venv/bin/python" "$venv/bin/pip"; } \
        >/dev/null 2>&1; then
        rm -rf "$venv"
    fi
    if [ ! -e "$venv" ]; then
        printf 'Making a virtual environment in %s ...\n' "$(basename "$venv")" >&2
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            ensure_installable python3-venv "Python's modules venv and ensurepip are missing"
            install_package python3-venv
        fi
        "$python" -m venv "$venv" || return
    fi
    printf 'Installing %s; this takes a minute or two ...\n' "$name" >&2
    if [ -x "$venv/bin/uv" ]; then
        "$venv/bin/uv" pip install -q --python "$venv/bin/python" "$@" >&2
    else
        pip_install "$venv/bin/python" "$@"
    fi && printf '%s\n' "$wanted" >"$stamp"
}

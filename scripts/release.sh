#!/usr/bin/env bash
# Build what a release consists of, and check it. CONTRIBUTING.rst tells what comes before and after.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."
. scripts/environment.sh

usage() {
    cat <<'HELP'
Usage: scripts/release.sh [--uncommitted] [FOLDER]

Builds sdist and wheel of both distributions in FOLDER (dist), from the files of the commit that is checked out and from
no others; checks that the sdists have every file and that an index takes them; installs the wheels in an environment of
their own, and writes what is in it, with versions and licences, as a bill of materials in CycloneDX.

  --uncommitted  build the files as they are, for a try

Needs Git. Makes the virtual environment .venv-release, with what it builds and checks with. INSTALLED names a folder to
make the environment with the wheels in, which stays; otherwise it is a temporary one.
HELP
}

uncommitted=
case "${1:-}" in
-h | --help) usage && exit ;;
--uncommitted) uncommitted=1 && shift ;;
-*) fail "there is no option $1; --help names those that there are." ;;
esac
[ $# -lt 2 ] || fail "name one folder."
folder=${1:-dist}
[[ $folder == /* ]] || folder="$caller/$folder"
[ -z "$(ls -A "$folder" 2>/dev/null)" ] || fail "$folder has something in it."
[ -n "$uncommitted" ] || [ -z "$(git status --porcelain)" ] || fail "there are changes that are in no commit."
release_environment "$PWD"
PATH="$PWD/.venv-release/bin:$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder" "$work/source"
touch "$work/constraints"
# What Git does not know is in no release.
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$work/source"
git -C "$work/source" init -q && git -C "$work/source" add --all
# Nor what lies in the path.
unset PYTHONPATH

build() {
    check-manifest -q --no-build-isolation "$1" && python -m build --no-isolation --outdir "$folder" "$1"
}

build "$work/source" >"$work/log" 2>&1 &
beside=$!
build "$work/source/invenio-records-files" >"$work/log-of-records-files" 2>&1 && ok=1 || ok=
wait "$beside" || fail "$(cat "$work/log")"
[ -n "$ok" ] || fail "$(cat "$work/log-of-records-files")"
twine --no-color check --strict "$folder"/*

# In the versions that stand in the environment of the tests, and without asking an index where all of them are known.
installed=${INSTALLED:-$work/installed}
tested=${VENV:-$PWD/.venv}
[ ! -d "$tested" ] || uv pip freeze -q --python "$tested" --exclude-editable >"$work/constraints"
wheels=("$(echo "$folder"/invenio_files_rest-*.whl)[postgresql,server]" "$(echo "$folder"/invenio_records_files-*.whl)[rest]")
uv venv -q --python "$(command -v python)" "$installed"
uv pip install -q --offline --python "$installed/bin/python" --constraint "$work/constraints" "${wheels[@]}" 2>/dev/null ||
    uv pip install -q --python "$installed/bin/python" --constraint "$work/constraints" "${wheels[@]}"
cyclonedx-py environment --sv 1.6 --no-validate --gather-license-texts --output-reproducible "$installed/bin/python" 2>/dev/null |
    python scripts/bill_of_materials.py >"$folder/invenio-files-rest.cdx.json"

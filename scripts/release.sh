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

Needs Git, and an environment with invenio-files-rest[release] in its path, or in .venv. INSTALLED names a folder to make
the environment with the wheels in, which stays; otherwise it is a temporary one.
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
export PATH="$PATH:$PWD/.venv/bin"
[ -n "$uncommitted" ] || [ -z "$(git status --porcelain)" ] || fail "there are changes that are in no commit."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder" "$work/source"
# What Git does not know is in no release.
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$work/source"
# Where an index and a record of changes look, and which of them a file belongs to.
git -C "$work/source" init -q && git -C "$work/source" add --all

for distribution in . invenio-records-files; do
    check-manifest -q "$work/source/$distribution" || fail "check-manifest found faults, see MANIFEST.in."
    python -m build --installer uv --outdir "$folder" "$work/source/$distribution" >"$work/log" 2>&1 ||
        fail "$(cat "$work/log")"
done
twine check --strict "$folder"/*

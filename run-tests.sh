#!/usr/bin/env bash
# The whole set-up for the tests: environment, lint, types, documentation, databases, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/environment.sh

case "${1:-}" in
-h | --help)
    cat <<'HELP'
Usage: ./run-tests.sh [ARGUMENT...]

Checks lint, format, types and documentation, then runs the tests with their coverage on SQLite, PostgreSQL and
MariaDB, and with workers over Redis and RabbitMQ. Arguments are pytest's, and then only the tests run, without coverage: ./run-tests.sh -k bucket
Those of Invenio-Records-Files run by themselves: ./run-tests.sh invenio-records-files/tests

Makes the virtual environment .venv. As root of a Debian system it installs the packages of these servers that are
missing, nginx, Chromium, curl and wget; without them it says what is not tested. No server is left running.

Environment:
  PYTHON   the Python to make the virtual environment with (3.10 or newer)
  CRASH_ROUNDS, CRASH_SEED
           how often the crash test kills servers (30), and a seed that it printed, to try the same again
  VENV     an environment that has been made, with invenio-files-rest[docs,tests] and invenio-records-files[tests] in it, to
           use instead
HELP
    exit
    ;;
esac

step() {
    printf '\n== %s\n' "$*"
}

environment "$PWD" docs,tests tests

if [ $# -gt 0 ]; then
    exec python scripts/services.py --install pytest "$@"
fi

step "Lint"
ruff check .
ruff format --check .
step "Types"
mypy
step "Documentation"
sphinx-build -q -W --keep-going -b html docs docs/_build/html
step "Tests"
# The coverage is measured on SQLite, since measuring takes as long as testing does.
python scripts/services.py --install bash -ec '
    pytest --numprocesses 2 --dist loadfile --databases sqlite --cov --cov-report term-missing:skip-covered
    if [ -n "${TEST_POSTGRESQL_URL:-}${TEST_MARIADB_URL:-}" ]; then
        pytest --numprocesses 2 --dist loadfile --databases servers
    fi
    pytest --numprocesses 2 --dist loadfile --cov --cov-report term-missing:skip-covered \
        --cov-config invenio-records-files/pyproject.toml invenio-records-files/tests
'

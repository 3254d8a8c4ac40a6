#!/usr/bin/env bash
# The whole set-up for the tests: environments, lint, types, documentation, databases, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/environment.sh
. scripts/stages.sh
# Containers set it, and each process of the tests would compile all of them anew.
unset PYTHONDONTWRITEBYTECODE

usage() {
    cat <<'HELP'
Usage: ./run-tests.sh [--quick | --docs | --coverage | --lowest [PYTHON] | --python PYTHON | ARGUMENT...]

Checks lint, format, types and documentation, then runs the tests on SQLite, PostgreSQL and MariaDB, with workers over
Redis and RabbitMQ, on object stores of Ceph and SeaweedFS, beside the published 6.1, and with packages that build on this
one. All of it runs, whatever fails; the end tells what did, and how long each stage took.

  --quick      lint, format, types, and the tests that are not slow, on SQLite: under five minutes
  --docs       the documentation alone, and the tests of what it says
  --coverage   the tests on SQLite, which have to go through nearly all of the code; it takes half as long again
  --lowest [PYTHON]
               the tests that are not slow, on SQLite, with the lowest versions that setup.cfg and pyproject.toml allow:
               of Python (3.10), and of each package that they name
  --python PYTHON
               the same with another Python, and the newest versions: a number (3.14), a command or a path
  ARGUMENT...  pytest's: only the tests run: ./run-tests.sh -k bucket
               Those of Invenio-Records-Files run by themselves: ./run-tests.sh invenio-records-files/tests

Makes the virtual environments .venv, .venv-published (the published 6.1), .venv-ecosystem (packages that build on this
one) and .venv-release (what a release is built with); --lowest makes .venv-lowest, --python 3.14 makes .venv-3.14, both
with uv, which fetches a Python that is not there. As root of a Debian system it installs the packages of these servers
that are missing, nginx, Chromium, Firefox, curl, wget, Node, and what tests/node needs from npm; without them it says
what is not tested. No server is left running.

Environment:
  PYTHON   the Python to make the virtual environments with (3.10 or newer)
  CRASH_ROUNDS, CRASH_SEED
           how often the crash test kills servers (20), and a seed that it printed, to try the same again
  DEPLOYED_ROUNDS, DEPLOYED_SEED
           the same for the test that runs what deploy/ describes (0: it is left out)
  VENV     an environment that has been made, with invenio-files-rest[docs,tests] and invenio-records-files[tests] in it, to
           use instead of .venv
HELP
}

# Two for each of the processors of the smallest machine that it has to be fast on: tests wait for servers half of the time.
in_parallel() {
    pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
}

with_coverage() {
    in_parallel --cov --cov-report term-missing:skip-covered "$@"
}

format_of_code() {
    ruff format --check .
}

documentation() {
    sphinx-build -q -W --keep-going -b html docs docs/_build/html
}

checks() {
    stage "Lint" ruff check .
    stage "Format" format_of_code
    stage "Types" mypy
}

not_slow() {
    stage "Tests on SQLite that are not slow" in_parallel --databases sqlite -m "not slow"
    stage "Records' files" in_parallel --databases sqlite -m "not slow" invenio-records-files/tests
}

quick() {
    checks
    not_slow
}

docs() {
    stage "Documentation" documentation
    stage "What it says" in_parallel --databases sqlite tests/test_docs*.py tests/test_multipart_docs.py \
        tests/test_example_upload.py
    stage "What it says of records' files" pytest --databases sqlite invenio-records-files/tests/test_records_docs.py
}

environments() {
    published_environment "$PWD" && ecosystem_environment "$PWD" && release_environment "$PWD"
}

# These two within scripts/services.py, which has the servers.
coverage() {
    stage "Coverage of the tests on SQLite" with_coverage --databases sqlite
    stage "Coverage of those of records' files" with_coverage --cov-config invenio-records-files/pyproject.toml \
        invenio-records-files/tests
}

everything() {
    meanwhile environments environments
    meanwhile documentation documentation
    checks
    stage "Documentation" await documentation
    stage "Environments with the published 6.1, with packages that build on this one, and for releases" await environments
    stage "Tests on SQLite" in_parallel --databases sqlite
    if [ -n "${TEST_POSTGRESQL_URL:-}${TEST_MARIADB_URL:-}" ]; then
        stage "Tests on other databases" in_parallel --databases servers
    else
        left_out "Tests on other databases" "there are none"
    fi
    stage "Records' files" in_parallel invenio-records-files/tests
    stage "Packages that build on this one" .venv-ecosystem/bin/python -m pytest --databases sqlite tests/test_ecosystem_*.py
}

case "${1:-}" in
-h | --help) usage && exit ;;
esac
environment "$PWD" docs,tests tests
case "${1:-}" in
--quick | --docs)
    [ $# = 1 ] || fail "$1 goes alone."
    "${1#--}"
    summary
    ;;
--lowest)
    [ $# -le 2 ] || fail "$1 takes one Python, or none."
    environment_of "$PWD" "${2:-3.10}" lowest --resolution lowest-direct
    not_slow
    summary
    ;;
--python)
    [ $# = 2 ] || fail "$1 takes one Python: $1 3.14"
    environment_of "$PWD" "$2" "$(basename "$2")"
    not_slow
    summary
    ;;
--coverage)
    [ $# = 1 ] || fail "$1 goes alone."
    exec python scripts/services.py --install bash run-tests.sh --with-servers coverage
    ;;
--with-servers) "$2" && summary ;;
"") exec python scripts/services.py --install bash run-tests.sh --with-servers everything ;;
*) exec python scripts/services.py --install pytest "$@" ;;
esac

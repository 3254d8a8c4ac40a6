#!/usr/bin/env bash
# The whole set-up of a server: environment, instance, account, then gunicorn. Run again, it starts with what is there.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")"
. scripts/environment.sh

usage() {
    cat <<'HELP'
Usage: ./run-server.sh [OPTION...]

Serves the files REST API of an Invenio application, and a record with files. The first run makes the virtual environment .venv and the instance:
its settings (invenio.cfg), an SQLite database, a folder for the files, an administrator's account and token. Later runs
start with what is there.

Option             Variable              Default
  --port PORT      SERVER_PORT           5000
  --host ADDRESS   SERVER_HOST           127.0.0.1
  --instance DIR   SERVER_INSTANCE       ./instance
  --database URL   SERVER_DATABASE_URL   SQLite in the instance; for a new instance: postgresql+psycopg2://...
  --broker URL     SERVER_BROKER_URL     none: tasks run at once. With one, a Celery worker is started too: redis://...
  --workers N      SERVER_WORKERS        1; more want a Redis for sessions and rate limits, see invenio.cfg
  --threads N      SERVER_THREADS        16 per worker: how many requests it serves at a time
  --open           SERVER_OPEN=1         off: everyone may do everything, without a token; on this machine alone
  --help

PYTHON names the Python that makes the virtual environment (3.10 or newer); VENV names an environment that has been made,
with invenio-files-rest[postgresql,server] and invenio-records-files[rest] in it, to use instead.
HELP
}

port=${SERVER_PORT:-5000}
host=${SERVER_HOST:-127.0.0.1}
instance=${SERVER_INSTANCE:-$PWD/instance}
database=${SERVER_DATABASE_URL:-}
broker=${SERVER_BROKER_URL:-}
workers=${SERVER_WORKERS:-1}
threads=${SERVER_THREADS:-16}
open=${SERVER_OPEN:-}

while [ $# -gt 0 ]; do
    case "$1" in
    --open) open=1 && shift && continue ;;
    -h | --help) usage && exit ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --port | --host | --instance | --database | --broker | --workers | --threads)
        [ $# -gt 1 ] && [ -n "$2" ] || fail "$1 needs a value."
        ;;
    *) fail "there is no option $1; --help names those that there are." ;;
    esac
    declare "${1#--}=$2"
    shift 2
done

for option in port workers threads; do
    [[ ${!option} =~ ^[1-9][0-9]{0,4}$ ]] || fail "--$option must be a positive number, not ${!option}."
done
case "$host" in
localhost | 127.* | ::1) ;;
*)
    [ -z "$open" ] || fail "--open lets everyone in who reaches the server, so it goes with a loopback address only."
    ;;
esac
case "$database" in
mysql* | mariadb*) fail "Invenio-OAuth2Server, which keeps the tokens, cannot make its tables there; use PostgreSQL." ;;
esac

environment "$PWD" postgresql,server rest

python - "$host" "$port" <<'PYTHON' || fail "cannot listen on $host, port $port; choose another one with --port."
import socket, sys

host, port = sys.argv[1], int(sys.argv[2])
try:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
except (OSError, OverflowError) as error:
    sys.exit(f"{error}")
PYTHON

# --- The instance ----------------------------------------------------------------------------------------------------

umask 077
[[ $instance == /* ]] || instance="$caller/$instance"
mkdir -p "$instance/data"
instance=$(cd "$instance" && pwd)
export INVENIO_INSTANCE_PATH="$instance"
config="$instance/invenio.cfg"
done_steps="$instance/setup.done"

if [ ! -e "$config" ]; then
    python - scripts/server/invenio.cfg "${database:-sqlite:///$instance/files.db}" >"$config.new" <<'PYTHON'
import secrets, sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
text = text.replace("@SECRET_KEY@", repr(secrets.token_urlsafe(48)))
print(text.replace("@DATABASE_URL@", repr(sys.argv[2])), end="")
PYTHON
    mv "$config.new" "$config"
elif [ -n "$database" ] && ! grep -qF "'$database'" "$config"; then
    fail "$instance has been made for another database: take another folder (--instance), or change $config."
fi

# Run a step of the set-up, unless it has been done: a set-up that was interrupted goes on where it was.
once() {
    local step="$1"
    shift
    if ! grep -qxF "$step" "$done_steps" 2>/dev/null; then
        printf 'Setting up: %s\n' "$step" >&2
        "$@" >"$instance/setup.log" 2>&1 || fail "this step failed: $* $(printf '\n' && tail -n 20 "$instance/setup.log")"
        printf '%s\n' "$step" >>"$done_steps"
    fi
}

admin=admin@example.org

create_account() {
    local password
    password=$(python -c 'import secrets; print(secrets.token_urlsafe(18))')
    printf '%s\n' "$password" >"$instance/admin-password"
    # Not as an argument, which everyone on the machine could read.
    FLASK_USERS_CREATE_PASSWORD="$password" invenio users create "$admin" --active --confirm
}

create_token() {
    invenio tokens create --name run-server --user "$admin" | tail -n 1 >"$instance/token"
    [ -s "$instance/token" ]
}

create_record() {
    python - <<'PYTHON'
import uuid

from invenio_app.factory import create_api
from invenio_db import db
from invenio_pidstore.minters import recid_minter
from invenio_records_files.api import Record

with create_api().app_context():
    # An instance that is older than records has no tables for them.
    db.create_all()
    data, id_ = {"title": "A record with files"}, uuid.uuid4()
    recid_minter(id_, data)
    Record.create(data, id_=id_)
    db.session.commit()
PYTHON
}

share_sqlite() {
    # Readers and a writer at the same time: a property of the file, so once is enough.
    python - <<'PYTHON'
from invenio_app.factory import create_api
from invenio_db import db
from sqlalchemy import text

with create_api().app_context(), db.engine.connect() as connection:
    if db.engine.dialect.name == "sqlite":
        connection.execute(text("PRAGMA journal_mode=WAL"))
PYTHON
}

once "database" invenio db init create
# Again for every revision that comes later.
once "tables, $(ls invenio_files_rest/alembic/*.py | cksum)" invenio alembic upgrade invenio_files_rest@head
once "database for several at a time" share_sqlite
once "default location for files" invenio files location create --default local "$instance/data"
once "record" create_record
once "administrator" create_account
once "administrator may do everything" invenio access allow superuser-access user "$admin"
once "token" create_token

# --- The server ------------------------------------------------------------------------------------------------------

[[ $host == *:* ]] && address="[$host]:$port" || address="$host:$port"
url="http://$address"
[ -z "$open" ] || export SERVER_OPEN=1

case "$host" in
localhost | 127.* | ::1) ;;
*)
    names=$(python - "$host" <<'PYTHON'
import socket, sys

name = socket.gethostname()
addresses = {sys.argv[1], name, socket.getfqdn(), "localhost", "127.0.0.1", "[::1]"}
addresses.update(info[4][0] for info in socket.getaddrinfo(name, None, socket.AF_INET))
print(sorted(addresses))
PYTHON
    )
    export INVENIO_TRUSTED_HOSTS="${INVENIO_TRUSTED_HOSTS:-$names}"
    printf 'Warning: tokens and files cross the network in the clear; put a proxy with HTTPS before this server.\n' >&2
    ;;
esac

pids=()
stop() {
    trap '' INT TERM
    [ ${#pids[@]} -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
    wait || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$broker" ]; then
    # Whoever sends a task may wait for its result: Redis keeps it, other brokers send it back.
    case "$broker" in redis*) results="$broker" ;; *) results="rpc://" ;; esac
    export INVENIO_BROKER_URL="$broker" INVENIO_CELERY_BROKER_URL="$broker" INVENIO_CELERY_RESULT_BACKEND="$results"
    export INVENIO_CELERY_TASK_ALWAYS_EAGER=False
    celery --app invenio_app.celery worker --loglevel INFO --concurrency "$workers" &
    pids+=($!)
fi

gunicorn --config scripts/server/gunicorn.conf.py --bind "$address" --workers "$workers" --threads "$threads" &
pids+=($!)

# Say how to use it, once it can be used.
until python - "$url/ping" <<'PYTHON'
import sys, urllib.request

try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=30)
except OSError:
    sys.exit(1)
PYTHON
do
    kill -0 "${pids[-1]}" 2>/dev/null || fail "the server did not start."
    sleep 0.3
done

if [ -n "$open" ]; then
    printf '\nWARNING: open to everyone on this machine, without a token.\n' >&2
    token=''
else
    token=' -H "Authorization: Bearer $TOKEN"'
fi
cat <<TEXT

Serving $url/api/files - Ctrl-C stops it.
Settings: $config   Files: $instance/data
Administrator: $admin, password in $instance/admin-password, token in $instance/token

Try it in another terminal:

TEXT
[ -n "$open" ] || printf '  TOKEN=$(cat %q)\n' "$instance/token"
cat <<TEXT
  # create a bucket
  BUCKET=\$(curl -sS -X POST$token $url/api/files |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
  # upload
  echo 'Hello, files.' > hello.txt
  curl -sS -X PUT$token --data-binary @hello.txt "$url/api/files/\$BUCKET/hello.txt"; echo
  # list
  curl -sS$token "$url/api/files/\$BUCKET?prettyprint=1"; echo
  # download
  curl -sS$token "$url/api/files/\$BUCKET/hello.txt"
  # files of a record: upload, list, download
  curl -sS -X PUT$token -H "Content-Type: application/octet-stream" --data-binary @hello.txt \\
    "$url/api/records/1/files/hello.txt"; echo
  curl -sS$token "$url/api/records/1/files/?prettyprint=1"; echo
  curl -sS$token "$url/api/records/1/files/hello.txt"
  # delete
  curl -sS -X DELETE$token "$url/api/files/\$BUCKET/hello.txt"

TEXT

# The first of them that ends ends us.
wait -n

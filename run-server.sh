#!/usr/bin/env bash
# The whole set-up of a server: environment, instance, account, then gunicorn, and nginx before it where others than this
# machine are served. Run again, it starts with what is there.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")"
. scripts/environment.sh

usage() {
    cat <<'HELP'
Usage: ./run-server.sh [OPTION...]

Serves the files REST API of an Invenio application, and a record with files. The first run makes the virtual
environment .venv and the instance: its settings (invenio.cfg), an SQLite database, a folder for the files, an
administrator's account and token. Later runs start with what is there.

Option             Variable              Default
  --port PORT      SERVER_PORT           5000
  --host ADDRESS   SERVER_HOST           127.0.0.1. For another machine's clients it serves through nginx
  --instance DIR   SERVER_INSTANCE       ./instance
  --database URL   SERVER_DATABASE_URL   SQLite in the instance; for a new instance: postgresql+psycopg2://...
  --broker URL     SERVER_BROKER_URL     none: tasks run at once. With one, a Celery worker is started too: redis://...
  --workers N      SERVER_WORKERS        1; more want a Redis for sessions and rate limits, see invenio.cfg
  --threads N      SERVER_THREADS        64 per worker: how many requests it serves at a time
  --storage URI    SERVER_STORAGE        a folder in the instance; for a new instance: s3://bucket/prefix, with keys in
                                         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
  --s3-endpoint U  SERVER_S3_ENDPOINT    the URL of the object store; Amazon's
  --demo-s3        SERVER_DEMO_S3=1      off: for a new instance, an object store of its own to try, SeaweedFS
  --open           SERVER_OPEN=1         off: everyone may do everything, without a token; on this machine alone
  --help

URLs with a password are safer in their variables: a shell keeps what is typed, and others see arguments for a moment.

PYTHON names the Python that makes the virtual environment (3.10 or newer); VENV names an environment that has been
made, with invenio-files-rest[postgresql,server] and invenio-records-files[rest] in it, to use instead. Object stores
need the extra s3, and --demo-s3 the extra seaweedfs.
HELP
}

port=${SERVER_PORT:-5000}
host=${SERVER_HOST:-127.0.0.1}
instance=${SERVER_INSTANCE:-$PWD/instance}
database=${SERVER_DATABASE_URL:-}
broker=${SERVER_BROKER_URL:-}
workers=${SERVER_WORKERS:-1}
threads=${SERVER_THREADS:-64}
open=${SERVER_OPEN:-}
storage=${SERVER_STORAGE:-}
s3_endpoint=${SERVER_S3_ENDPOINT:-}
demo_s3=${SERVER_DEMO_S3:-}
secrets=

while [ $# -gt 0 ]; do
    case "$1" in
    --open) open=1 && shift && continue ;;
    --demo-s3) demo_s3=1 && shift && continue ;;
    --open=* | --demo-s3=*) fail "${1%%=*} takes no value." ;;
    -h | --help) usage && exit ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --port | --host | --instance | --database | --broker | --workers | --threads | --storage | --s3-endpoint)
        [ $# -gt 1 ] && [ -n "$2" ] || fail "$1 needs a value."
        ;;
    *) fail "there is no option $1; --help names those that there are." ;;
    esac
    case "$1" in --database | --broker) secrets=1 ;; esac
    option=${1#--}
    declare "${option//-/_}=$2"
    shift 2
done
[[ $instance == /* ]] || instance="$caller/$instance"

if [ -n "$secrets" ]; then
    # Again, without arguments, which everyone on the machine can read.
    export SERVER_PORT="$port" SERVER_HOST="$host" SERVER_INSTANCE="$instance" SERVER_DATABASE_URL="$database"
    export SERVER_BROKER_URL="$broker" SERVER_WORKERS="$workers" SERVER_THREADS="$threads" SERVER_OPEN="$open"
    export SERVER_STORAGE="$storage" SERVER_S3_ENDPOINT="$s3_endpoint" SERVER_DEMO_S3="$demo_s3"
    exec "$BASH" "./$(basename "$0")"
fi

for option in port workers threads; do
    [[ ${!option} =~ ^[1-9][0-9]{0,4}$ ]] || fail "--$option must be a positive number, not ${!option}."
done
[ "$port" -le 65535 ] || fail "--port must be at most 65535, not $port."
config="$instance/invenio.cfg"
if [ -n "$database" ] && [ -e "$config" ] && [[ $(<"$config") != *"'$database'"* ]]; then
    fail "$instance has been made for another database: take another folder (--instance), or change $config."
fi
[ -z "$storage" ] || [[ $storage == s3://[^/]* ]] || fail "--storage needs s3://bucket or s3://bucket/prefix, not $storage."
[ -z "$s3_endpoint" ] || [ -n "$storage" ] || fail "--s3-endpoint goes with --storage s3://bucket/prefix."
[ -z "$demo_s3" ] || [ -z "$storage" ] || fail "--demo-s3 has a storage of its own: it does not go with --storage."
[ -z "$demo_s3" ] && [ ! -d "$instance/s3" ] || own_store=1
loopback=1 nginx=
if [[ ! $host =~ ^(localhost|127(\.[0-9]{1,3}){3}|::1)$ ]]; then
    [ -z "$open" ] || fail "--open lets everyone in who reaches the server, so it goes with a loopback address only."
    loopback=
    nginx=$(find_nginx) ||
        ensure_installable nginx "nginx is missing, without which one slow client could keep others from being served"
fi

extras=postgresql,server
[ -z "$storage" ] && [ ! -e "$instance/s3.json" ] || extras+=,s3
[ -z "${own_store:-}" ] || extras+=,seaweedfs
environment "$PWD" "$extras" rest

[ -e "$config" ] && new='' || new=new
export SERVER_STORAGE="$storage" SERVER_S3_ENDPOINT="$s3_endpoint" SERVER_DEMO_S3="$demo_s3"
checked=$(SERVER_DATABASE_URL="$database" SERVER_BROKER_URL="$broker" \
    python -W ignore scripts/server/options.py "$host" "$port" "$new" "$instance" 2>&1) || fail "$checked"
{ read -r name && read -r names; } <<<"$checked"
[ -n "$loopback" ] || [ -n "$nginx" ] || { install_package nginx && nginx=$(find_nginx); }

# --- The instance ----------------------------------------------------------------------------------------------------

pids=() store=
stop() {
    trap '' INT TERM
    [ ${#pids[@]} -eq 0 ] || { kill -TERM "${pids[@]}" && wait "${pids[@]}"; } 2>/dev/null || true
    # After those who use it. It keeps what it was told also when it is killed, and takes 15 seconds otherwise.
    [ -z "$store" ] || kill -KILL "$store" 2>/dev/null || true
    wait || true
    rm -rf ${private:+"$private"} ${counts:+"$counts"}
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

umask 077
mkdir -p "$instance/data" || fail "there can be no instance in $instance; name another folder with --instance."
instance=$(cd "$instance" && pwd)
export INVENIO_INSTANCE_PATH="$instance"
config="$instance/invenio.cfg"

if [ ! -e "$config" ]; then
    [ -z "$storage$demo_s3" ] || python scripts/server/object_store.py describe >"$instance/s3.json"
    SERVER_DATABASE_URL="${database:-sqlite:///$instance/files.db}" python - scripts/server/invenio.cfg >"$config.new" <<'PYTHON'
import os, secrets, sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
text = text.replace("@SECRET_KEY@", repr(secrets.token_urlsafe(48)))
print(text.replace("@DATABASE_URL@", repr(os.environ["SERVER_DATABASE_URL"])), end="")
PYTHON
    mv "$config.new" "$config"
fi

if [ -n "${own_store:-}" ]; then
    mkdir -p "$instance/s3"
    python scripts/server/object_store.py serve "$instance" >"$instance/s3.log" 2>&1 &
    store=$!
fi

admin=admin@example.org
python scripts/server/setup.py "$instance" "$admin" || fail "the instance in $instance could not be set up."

# --- The server ------------------------------------------------------------------------------------------------------

[[ $host == *:* ]] && address="[$host]:$port" || address="$host:$port"
url="http://$name:$port"
bind="$address"
[ -z "$open" ] || export SERVER_OPEN=1
[ -n "$open" ] || unset SERVER_OPEN

if [ -n "$nginx" ]; then
    private=$(mktemp -d)
    bind="unix:$private/application"
    export SERVER_PROXY=1 INVENIO_PROXYFIX_CONFIG="${INVENIO_PROXYFIX_CONFIG:-{'x_for': 1, 'x_proto': 1\}}"
    export INVENIO_TRUSTED_HOSTS="${INVENIO_TRUSTED_HOSTS:-$names}"
    export INVENIO_FILES_REST_XSENDFILE_ENABLED=True
    INVENIO_FILES_REST_XSENDFILE_MAPPING=$(python -c 'import sys; print({sys.argv[1]: "/internal/files"})' "$instance/data")
    export INVENIO_FILES_REST_XSENDFILE_MAPPING
    printf 'Warning: tokens and files cross the network in the clear; put a proxy with HTTPS before this server.\n' >&2
fi

# Where processes count together what /api/files/metrics shows. They write into mapped files: on a disk that is full that
# ends them (SIGBUS), so it is not one that uploads may fill.
if [ -z "${PROMETHEUS_MULTIPROC_DIR:-}" ]; then
    counts=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
    export PROMETHEUS_MULTIPROC_DIR="$counts"
fi

if [ -n "$broker" ]; then
    # Whoever sends a task may wait for its result: Redis keeps it, other brokers send it back.
    case "$broker" in redis*) results="$broker" ;; *) results="rpc://" ;; esac
    export INVENIO_BROKER_URL="$broker" INVENIO_CELERY_BROKER_URL="$broker" INVENIO_CELERY_RESULT_BACKEND="$results"
    export INVENIO_CELERY_TASK_ALWAYS_EAGER=False
    celery --app invenio_app.celery worker --loglevel INFO --concurrency "$workers" &
    pids+=($!)
fi

gunicorn --config scripts/server/gunicorn.conf.py --bind "$bind" --workers "$workers" --threads "$threads" &
pids+=($!)

if [ -n "$nginx" ]; then
    python scripts/server/nginx.py "$private" "$address" "$bind" "$instance/data" >"$private/nginx.conf"
    until [ -S "$private/application" ]; do
        kill -0 "${pids[-1]}" 2>/dev/null || fail "the server did not start."
        sleep 0.1
    done
    "$nginx" -p "$private" -e stderr -c "$private/nginx.conf" &
    pids+=($!)
fi

# Say how to use it, once it can be used.
until python - "$url/ping" <<'PYTHON'
import sys, urllib.request

try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=30)
except OSError:
    sys.exit(1)
PYTHON
do
    for pid in "${pids[@]}"; do
        kill -0 "$pid" 2>/dev/null || fail "the server did not start."
    done
    sleep 0.3
done

token='' setting='' files="$instance/data"
[ ! -e "$instance/s3.json" ] || files=$(python scripts/server/object_store.py tell "$instance")
if [ -n "$open" ]; then
    printf '\nWARNING: open to everyone on this machine, without a token.\n' >&2
else
    token=' -H "$AUTH"'
    setting=$(printf '  TOKEN=$(cat %q)\n  AUTH="Authorization: Bearer ${TOKEN:?is empty: run the line that sets it}"' "$instance/token")$'\n'
fi
cat <<TEXT

Serving. Ctrl-C stops it.

  Start page      $url/
  Administration  $url/admin/
  Metrics         $url/api/files/metrics, for this machine alone
  REST API        $url/api/files
  Log in as       $admin, with the password in $instance/admin-password
  Settings        $config
  Files           $files

To paste into another terminal: make a bucket, upload a file, list it, download it, the same for a record, and delete it.

${setting}  BUCKET=\$(curl -sSf$token -X POST $url/api/files | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p')
  echo 'Hello, files.' > hello.txt
  curl -sS$token -T hello.txt "$url/api/files/\${BUCKET:?is empty: no bucket was made}/hello.txt"; echo
  curl -sS$token "$url/api/files/\$BUCKET?prettyprint=1"; echo
  curl -sS$token "$url/api/files/\$BUCKET/hello.txt"
  curl -sS$token -T hello.txt "$url/api/records/1/files/hello.txt"; echo
  curl -sS$token "$url/api/records/1/files/?prettyprint=1"; echo
  curl -sS$token "$url/api/records/1/files/hello.txt"
  curl -sS$token -X DELETE "$url/api/files/\$BUCKET/hello.txt"

From here on there is a line for each request.

TEXT

# The first of them that ends ends us.
wait -n

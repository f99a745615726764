#!/bin/sh
# Starts Pullpass from this folder, with its data in ./data. The first start makes an
# organization and its first administrator.
set -eu

cd -- "$(dirname -- "$0")/.."
venv=$1
pullpass=$venv/bin/pullpass
port=${PULLPASS_PORT:-8080}
organization=demo
data=./data

# Before anything is made: the first token is shown once, not to a server that cannot start.
"$venv/bin/python" - "$port" <<'PYTHON' || exit 1
import socket
import sys

port = sys.argv[1]
if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
    sys.exit(f"PULLPASS_PORT is {port!r}; expected a number from 1 to 65535.")
try:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", int(port)))
except OSError as error:
    sys.exit(
        f"Port {port} on 127.0.0.1 cannot be used: {error.strerror}.\n"
        f"Choose another: make run PULLPASS_PORT={int(port) + 1}"
    )
PYTHON

url=http://127.0.0.1:$port
conflict=5 # exit code: the organization is there already
(umask 077 && mkdir -p "$data")
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
status=0
made=$("$pullpass" init --org "$organization" --data-dir "$data" --output json 2>"$errors") ||
    status=$?
if [ "$status" = 0 ]; then
    token=$(printf '%s' "$made" |
        "$venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["token"])')
    echo "Made the organization \"$organization\" in $data."
    echo "This is the only time that its administrator's token is shown:"
    echo
    echo "  $token"
elif [ "$status" = "$conflict" ]; then
    echo "Using the database in $data. Its first token was shown when it was made; for another:"
    echo "  $pullpass init --org $organization --data-dir $data --new-token"
    # Not as an export with something in its place, which would take the shell's own token away.
    token=
else
    cat "$errors" >&2
    exit "$status"
fi

cat <<TEXT

Web page:  $url/
For the command line, in another terminal:

  export PULLPASS_URL=$url
  export PULLPASS_ORG=$organization
  ${token:+export PULLPASS_TOKEN=}${token:-# and PULLPASS_TOKEN, with the token}

Ctrl-C stops the server.

TEXT
rm -f "$errors"
unset made token
export PULLPASS_LOG_FORMAT="${PULLPASS_LOG_FORMAT:-console}"
exec "$pullpass" serve --data-dir "$data" --host 127.0.0.1 --port "$port"

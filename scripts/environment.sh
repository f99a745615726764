#!/bin/sh
# Makes the virtual environment named by $1 hold exactly what uv.lock says.
set -eu

cd -- "$(dirname -- "$0")/.."
export UV_PROJECT_ENVIRONMENT="$1"

# uv.lock names files on pypi.org, whatever index is configured. Where only a mirror can be
# reached, the same versions with the same hashes come from there.
from_configured_index() {
    wanted=$(mktemp)
    trap 'rm -f "$wanted"' EXIT
    scripts/uv export -q --frozen --all-extras --no-emit-project -o "$wanted" >/dev/null &&
        scripts/uv venv -q --allow-existing "$1" &&
        scripts/uv pip sync -q --python "$1" --require-hashes "$wanted" &&
        scripts/uv pip install -q --python "$1" --no-deps --editable .
}

scripts/uv sync --frozen --all-extras </dev/null && exit 0
[ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${PIP_INDEX_URL:-}" ] || exit 1
echo "Trying the package index that the environment names."
from_configured_index "$1" </dev/null

#!/bin/sh
# Installs the programs that the tests use, or those named as arguments: as root on Debian by
# itself, elsewhere it says what is missing. Tests that need a missing program are skipped.
set -eu

# Each program is named as its Debian package. Debian keeps PostgreSQL's server off PATH.
is_here() {
    case $1 in
    dbus) command -v dbus-run-session ;;
    etcd-server) command -v etcd ;;
    gnome-keyring) command -v gnome-keyring-daemon ;;
    libsecret-tools) command -v secret-tool ;;
    nodejs) command -v node ;;
    postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

[ $# -gt 0 ] || set -- buildah chromium curl dbus docker-registry etcd-server faketime \
    gnome-keyring jq libsecret-tools nodejs npm openssl podman postgresql skopeo sqlite3 umoci
list=
for tool in "$@"; do
    is_here "$tool" || list="$list${list:+ }$tool"
done
[ -n "$list" ] || exit 0

# The packages start a registry and a database as services of this machine. The tests start
# their own, so nothing is left listening here.
policy=/usr/sbin/policy-rc.d
install_quietly() {
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update -q || echo "apt-get update failed; trying with the lists at hand."
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $list
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "The tests need $list: installing."
    if log=$(install_quietly 2>&1 </dev/null); then
        exit 0
    fi
    printf '%s\n' "$log"
    echo "Could not install $list. The tests that need it are skipped."
else
    echo "Not installed: $list. The tests that need it are skipped."
    echo "Debian and Ubuntu: sudo apt-get install $list"
fi

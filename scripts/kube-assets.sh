#!/bin/sh
# Builds a kube-apiserver for the tests of the cluster agent, once, into a cache outside this
# folder, and prints where it is; and helm, where there is none. With --find it only looks. The
# versions are those of tests/parts/kube-apiserver/go.mod and tests/parts/helm/go.mod. It takes
# some ten minutes of one core; Go (as new as go.mod says) and a way to a Go module proxy are
# needed.
set -eu

cd -- "$(dirname -- "$0")/../tests/parts/kube-apiserver"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pullpass/kube-assets
version=$(sed -n 's|^require k8s.io/kubernetes ||p' go.mod)
# The names of envtest: https://book.kubebuilder.io/reference/envtest
assets=${KUBEBUILDER_ASSETS:-$cache/$version}
binary=${TEST_ASSET_KUBE_APISERVER:-$assets/kube-apiserver}

build_helm() {
    helm=$(sed -n 's|^require helm.sh/helm/v3 ||p' ../helm/go.mod)
    command -v helm >/dev/null || [ -x "$cache/helm-$helm" ] || (
        cd ../helm
        echo "Building helm $helm." >&2
        CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags '-s -w' \
            -o "$cache/helm-$helm" helm.sh/helm/v3/cmd/helm
    )
}

if [ -x "$binary" ]; then
    [ "${1:-}" = --find ] || build_helm
    printf '%s\n' "$binary"
    exit 0
fi
[ "${1:-}" != --find ] || exit 1
if ! command -v go >/dev/null; then
    echo "Building kube-apiserver needs Go: https://go.dev/dl/. Without it, the tests of the" >&2
    echo "cluster agent run against a stand-in of the API server." >&2
    exit 1
fi

minor=${version#v1.}
minor=${minor%%.*}
package=k8s.io/component-base/version
mkdir -p "$(dirname -- "$binary")"
echo "Building kube-apiserver $version: this takes some minutes." >&2
CGO_ENABLED=0 go build -mod=readonly -trimpath -o "$binary.new" -ldflags "-s -w \
    -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
    k8s.io/kubernetes/cmd/kube-apiserver
mv -- "$binary.new" "$binary"
build_helm
printf '%s\n' "$binary"

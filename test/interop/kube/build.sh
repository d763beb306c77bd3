#!/usr/bin/env bash
# A kube-apiserver out of the Go module proxy, for kube_apiserver_test.py (about five minutes, 1 GB):
#   test/interop/kube/build.sh 1.34.1 /somewhere/kube-apiserver
set -eu
version=$1 out=$(realpath -m "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
printf 'module kube\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n' "$version" > go.mod
# The module names its own parts by folders of its repository; their releases are v0 of the same number.
GOFLAGS=-mod=mod go mod download "k8s.io/kubernetes@v$version"
parts=$(sed -n 's#^\t\(k8s.io/[a-z-]*\) => ./staging.*#\1#p' "$(go env GOMODCACHE)/cache/download/k8s.io/kubernetes/@v/v$version.mod")
for part in $parts; do
    echo "replace $part => $part v0.${version#1.}" >> go.mod
done
export GOFLAGS=-mod=mod
go get "k8s.io/kubernetes/cmd/kube-apiserver@v$version"
go build -o "$out" k8s.io/kubernetes/cmd/kube-apiserver

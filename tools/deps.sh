#!/bin/sh
# Installs the Debian packages that a verb needs and that are missing; quiet when all are there.
# usage: tools/deps.sh GROUP...   (build cluster test check bench fuzz cov)
set -eu

packages() {
    case "$1" in
    build)
        echo "gcc meson ninja-build pkg-config libc6-dev libnghttp2-dev libuv1-dev libssl-dev" \
            "libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libjansson-dev libyaml-dev" \
            "libisal-dev libcrypt-dev libcmocka-dev zlib1g-dev"
        # HTTP/1 parser: Debian 13 has llhttp, Debian 12 http_parser.
        if apt-cache show libhttp-parser-dev >/dev/null 2>&1; then
            echo libhttp-parser-dev
        else
            echo libllhttp-dev
        fi
        ;;
    cluster) echo "python3 openssl" ;;
    test) echo "python3 curl openssl etcd-server etcd-client iproute2" ;;
    check) echo "python3 clang clang-format clang-tidy" ;;
    bench) echo "nghttp2-client etcd-server etcd-client" ;;
    fuzz) echo "clang llvm $(apt-cache search --names-only '^libclang-rt-[0-9]+-dev$' | sort -V | tail -n 1 | cut -d' ' -f1)" ;;
    cov) echo gcovr ;;
    *) echo "deps.sh: unknown group $1" >&2; exit 2 ;;
    esac
}

command -v dpkg-query >/dev/null 2>&1 || {
    echo "deps.sh: no dpkg here; install the packages named in tools/deps.sh by hand" >&2
    exit 0
}

# A new machine has no package lists: then even the look-up above finds nothing.
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
    $as_root apt-get update -qq
fi

missing=""
for group in "$@"; do
    for p in $(packages "$group"); do
        dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
    done
done
[ -n "$missing" ] || exit 0

echo "installing:$missing" >&2
install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing >/dev/null
}
install || { $as_root apt-get update -qq && install; }

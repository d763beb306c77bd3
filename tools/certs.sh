#!/bin/sh
# Certificates for a cluster on this machine: tools/certs.sh DIR [MORE-NAMES], as IP:10.0.0.1,DNS:host.
# DIR gets ca.crt, server.crt and .key (members, to clients and to each other), client.crt and .key.
# For trying things out and for tests: the CA's key stays beside them.
set -eu
dir=$1
mkdir -p "$dir"
cd "$dir"

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null
    chmod 600 "$1.key"
}

# sign NAME CN USAGE [SAN]
sign() {
    key "$1"
    { echo basicConstraints=CA:FALSE; echo "extendedKeyUsage=$3"; [ -z "${4:-}" ] || echo "subjectAltName=$4"; } >"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
        -extfile "$1.ext" -out "$1.crt" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
}

[ ! -f ca.crt ] || exit 0
key ca
openssl req -x509 -new -key ca.key -subj /CN=cairn-test-ca -days 3650 -out ca.new
mv ca.new ca.pem
cp ca.pem ca.crt
sign server member serverAuth,clientAuth "IP:127.0.0.1,IP:::1,DNS:localhost${2:+,$2}"
sign client root clientAuth
rm -f ca.pem ca.srl

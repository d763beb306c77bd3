#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests of many users, some with rights, to real etcd and to Cairn; every answer must be equal.

As diff_fuzz_test.py: both servers run on copies of one directory, at one level; the generator in
test/interop/diff/auth draws users, roles, permissions and requests, logs in and out, and switches
authentication off and on.  Once for each of etcd 3.5, 3.6, 3.7 with simple tokens, and once with JWTs that
each server takes from the other.

DIFF_REQUESTS  requests for each run (10000)
DIFF_SEED      seed of the first run (1)
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import HANG_S, Skip, main  # noqa: E402
from diff_fuzz_test import Pair  # noqa: E402

REQUESTS = int(os.environ.get('DIFF_REQUESTS', '10000'))
SEED = int(os.environ.get('DIFF_SEED', '1'))
# A run with fewer requests may miss a branch.
CHECKED_REQUESTS = 10000


def generator(t):
    out = t.build / 'interop' / 'interop-diff-auth'
    out.parent.mkdir(parents=True, exist_ok=True)
    newest = max(f.stat().st_mtime for f in (HERE / 'diff' / 'auth').iterdir())
    if not out.exists() or out.stat().st_mtime < newest:
        reference.go_build(HERE / 'diff', out, './auth')
    return out


def fuzz(t, version, seed, args=(), more=()):
    try:
        etcd, binary = reference.programs(t.build, version)['etcd'], generator(t)
    except reference.Missing as e:
        raise Skip(str(e))
    pair = Pair(t, etcd, version)
    for s in pair.theirs, pair.ours:
        s.args += ['--bcrypt-cost', '4', *args]
    pair.fresh()
    cmd = [str(binary), '-reference', pair.theirs.endpoint, '-ours', pair.ours.endpoint, '-level', version,
           '-seed', str(seed), '-requests', str(REQUESTS), *more,
           f'-check={"true" if REQUESTS >= CHECKED_REQUESTS else "false"}']
    r = subprocess.run(cmd, capture_output=True, text=True, errors='replace', timeout=HANG_S * 60)
    print(r.stdout, r.stderr)
    assert r.returncode == 0, f'seed {seed}, level {version}: see above\n{pair.ours.log()[-1000:]}'


def test_auth_3_5(t):
    fuzz(t, '3.5', SEED)


def test_auth_3_6(t):
    fuzz(t, '3.6', SEED + 1)


def test_auth_3_7(t):
    fuzz(t, '3.7', SEED + 2)


def test_auth_jwt(t):
    key = t.dir / 'jwt.pem'
    subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', str(key)], check=True,
                   capture_output=True, timeout=HANG_S)
    fuzz(t, '3.7', SEED + 3, ['--auth-token', f'jwt,priv-key={key},sign-method=EdDSA,ttl=24h'], ['-jwt'])


if __name__ == '__main__':
    main(globals())

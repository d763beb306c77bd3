"""The reference programs and the Go client, built from published modules into build/interop.

Needs Go and the module proxy; raises Missing with the reason where they are not there.  A directory of
ready programs can be given in CAIRN_REFERENCE: <dir>/etcd-3.5/bin/etcd and so on.
"""
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = ['3.5', '3.6', '3.7']
PROGRAMS = {'etcd': 'server', 'etcdctl': 'etcdctl', 'etcdutl': 'etcdutl'}


class Missing(Exception):
    pass


def go_build(folder, out, package):
    if shutil.which('go') is None:
        raise Missing('Go is not installed')
    r = subprocess.run(['go', 'build', '-o', str(out), package], cwd=folder, capture_output=True,
                       text=True, timeout=1500)
    if r.returncode != 0:
        raise Missing(f'go build {package} in {folder.name}: {r.stderr.strip()[-300:]}')


def programs(build, version):
    """{'etcd': path, 'etcdctl': path, 'etcdutl': path} of one version."""
    given = os.environ.get('CAIRN_REFERENCE')
    bin_dir = (pathlib.Path(given) if given else build / 'interop') / f'etcd-{version}' / 'bin'
    bin_dir.mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        if not (bin_dir / name).exists():
            go_build(HERE / f'etcd-{version}', bin_dir / name, f'go.etcd.io/etcd/{module}/v3')
    return {name: bin_dir / name for name in PROGRAMS}


def client(build):
    out = build / 'interop' / 'interop-client'
    out.parent.mkdir(parents=True, exist_ok=True)
    newest = max(f.stat().st_mtime for f in (HERE / 'client').iterdir())
    if not out.exists() or out.stat().st_mtime < newest:
        go_build(HERE / 'client', out, '.')
    return out

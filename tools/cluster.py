#!/usr/bin/env python3
"""make cluster: three members over TLS on this machine, until Ctrl-C; prints how to use them.

usage: tools/cluster.py [--build build] [--dir cluster.etcd] [--bin DIR]
Certificates, data and logs are in --dir and stay there: the next start goes on with them.  Ports: clients
2379, 22379, 32379; peers 2380, 22380, 32380."""
import argparse
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMBERS = [('m1', 2379, 2380), ('m2', 22379, 22380), ('m3', 32379, 32380)]
WAIT_S = 60


def command(binary, base, name, client, peer):
    certs = base / 'certs'
    members = ','.join(f'{n}=https://127.0.0.1:{p}' for n, _, p in MEMBERS)
    return [str(binary), '--name', name, '--data-dir', str(base / f'{name}.etcd'),
            '--listen-client-urls', f'https://127.0.0.1:{client}',
            '--advertise-client-urls', f'https://127.0.0.1:{client}',
            '--listen-peer-urls', f'https://127.0.0.1:{peer}',
            '--initial-advertise-peer-urls', f'https://127.0.0.1:{peer}',
            '--initial-cluster', members, '--initial-cluster-token', 'cairn-local',
            '--cert-file', str(certs / 'server.crt'), '--key-file', str(certs / 'server.key'),
            '--client-cert-auth', '--trusted-ca-file', str(certs / 'ca.crt'),
            '--peer-cert-file', str(certs / 'server.crt'), '--peer-key-file', str(certs / 'server.key'),
            '--peer-client-cert-auth', '--peer-trusted-ca-file', str(certs / 'ca.crt')]


def flags(base):
    c = base / 'certs'
    return ['--cacert', str(c / 'ca.crt'), '--cert', str(c / 'client.crt'), '--key', str(c / 'client.key'),
            '--endpoints', ','.join(f'https://127.0.0.1:{client}' for _, client, _ in MEMBERS)]


def wait_healthy(ctl, base, processes):
    """None, or what is wrong."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for (name, _, _), p in zip(MEMBERS, processes):
            if p.poll() is not None:
                return f'{name} has ended with {p.returncode}: see {base / (name + ".log")}'
        r = subprocess.run([str(ctl), *flags(base), 'endpoint', 'health'], capture_output=True, text=True)
        if r.returncode == 0:
            return None
        time.sleep(0.2)
    return 'not healthy in time:\n' + r.stdout + r.stderr


def tell(bins, base):
    c = base / 'certs'
    print('three members are up; in another shell:\n')
    print(f'  export PATH={bins}:$PATH ETCDCTL_API=3')
    print(f'  export ETCDCTL_CACERT={c}/ca.crt ETCDCTL_CERT={c}/client.crt ETCDCTL_KEY={c}/client.key')
    print('  export ETCDCTL_ENDPOINTS=' + flags(base)[-1])
    print('  cairnctl endpoint status -w table\n')
    print(f'logs: {base}/m1.log m2.log m3.log; Ctrl-C stops them', flush=True)


def stop(processes):
    for p in processes:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
    for p in processes:
        try:
            p.wait(30)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default='build')
    ap.add_argument('--bin', help='where cairn and cairnctl are (default: <build>/bin)')
    ap.add_argument('--dir', default='cluster.etcd')
    args = ap.parse_args()
    bins = pathlib.Path(args.bin or ROOT / args.build / 'bin').resolve()
    base = pathlib.Path(args.dir).resolve()
    subprocess.run([str(ROOT / 'tools' / 'certs.sh'), str(base / 'certs')], check=True)
    processes = []
    ended = []
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, lambda *_: ended.append(1))
    try:
        for name, client, peer in MEMBERS:
            with open(base / f'{name}.log', 'ab') as log:
                processes.append(subprocess.Popen(command(bins / 'cairn', base, name, client, peer),
                                                  stdout=log, stderr=log, start_new_session=True))
        wrong = wait_healthy(bins / 'cairnctl', base, processes)
        if wrong is not None:
            sys.exit(wrong)
        tell(bins, base)
        while not ended and all(p.poll() is None for p in processes):
            time.sleep(0.2)
    finally:
        stop(processes)


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
"""The sections of docs/operations.md that need real etcd: the rolling migration from etcd 3.5, 3.6 and 3.7 and
back, block by block as they stand, under a client that writes all the time; then the end of the upgrade and one
version down.  Debian's etcd 3.4 is too old for a mixed cluster: skipped by name."""
import json
import pathlib
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import ROOT, Skip, main  # noqa: E402
from operations import MEMBERS, Run  # noqa: E402

# As Debian's package has it, with a program of its own version.
UNIT = """[Unit]
Description=etcd
[Service]
Environment=ETCD_NAME=%H
Environment=ETCD_DATA_DIR=/var/lib/etcd/default
EnvironmentFile=-/etc/default/%p
Type=notify
User=etcd
ExecStart=/usr/bin/etcd
[Install]
WantedBy=multi-user.target
"""


def install_etcd(r, version):
    try:
        programs = reference.programs(r.t.build, version)
    except reference.Missing as e:
        raise Skip(str(e))
    for name in MEMBERS:
        r.at(name, f"""install -m 0755 {programs['etcd'].resolve()} /usr/bin/etcd
cat > /usr/lib/systemd/system/etcd.service <<'EOF'
{UNIT}EOF
id etcd > /dev/null 2>&1 || useradd --system --home /var/lib/etcd etcd
install -d -m 0700 -o etcd -g etcd /var/lib/etcd
install -d -m 0750 -o etcd -g etcd /etc/etcd/pki""")


def start_etcd(r, version):
    """A cluster of etcd on the page's addresses, with the page's certificates and settings."""
    install_etcd(r, version)
    make, pair, client = r.section('Certificates', 3)
    r.run(make)
    settings, start = r.section('The first start', 2)

    def as_etcd(text):
        return (text.replace('/etc/default/cairn', '/etc/default/etcd').replace('/etc/cairn', '/etc/etcd')
                .replace('/var/lib/cairn', '/var/lib/etcd').replace('-o cairn -g cairn', '-o etcd -g etcd')
                .replace('enable --now cairn', 'enable --now etcd'))

    r.run(client)
    for block in (pair, settings):
        r.run(block._replace(text=as_etcd(block.text)), on=r.members)
    r.run(start._replace(text=as_etcd(start.text)))


class Load:
    """Writes one key after the other and counts what was acknowledged."""

    def __init__(self, r):
        self.r, self.stopped, self.acked, self.tries = r, False, [], 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped:
            self.tries += 1
            if self.r.admin(f'cairnctl put /load/{self.tries} {self.tries}', ok=False)[2] == 0:
                self.acked.append(self.tries)

    def stop(self):
        self.stopped = True
        self.thread.join()
        kept = {int(k) for k in self.r.admin('cairnctl get /load/ --prefix --print-value-only')[0].split()}
        lost = set(self.acked) - kept
        assert self.acked and not lost, f'{len(lost)} of {len(self.acked)} acknowledged writes are lost'
        print(f'   {len(self.acked)} of {self.tries} writes acknowledged, none lost', flush=True)


def leads(r, name):
    out = r.admin(f'ETCDCTL_ENDPOINTS=https://10.0.0.{name[1]}:2379 cairnctl endpoint status -w json')[0]
    status = json.loads(out)[0]['Status']
    return status['leader'] == status['header']['member_id']


def leader_last(r):
    return sorted(MEMBERS, key=lambda name: leads(r, name))


def check(r, block):
    """Healthy and equal, as the page asks before the next member."""
    r.wait_healthy()
    r.assert_equal()
    r.run(block)


def versions(r):
    out = r.admin('cairnctl endpoint status --cluster -w json')[0]
    return sorted(s['Status']['version'] for s in json.loads(out))


def migrate(t, version):
    r = Run(t)
    install, look, over, after = r.section('Migration from etcd', 4)
    r.site['admin'].sh('make install PREFIX=/usr/local', cwd=str(ROOT))
    start_etcd(r, version)
    r.run(install, cwd=str(ROOT))
    r.run(look)
    load = Load(r)
    order = leader_last(r)
    for name in order:
        r.run(over, on=[name])
        check(r, after)
    assert all(v.startswith(version + '.') for v in versions(r)), versions(r)
    # And back, the first of them first.
    back, = r.section('Back to etcd', 1)
    for name in order:
        r.run(back, on=[name])
        check(r, after)
    for name in leader_last(r):
        r.run(over, on=[name])
        check(r, after)
    load.stop()
    finish, = r.section('Finish the upgrade', 1)
    r.run(finish)
    assert all(v.startswith('3.7.') for v in versions(r)), versions(r)
    down, = r.section('One version down again', 1)
    r.run(down)
    end = time.monotonic() + 120
    while not all(v.startswith('3.6.') for v in versions(r)):
        assert time.monotonic() < end, versions(r)
        time.sleep(0.5)
    r.admin('cairnctl put after 1')
    r.assert_equal()


def test_migration_3_4(t):
    raise Skip("Debian's etcd 3.4 has no place in a cluster of 3.5 and newer; its directory opens (handover_test.py)")


def test_migration_3_5(t):
    migrate(t, '3.5')


def test_migration_3_6(t):
    migrate(t, '3.6')


def test_migration_3_7(t):
    migrate(t, '3.7')


if __name__ == '__main__':
    main(globals())

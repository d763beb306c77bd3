#!/usr/bin/env python3
"""docs/operations.md, block by block as it stands, on machines of their own (test/lib/machines.py): a page whose
commands no longer work fails.  systemctl is stood in for; the rest is real.  The sections of the migration need
real etcd and are run by test/interop/operations_test.py."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import operations  # noqa: E402
from cairn_test import main  # noqa: E402
from machines import Failed  # noqa: E402
from operations import Run  # noqa: E402

# Which test runs a section.
SECTIONS = {
    'Operations': 'every test', 'Install': 'every test', 'Certificates': 'every test', 'The first start': 'every test',
    'Renewing certificates': 'test_renewing_certificates',
    'Day to day': 'test_day_to_day', 'Space': 'test_day_to_day',
    'Add one': 'test_members_come_and_go', 'Remove one': 'test_members_come_and_go',
    "Change a member's peer address": 'test_members_come_and_go',
    'Losing a member': 'test_losing_a_member', 'Losing the quorum': 'test_losing_the_quorum',
    'Backup and restore': 'test_backup_and_restore',
    'Migration from etcd': 'interop', 'Back to etcd': 'interop', 'Finish the upgrade': 'interop',
    'One version down again': 'interop',
}


def test_every_section_is_known(t):
    there = {b.section for b in operations.read()}
    assert there == set(SECTIONS), f'sections with commands: {sorted(there)}, known: {sorted(SECTIONS)}'
    for test in set(SECTIONS.values()) - {'every test', 'interop'}:
        assert test in globals(), test


def test_day_to_day(t):
    r = Run(t)
    r.start_all()
    look, move = r.section('Day to day', 2)
    out = r.run(look)
    assert out.count('is healthy') == 3 and out.count('│ started │') == 3, out
    r.run(move)
    leader = r.admin('ETCDCTL_ENDPOINTS=https://10.0.0.2:2379 cairnctl endpoint status -w json')[0]
    ident = leader[leader.index('"member_id":') + 12:].split(',')[0]
    assert f'"leader":{ident},' in leader, leader
    # The quota is reached, everything is refused, room is made.
    space, = r.section('Space', 1)
    for name in r.members:
        r.at(name, 'echo ETCD_QUOTA_BACKEND_BYTES=2000000 >> /etc/default/cairn; systemctl restart cairn')
    full = r.admin('for i in $(seq 100); do head -c 40000 /dev/zero | tr "\\0" x | cairnctl put big; done', ok=False)
    assert full[2] != 0 and 'mvcc: database space exceeded' in full[1], full
    assert 'NOSPACE' in r.admin('cairnctl alarm list')[0]
    r.run(space)
    assert r.admin('cairnctl alarm list')[0].strip() == ''
    r.admin('cairnctl put small 1')
    r.assert_equal()


def test_renewing_certificates(t):
    r = Run(t)
    r.start_all()
    renew, put, shown, both, trust, new, put_new, restart, forget, trust_new = r.section('Renewing certificates', 10)

    def serial_of(name):
        return r.admin(f'openssl x509 -noout -serial -in pki/{name}.crt')[0].strip()

    def wait_shown(serial):
        end, seen = time.monotonic() + operations.HANG_S, ''
        while serial not in seen:
            assert time.monotonic() < end, f'{serial} is not shown, but: {seen}'
            time.sleep(0.3)
            try:
                seen = r.run(shown)
            except Failed as e:  # s_client may end badly behind its handshake
                seen = str(e)

    old = serial_of('m1')
    wait_shown(old)
    starts = [r.site[m].log().count('"starting an etcd server"') for m in r.members]
    r.run(renew)
    r.run(put, on=r.members)
    assert serial_of('m1') != old
    wait_shown(serial_of('m1'))
    r.wait_healthy()
    r.run(both)
    r.run(trust)
    r.run(new)
    r.run(put_new, on=r.members)
    wait_shown(serial_of('m1'))
    r.wait_healthy()
    assert starts == [r.site[m].log().count('"starting an etcd server"') for m in r.members], 'a member was restarted'
    for name in r.members:
        r.run(restart, on=[name])
        r.wait_healthy()
    r.run(forget)
    r.run(trust_new)
    r.wait_healthy()
    # The old authority is not trusted any more.
    r.admin('cd pki; openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial '
            '-extfile client.ext -out late.crt')
    end = time.monotonic() + operations.HANG_S
    while r.admin('ETCDCTL_CERT=pki/late.crt cairnctl get x', ok=False)[2] == 0:
        assert time.monotonic() < end, 'the old authority is still trusted'
        time.sleep(0.3)
    r.admin('cairnctl put after 1')
    r.assert_equal()


def add_one(r, name='m4'):
    """The section "Add one"; name is the machine, prepared but for its settings."""
    add, start, promote = r.section('Add one', 3)
    r.settle()
    told = r.run(add)
    settings, _ = r.section('The first start', 2)
    r.run(settings, on=[name])
    lines = '\n'.join(line for line in told.splitlines() if line.startswith('ETCD_'))
    assert lines.count('\n') == 3, told
    r.at(name, f"cat >> /etc/default/cairn <<'EOF'\n{lines}\nEOF")
    r.run(start)
    r.run(promote)


def test_members_come_and_go(t):
    r = Run(t, names=('m1', 'm2', 'm3', 'm4'))
    r.members.remove('m4')
    r.start_all()
    install, = r.section('Install', 1)
    r.at('m4', install.text, cwd=str(operations.ROOT))
    _, pair, _ = r.section('Certificates', 3)
    r.run(pair, on=['m4'])
    add_one(r)
    r.wait_healthy()
    assert r.member_names() == ['m1', 'm2', 'm3', 'm4']
    assert r.at('m4', 'id -u cairn; stat -c %u /proc/$(cat /run/units/cairn.pid)')[0].split()[0] != '0'
    r.assert_equal()
    remove, = r.section('Remove one', 1)
    r.run(remove)
    assert r.member_names() == ['m1', 'm2', 'm3']
    end = time.monotonic() + operations.HANG_S
    while r.at('m4', 'grep -q "State:.Z" /proc/$(cat /run/units/cairn.pid)/status || '
               '[ ! -d /proc/$(cat /run/units/cairn.pid) ]', ok=False)[2] != 0:
        assert time.monotonic() < end, 'the removed member does not stop'
        time.sleep(0.2)
    certificate, put, update, restart = r.section("Change a member's peer address", 4)
    r.at('m3', 'ip addr add 10.0.0.33/24 dev eth0')
    r.run(certificate)
    r.run(put)
    r.run(update)
    r.run(restart)
    r.wait_healthy()
    assert 'https://10.0.0.33:2380' in r.admin('cairnctl member list')[0]
    r.assert_equal()


def test_losing_a_member(t):
    r = Run(t)
    r.start_all()
    start, change, rejoin, promote = r.section('Losing a member', 4)
    r.site['m3'].kill()
    # What was on its way to a leader that died is lost, as in etcd: the client asks again.
    r.admin('until cairnctl put /registry/two-of-three 3; do sleep 1; done')
    r.run(start)
    r.wait_healthy()
    r.assert_equal()
    r.site['m3'].kill()
    r.at('m3', 'rm -rf /var/lib/cairn')
    r.admin('until cairnctl put /registry/two-of-three 4; do sleep 1; done')
    r.at('m3', 'install -d -m 0700 -o cairn -g cairn /var/lib/cairn')
    r.settle()
    r.run(change)
    r.run(rejoin)
    r.run(promote)
    r.wait_healthy()
    assert r.member_names() == ['m1', 'm2', 'm3']
    assert 'true' not in r.admin('cairnctl member list')[0], 'still a learner'
    r.assert_equal()


def test_losing_the_quorum(t):
    r = Run(t, names=('m1', 'm2', 'm3', 'm4'))
    r.members.remove('m4')
    r.start_all()
    force, = r.section('Losing the quorum', 1)
    r.admin('cairnctl put /registry/kept 1')
    r.assert_equal()
    r.site['m2'].kill()
    r.site['m3'].kill()
    refused = r.admin('cairnctl put x 1 --command-timeout=3s', ok=False)
    assert refused[2] != 0 and ('deadline exceeded' in refused[1] or 'timed out' in refused[1]), refused
    assert r.admin('cairnctl get /registry/kept --consistency=s --print-value-only')[0] == '1\n'
    r.run(force)
    assert r.member_names() == ['m1']
    assert r.admin('cairnctl get /registry/kept --print-value-only')[0] == '1\n'
    r.at('m1', 'systemctl restart cairn')
    assert r.at('m1', 'tr "\\0" "\\n" < /proc/$(cat /run/units/cairn.pid)/environ | grep FORCE', ok=False)[0] == ''
    # Then the others, as in "Add one".
    install, = r.section('Install', 1)
    r.at('m4', install.text, cwd=str(operations.ROOT))
    _, pair, _ = r.section('Certificates', 3)
    r.run(pair, on=['m4'])
    add_one(r)
    assert r.member_names() == ['m1', 'm4']
    assert r.admin('cairnctl get /registry/kept --print-value-only')[0] == '1\n'
    r.assert_equal()


def test_backup_and_restore(t):
    r = Run(t)
    r.start_all()
    save, restore, start = r.section('Backup and restore', 3)
    r.admin('for i in $(seq 20); do cairnctl put /registry/pod-$i $i; done')
    before = r.admin('cairnctl get /registry/ --prefix')[0]
    r.run(save)
    r.admin('cairnctl put /registry/after-the-backup 1')
    revision = int(r.admin('cairnctl get x -w json')[0].split('"revision":')[1].split(',')[0])
    for name in r.members:
        r.site[name].kill()
        r.at(name, 'rm -rf /var/lib/cairn/default')
    r.run(restore, on=r.members)
    r.run(start)
    r.wait_healthy()
    assert r.admin('cairnctl get /registry/ --prefix')[0] == before
    now = int(r.admin('cairnctl get x -w json')[0].split('"revision":')[1].split(',')[0])
    assert now > revision + 900_000_000, (revision, now)
    fence = r.admin(f'cairnctl get /registry/ --prefix --rev {revision}', ok=False)
    assert fence[2] != 0 and 'compacted' in fence[1], fence
    r.assert_equal()


if __name__ == '__main__':
    main(globals())

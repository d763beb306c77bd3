"""The load generator of `make bench`: every load gives right answers and moves the revision as it must."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import main  # noqa: E402

KEYS, BATCH = 600, 50


def load(t, server, op, *extra, ok=True):
    out, err, rc = t.run([str(t.build / 'test' / 'bench' / 'cairn_load'), '--endpoints', server.endpoint,
                          '--op', op, '--connections', '3', '--streams', '4', '--keys', str(KEYS),
                          '--limit', '100', '--batch', str(BATCH), *extra], ok=ok)
    return json.loads(out), err, rc


def revision(server):
    return server.json('get', 'x')['header']['revision']


def test_every_load(t):
    server = t.server().start()
    load(t, server, 'fill', '--count', str(KEYS // BATCH))
    count = server.json('get', 'key/', '--prefix', '--keys-only')['count']
    assert count == KEYS, count
    for op, writes in (('put', 500), ('get', 0), ('get-serializable', 0), ('list', 0), ('delete', 500)):
        before = revision(server)
        got = load(t, server, op, '--count', '500')[0]
        assert got['ops'] == 500 and got['errors'] == 0, got
        assert got['p50_us'] <= got['p99_us'] <= got['p999_us'] <= got['max_us'], got
        assert revision(server) - before == writes, op
    assert load(t, server, 'txn', '--count', '500', '--prefix', 'txn/')[0]['errors'] == 0
    assert load(t, server, 'mixed', '--count', '500')[0]['errors'] == 0


def test_wrong_answers_are_told(t):
    server = t.server().start()
    got, err, rc = load(t, server, 'get', '--count', '20', ok=False)
    assert rc == 1 and got['errors'] == 20 and 'answers were wrong' in err, (rc, got, err)


main(globals())

// checks ENDPOINT: what npm's etcd3 sees of a server, one line a check, without anything that may differ
// between two servers on copies of one directory.  Two outputs are compared line by line.
'use strict';

const { createHash } = require('crypto');
const { Etcd3, SortTarget, Range } = require('etcd3');

const endpoint = process.argv[2];
let client = new Etcd3({ hosts: `http://${endpoint}` });

// Ids are left out: nothing is drawn here, but they say nothing about the answer either.
const hidden = new Set(['cluster_id', 'member_id']);

function plain(key, value) {
  if (hidden.has(key)) return undefined;
  if (value && value.type === 'Buffer') {
    const b = Buffer.from(value.data);
    return b.length > 40 ? `${b.length} bytes ${createHash('sha256').update(b).digest('hex')}` : b.toString('latin1');
  }
  return value;
}

async function check(name, action) {
  let saw;
  try {
    saw = await action();
  } catch (e) {
    saw = { error: e.constructor.name, code: e.code, text: e.message };
  }
  console.log(`${name}: ${JSON.stringify(saw, plain)}`);
  return saw;
}

let kv = client.kv;
const b = (text) => Buffer.from(text);
const prefix = (text) => ({ key: b(text), range_end: b(text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)) });

async function puts() {
  await check('put', () => client.put('p1').value('a'));
  await check('put a number', () => client.put('p2').value(42));
  await check('put with previous', () => kv.put({ key: b('p1'), value: b('b'), prev_kv: true }));
  await check('put empty value', () => client.put('p3').value(''));
  await check('put empty key', () => client.put('').value('x'));
  await check('put binary', () => client.put(Buffer.from([0, 1, 255, 254])).value(Buffer.from([255, 0, 128])));
  await check('touch', () => client.put('p1').touch());
  await check('touch a missing key', () => client.put('none').touch());
  await check('put ignoring the lease', () => client.put('p1').value('c').ignoreLease());
  await check('put with a lease that is not there', () => client.put('p1').value('c').lease('77'));
  await check('put value and ignore it', () => kv.put({ key: b('p1'), value: b('b'), ignore_value: true }));
  await check('put 1 MiB', () => client.put('big').value('x'.repeat(1 << 20)));
  await check('put more than 1.5 MiB', () => client.put('big').value('x'.repeat(1572864 + 1)));
  await check('get string', () => client.get('p1').string());
  await check('get number', () => client.get('p2').number());
  await check('get buffer', () => client.get(Buffer.from([0, 1, 255, 254])).buffer());
  await check('get missing', () => client.get('none').string());
  await check('exists', async () => [await client.get('p1').exists(), await client.get('none').exists()]);
  await check('get 1 MiB', () => client.get('big').buffer());
}

async function ranges() {
  for (const [i, v] of ['e', 'd', 'c', 'b', 'a'].entries()) await client.put(`r${i}`).value(v);
  await client.put('r3').value('z');
  await check('all with prefix', () => client.getAll().prefix('r').strings());
  await check('keys', () => client.getAll().prefix('r').keys());
  await check('count', () => client.getAll().prefix('r').count());
  await check('count of everything', () => client.getAll().count());
  await check('range', () => client.getAll().inRange(new Range('r1', 'r3')).strings());
  await check('range that is open', () => client.getAll().inRange({ start: 'r2' }).limit(2).strings());
  await check('limit', () => client.getAll().prefix('r').limit(2).exec());
  for (const target of Object.keys(SortTarget).filter((t) => isNaN(t))) {
    for (const order of ['None', 'Ascend', 'Descend']) {
      await check(`sorted by ${target} ${order}`, () => client.getAll().prefix('r').sort(target, order).limit(3).exec());
    }
  }
  await check('serializable', () => client.get('r1').serializable(true).exec());
  await check('keys only', () => kv.range({ ...prefix('r'), keys_only: true }));
  await check('count only', () => kv.range({ ...prefix('r'), count_only: true }));
  await check('range of an empty key', () => kv.range({ key: b('') }));
  await check('range backwards', () => kv.range({ key: b('r3'), range_end: b('r1') }));
}

async function revisions() {
  const now = Number((await client.get('r3').exec()).header.revision);
  await check('older revision', () => client.getAll().prefix('r').revision(now - 1).exec());
  await check('future revision', () => client.get('r3').revision(now + 1000).string());
  await check('min mod revision', () => client.getAll().prefix('r').minModRevision(now).exec());
  await check('max mod revision', () => client.getAll().prefix('r').maxModRevision(now - 3).exec());
  await check('min create revision', () => client.getAll().prefix('r').minCreateRevision(now - 2).exec());
  await check('max create revision', () => client.getAll().prefix('r').maxCreateRevision(now - 3).exec());
  await check('delete one with previous', () => client.delete().key('r1').getPrevious());
  await check('delete missing', () => client.delete().key('r1').exec());
  await check('delete range', () => client.delete().inRange({ start: 'r2', end: 'r4' }).exec());
  await check('delete prefix', () => client.delete().prefix('r').exec());
  await check('delete empty key', () => kv.deleteRange({ key: b('') }));
  await check('deleted at its revision', () => client.get('r1').revision(now).exec());
  await check('compact', () => kv.compact({ revision: now }));
  await check('compact again', () => kv.compact({ revision: now }));
  await check('compact the future', () => kv.compact({ revision: now + 1000 }));
  await check('compact physically', () => kv.compact({ revision: now + 1, physical: true }));
  await check('compacted', () => client.get('r1').revision(now).string());
}

async function txns() {
  await client.put('t1').value('m');
  for (const column of ['Value', 'Version', 'Create', 'Mod', 'Lease']) {
    for (const cmp of ['==', '!==', '===', '>', '<', '!=']) {
      const value = column === 'Value' ? 'm' : 1;
      await check(`if ${column} ${cmp}`, () => client.if('t1', column, cmp, value).commit());
    }
  }
  await check('then', () => client.if('t1', 'Value', '==', 'm').then(client.put('t2').value('x'), client.get('t2'), client.delete().key('t1')).else(client.get('t1')).commit());
  await check('else', () => client.if('t1', 'Version', '>', 0).then(client.get('t1')).else(client.put('t1').value('new'), client.getAll().prefix('t')).commit());
  await check('and', () => client.if('t1', 'Version', '>', 0).and('t2', 'Value', '==', 'y').then(client.get('t1')).commit());
  await check('the same key twice', () => client.if('t1', 'Version', '>', 0).then(client.put('t3').value(1), client.put('t3').value(2)).commit());
  await check('delete and put', () => client.if('t1', 'Version', '>', 0).then(client.delete().prefix('t'), client.put('t3').value(2)).commit());
  const ops = (n) => Array.from({ length: n }, (_, i) => client.put(`many${i}`).value('v'));
  await check('128 operations', () => client.if('t1', 'Version', '>', 0).then(...ops(128)).commit());
  await check('129 operations', () => client.if('t1', 'Version', '>', 0).then(...ops(129)).commit());
  await check('nested', () => kv.txn({ compare: [], success: [{ request_txn: { compare: [], success: [{ request_put: { key: b('t5'), value: b('in') } }], failure: [] } }, { request_range: prefix('t') }], failure: [] }));
  await check('future range inside', () => kv.txn({ compare: [], success: [{ request_put: { key: b('t6'), value: b('x') } }, { request_range: { key: b('t1'), revision: 1000000 } }], failure: [] }));
  await check('empty', () => kv.txn({ compare: [], success: [], failure: [] }));
  await check('after refused ones', () => client.getAll().prefix('t').strings());
}

async function others() {
  const ns = client.namespace('ns/');
  await check('namespace put', () => ns.put('a').value('1'));
  await check('namespace get', () => ns.getAll().strings());
  await check('namespace from outside', () => client.getAll().prefix('ns/').strings());
  await check('namespace delete', () => ns.delete().all());
  await check('stm', () => client.stm().transact(async (tx) => {
    const v = await tx.get('p2').number();
    await tx.put('p2').value(v + 1);
    return v;
  }));
  await check('after stm', () => client.get('p2').exec());
  await check('stm with a delete', () => client.stm().transact((tx) => tx.delete().key('p3')));
  const m = client.maintenance;
  await check('hash', () => m.hashKV({ revision: 0 }).then((r) => ({ hash: r.hash, compact: r.compact_revision })));
  await check('hash in the future', () => m.hashKV({ revision: 1000000 }));
  await check('status', () => m.status().then((r) => ({ version: r.version.slice(0, 3), term: r.raftTerm, index: r.raftIndex, leader: r.leader })));
  await check('alarms', () => m.alarm({ action: 'GET', alarm: 'NONE' }));
  await check('members', () => client.cluster.memberList({}).then((r) => r.members.map((x) => [x.ID, x.name, x.isLearner])));
  await check('defragment', () => m.defragment());
  await check('snapshot', async () => {
    const stream = await m.snapshot();
    return new Promise((resolve, reject) => {
      let size = 0;
      let left = 0;
      stream.on('data', (d) => { size += d.blob.length; left = d.remaining_bytes; });
      stream.on('end', () => resolve({ pages: (size - 32) % 4096, left }));
      stream.on('error', reject);
    });
  });
  await check('deadline in the past', () => client.get('p1').options({ deadline: 1 }).string().catch((e) => e.constructor.name));
}

// ---- what lives longer than a request; lease ids are the server's, so keys named by them are masked ----

let lease;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const masked = (key) => String(key).replace(/\/[0-9a-f]+$/, '/ID');

// A hang limit, not a measurement.
const within = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing came`)), 60000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

async function until(what) {
  for (let i = 0; i < 600; i++) {
    if (await what()) return true;
    await sleep(100);
  }
  throw new Error('it does not come');
}

async function leases() {
  const l = client.lease(100);
  await check('lease put', () => l.put('l/a').value('1').then((r) => r.header.revision));
  await check('lease put another', () => l.put('l/b').value('2').then((r) => r.header.revision));
  const id = await l.grant();
  await check('lease of a key', async () => (await client.get('l/a').exec()).kvs[0].lease === id);
  await check('lease keep alive', () => l.keepaliveOnce().then((r) => r.TTL));
  await check('lease time to live', () => lease.leaseTimeToLive({ ID: id, keys: true }).then((r) => [r.grantedTTL, Number(r.TTL) > 90, r.keys.map(String)]));
  await check('lease time to live of none', () => lease.leaseTimeToLive({ ID: '999' }).then((r) => [r.grantedTTL, r.TTL]));
  await check('leases', () => lease.leaseLeases().then((r) => r.leases.length));
  await check('lease revoke', () => l.revoke().then(() => 'ok'));
  await check('lease revoked', () => client.getAll().prefix('l/').strings());
  await check('lease revoke of none', () => lease.leaseRevoke({ ID: '999' }));
  await check('lease with a given id', () => lease.leaseGrant({ ID: '555', TTL: 50 }).then((r) => [r.ID, r.TTL]));
  await check('lease with that id again', () => lease.leaseGrant({ ID: '555', TTL: 50 }));
  await check('lease of a second', () => lease.leaseGrant({ ID: '556', TTL: 1 }).then((r) => [r.ID, r.TTL]));
  await check('lease too large', () => lease.leaseGrant({ ID: '557', TTL: '9000000001' }));
  await check('put with a given lease', () => client.put('l/c').value('3').lease('556').then((r) => r.header.revision));
  await check('lease that ends', () => until(async () => !(await client.get('l/c').exists())));
  const kept = client.lease(2);
  await check('lease kept', async () => {
    await kept.put('l/kept').value('4');
    await sleep(5000); // more than its time
    return client.get('l/kept').string();
  });
  await check('lease kept is revoked', () => kept.revoke().then(() => client.get('l/kept').string()));
  await lease.leaseRevoke({ ID: '555' });
}

// A watcher's events as text, until there are so many.
function gather(watcher, count) {
  const saw = [];
  return within(new Promise((resolve, reject) => {
    const take = (type) => (kv, previous) => {
      saw.push(`${type} ${kv.key}=${kv.value}@${kv.mod_revision}${previous ? ` was ${previous.value}` : ''}`);
      if (saw.length === count) resolve(saw);
    };
    watcher.on('put', take('put'));
    watcher.on('delete', take('delete'));
    watcher.on('error', reject);
  }), 'watch');
}

async function watch(name, builder, count, action) {
  await check(name, async () => {
    const w = await within(builder.create(), 'create');
    const saw = gather(w, count);
    await action();
    const all = await saw;
    await w.cancel();
    return all;
  });
}

async function watches() {
  const write = async () => {
    for (const [k, v] of [['w/1', 'a'], ['w/2', 'b'], ['w/1', 'c'], ['x', 'd']]) await client.put(k).value(v);
    await client.delete().key('w/2');
  };
  const nothing = async () => {};
  await watch('watch a key', client.watch().key('w/1'), 2, write);
  await watch('watch a prefix', client.watch().prefix('w/'), 4, write);
  await watch('watch with previous', client.watch().prefix('w/').withPreviousKV(), 4, write);
  // This client sends each as the other.
  await watch('watch that ignores deletes', client.watch().prefix('w/').ignore('delete'), 1, write);
  await watch('watch that ignores puts', client.watch().prefix('w/').ignore('put'), 3, write);
  await watch('watch a range', client.watch().inRange(new Range('w/1', 'w/2')), 2, write);
  const now = Number((await client.get('w/1').exec()).header.revision);
  await watch('watch from a revision', client.watch().prefix('w/').startRevision(String(now - 4)), 4, nothing);
  await watch('watch from the future', client.watch().key('w/1').startRevision(String(now + 2)), 1, write);
  await watch('watch a transaction', client.watch().prefix('w/'), 2, () => client.if('w/1', 'Version', '>', 0).then(client.put('w/8').value('1'), client.put('w/9').value('2')).commit());
  await check('two watches', async () => {
    const a = await client.watch().key('w/1').create();
    const z = await client.watch().key('w/2').create();
    const saw = [gather(a, 2), gather(z, 2)];
    await write();
    const all = await Promise.all(saw);
    await a.cancel();
    await z.cancel();
    return all;
  });
  const last = Number((await client.get('w/1').exec()).header.revision);
  await check('compact under watches', () => kv.compact({ revision: last }));
}

async function locks() {
  const one = client.lock('lock');
  const two = client.lock('lock');
  await check('lock', () => one.ttl(60).acquire().then(() => 'ok'));
  await check('lock that is held', () => two.acquire());
  await check('lock keys', () => client.getAll().prefix('lock').keys().then((all) => all.length));
  await check('unlock', () => one.release().then(() => 'ok'));
  await check('lock after it', () => two.acquire().then(() => 'ok'));
  await check('unlock it', () => two.release().then(() => 'ok'));
  await check('lock and do', () => client.lock('lock').do(() => client.put('done').value('yes').then(() => 'did')));
  await check('10 locks, one after the other', async () => {
    let inside = 0;
    let most = 0;
    const held = async () => {
      most = Math.max(most, ++inside);
      await client.get('done').string();
      inside--;
    };
    // This client's lock does not wait.
    const tried = (left) => client.lock('many').do(held).catch((e) => {
      if (left === 0 || e.constructor.name !== 'EtcdLockFailedError') throw e;
      return sleep(20).then(() => tried(left - 1));
    });
    await Promise.all(Array.from({ length: 10 }, () => tried(2000)));
    return most;
  });
}

async function elections() {
  const e = client.election('elect', 60);
  await check('leader of none', () => e.leader());
  const first = e.campaign('one');
  await check('campaign', () => within(new Promise((resolve, reject) => {
    first.on('elected', () => resolve('elected'));
    first.on('error', reject);
  }), 'elected'));
  await check('leader', () => e.leader());
  const observer = await e.observe();
  await check('observe', () => until(() => observer.leader() === 'one'));
  await check('proclaim', () => first.proclaim('uno').then(() => until(() => observer.leader() === 'uno')));
  const other = new Etcd3({ hosts: `http://${endpoint}` });
  const second = other.election('elect', 60).campaign('two');
  let isElected = false;
  const elected = new Promise((resolve, reject) => {
    second.on('elected', () => { isElected = true; resolve('elected'); });
    second.on('error', reject);
  });
  await check('candidates', () => until(async () => (await client.getAll().prefix('election/elect').count()) === 2).then(() => isElected));
  await check('resign', () => first.resign().then(() => 'ok'));
  await check('the next', () => within(elected, 'elected'));
  await check('observe the next', () => until(() => observer.leader() === 'two'));
  await check('keys of candidates', () => client.getAll().prefix('election/elect').keys().then((all) => all.map(masked)));
  await observer.cancel();
  await second.resign();
  await check('leader when all have gone', () => e.leader());
  other.close();
}

// Last: the order of these writes is not ours.
async function concurrent() {
  // 200 a time: more wait longer than this client's own patience where the machine is busy.
  const at = (start) => Array.from({ length: 200 }, (_, i) => client.put(`c/${(start + i) % 500}`).value(i));
  for (let start = 0; start < 1000; start += 200) {
    await check('200 puts at once', () => Promise.all(at(start)).then((all) => all.length));
  }
  await check('after them', async () => {
    const r = await client.getAll().prefix('c/').exec();
    return { count: r.count, revision: r.header.revision, versions: r.kvs.reduce((n, x) => n + Number(x.version), 0) };
  });
  await check('200 gets at once', () => Promise.all(Array.from({ length: 200 }, (_, i) => client.get(`c/${i}`).exists())).then((all) => all.every(Boolean)));
  const others = Array.from({ length: 20 }, () => new Etcd3({ hosts: `http://${endpoint}` }));
  await check('20 clients', () => Promise.all(others.map((c, i) => c.put(`d/${i}`).value(i).then(() => c.getAll().prefix('c/').count()))));
  others.forEach((c) => c.close());
}

async function main() {
  await puts();
  await ranges();
  await revisions();
  await txns();
  await others();
  // Another one: this one's circuit breaker may be open after the last check.
  client.close();
  client = new Etcd3({ hosts: `http://${endpoint}` });
  kv = client.kv;
  lease = client.leaseClient;
  await leases();
  await watches();
  await elections();
  await locks();
  await concurrent();
  client.close();
}

main().then(() => process.exit(0)).catch((e) => {
  console.error(e);
  process.exit(1);
});

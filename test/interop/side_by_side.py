#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every line of commands.txt with two builds of the tools and prints what differs.

  side_by_side.py --ours DIR --theirs DIR --our-endpoint HOST:PORT --their-endpoint HOST:PORT
                  [--list FILE] [--only TEXT] [--verbose]

DIR holds etcdctl and etcdutl.  The two endpoints are two fresh members of the same kind, so that
the same commands leave the same state; both may be served by either program.  Standard output,
standard error and exit status are compared after masking what cannot be equal: ids, times,
addresses, log lines.

A line of the list: words as a shell cuts them; the program (etcdctl) and --endpoints come in front.
  utl WORDS          etcdutl instead
  raw WORDS          without --endpoints
  NAME=VALUE WORDS   with an environment variable (before all of the above)
  WORDS <<< TEXT     standard input, with \\n, \\t and \\xNN
  ~ LINE             every number is masked, short hashes in hex too
  ? LINE             help: descriptions are masked, layout and names are not
  ! LINE             only the exit status is compared
  % LINE             standard error is not compared
  = SECONDS          wait
{dir} is a directory of that side alone, {ep} its endpoint, {id}, {lease} what the last `@` line set.
  @ NAME LINE        runs LINE and keeps the first word of 12 or more hex digits as {NAME}
"""
import argparse, codecs, os, re, shlex, subprocess, sys, tempfile, time

MASKS = [
    (re.compile(r'\b\d{15,20}\b'), 'ID'),
    (re.compile(r'\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{14,16}\b'), 'ID'),
    (re.compile(r'\b\d+(\.\d+)?(µs|ns|ms|s)\b'), 'TIME'),
    (re.compile(r'\d+m\d+(\.\d+)?s'), 'TIME'),
    (re.compile(r'"raft(Index|AppliedIndex)":\d+'), 'IDX'),
    (re.compile(r'"Raft(Index|AppliedIndex)" : \d+'), 'IDX'),
    # A log line before an error: the reference tells of each failed attempt, we need not.
    (re.compile(r'^\{"level".*\n', re.M), ''),
    (re.compile(r'^\d{4}-\d\d-\d\dT.*\n', re.M), ''),
    # Which attempt's balancer error it was.
    (re.compile(r' +\n'), '\n'),
]
NUMBER = re.compile(r'\b(?=[a-f]*\d)[0-9a-f]{6,8}\b|\d+')
TABLE = re.compile(r'[─┬┼┴]+|(?<=│) +| +(?=│)')


def mask(text, side):
    text = text.replace(side['dir'], 'DIR').replace(side['ep'], 'EP')
    port = side['ep'].split(':')[1]
    text = text.replace(port, 'PORT').replace(str(int(port) + 1), 'PEER')
    for pattern, to in MASKS:
        text = pattern.sub(to, text)
    if '│' in text:
        text = TABLE.sub('', text)
    return text


def mask_help(text):
    lines = []
    state = 'detail'
    for line in text.split('\n'):
        if state == 'example' and not re.match(r'^[A-Z]', line):
            continue
        flag = re.match(r'^( {2,6}(?:-\w, )?--\S+(?: (?:string|strings|int|uint|duration))?)  ', line)
        cmd = re.match(r'^  [a-z-]+ +', line)
        if line.startswith('Error:') or line.startswith('Run '):
            lines.append(line)
        elif line.startswith('Usage:'):
            state = 'usage'
            lines.append(line)
        elif state == 'detail':
            continue
        elif line.startswith('Examples:'):
            state = 'example'
        elif flag:
            state = 'flags'
            default = re.search(r'\(default [^)]*\)$', line)
            lines.append(flag.group(1) + (' ' + default.group(0) if default else ''))
        elif cmd and state != 'usage':
            lines.append(cmd.group(0).strip())
        else:
            if not line.startswith(' ') and line != '':
                state = 'text'
            lines.append(line)
    return '\n'.join(lines)


def run(side, env, words, stdin, program, use_ep):
    argv = [os.path.join(side['bin'], program)]
    if use_ep:
        argv += ['--endpoints', side['ep']]
    argv += [w.replace('{dir}', side['dir']).replace('{ep}', side['ep']) for w in words]
    for name, value in side['vars'].items():
        argv = [w.replace('{' + name + '}', value) for w in argv]
    full = dict(os.environ)
    full.update({k: v.replace('{ep}', side['ep']) for k, v in env.items()})
    argv = [w.encode('utf-8', 'surrogateescape') for w in argv]
    try:
        p = subprocess.run(argv, input=stdin, env=full, timeout=20, cwd=side['dir'],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return p.returncode, p.stdout, p.stderr
    except subprocess.TimeoutExpired:
        return 'TIMEOUT', b'', b''


def parse(line):
    row = {'mode': '', 'env': {}, 'program': 'etcdctl', 'ep': True, 'stdin': b'', 'keep': None}
    text = line
    while text[:2] in ('~ ', '? ', '! ', '% ', '= '):
        row['mode'] += text[0]
        text = text[2:]
    if text.startswith('@ '):
        row['keep'], text = text[2:].split(' ', 1)
    if ' <<< ' in text:
        text, stdin = text.split(' <<< ', 1)
        row['stdin'] = codecs.escape_decode(stdin.encode())[0]
    words = shlex.split(text)
    while words and re.match(r'^[A-Z_]+=', words[0]):
        name, value = words.pop(0).split('=', 1)
        row['env'][name] = value
    if words and words[0] == 'raw':
        row['ep'] = False
        words.pop(0)
    if words and words[0] == 'utl':
        row['ep'] = False
        row['program'] = 'etcdutl'
        words.pop(0)
    row['words'] = words
    return row


def view(side, row, result):
    rc, out, err = result
    if row['keep']:
        m = re.search(rb'\b[0-9a-f]{12,16}\b', out)
        side['vars'][row['keep']] = m.group(0).decode() if m else 'none'
    if '!' in row['mode']:
        return str(rc)
    out = mask(out.decode('utf-8', 'replace'), side)
    err = mask(err.decode('utf-8', 'replace'), side)
    if '?' in row['mode']:
        out, err = mask_help(out), mask_help(err)
    if '%' in row['mode']:
        err = ''
    if '~' in row['mode']:
        out, err = NUMBER.sub('N', out), NUMBER.sub('N', err)
    return 'rc %s\n' % rc + ''.join('1|%s\n' % l for l in out.split('\n')[:-1] or [out] if l or out) + \
        ''.join('2|%s\n' % l for l in err.split('\n')[:-1] or [err] if l or err)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--ours', required=True)
    ap.add_argument('--theirs', required=True)
    ap.add_argument('--our-endpoint', required=True)
    ap.add_argument('--their-endpoint', required=True)
    ap.add_argument('--list', default=os.path.join(os.path.dirname(__file__), 'commands.txt'))
    ap.add_argument('--only', default='')
    ap.add_argument('--verbose', action='store_true')
    a = ap.parse_args()
    sides = [{'bin': os.path.abspath(b), 'ep': e, 'vars': {}, 'dir': tempfile.mkdtemp()}
             for b, e in ((a.ours, a.our_endpoint), (a.theirs, a.their_endpoint))]
    equal, different = 0, 0
    for number, line in enumerate(open(a.list, encoding='utf-8'), 1):
        line = line.rstrip('\n')
        if not line or line.startswith('#'):
            continue
        if line.startswith('= '):
            time.sleep(float(line[2:]))
            continue
        row = parse(line)
        if a.only and a.only not in line and not row['keep']:
            continue
        views = [view(s, row, run(s, row['env'], row['words'], row['stdin'], row['program'],
                                  row['ep'])) for s in sides]
        if views[0] == views[1]:
            equal += 1
            if a.verbose:
                print('same  %d: %s' % (number, line))
            continue
        different += 1
        print('DIFF  line %d: %s\n--- ours\n%s--- theirs\n%s' % (number, line, *views))
    print('%d equal, %d different' % (equal, different))
    return 1 if different else 0


if __name__ == '__main__':
    sys.exit(main())

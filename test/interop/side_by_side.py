# SPDX-License-Identifier: Apache-2.0
"""Rows of commands.txt: reading the list, running a row on two sides, making the results comparable.

Two sides are two servers under one tool, or one kind of server under two tools; each row runs on both
at once, so the same commands leave the same state.  Standard output, standard error and exit status are
compared after masking what cannot be equal: lease and member ids that are drawn, times, sizes, own
addresses and directories.  Everything else counts: revisions, counts, hashes, indexes, terms, texts.

A line of the list: words as a shell cuts them; the program (etcdctl) and --endpoints come in front.
  utl WORDS          etcdutl instead
  raw WORDS          without --endpoints
  NAME=VALUE WORDS   with an environment variable (before all of the above)
  WORDS <<< TEXT     standard input, with \\n, \\t and \\xNN; {N*TEXT} is TEXT N times, in words too
  ~ LINE             every number is masked, short hashes in hex too
  ? LINE             help: descriptions are masked, layout and names are not
  ! LINE             only the exit status is compared
  % LINE             standard error is not compared
  & LINE             takes seconds: left out of `make test`
  ^ SECONDS LINE     for commands that do not end by themselves: standard input stays open; ended
                     (SIGTERM) when nothing was printed for a while after something was, at the latest
                     after so long
  LINE ;; WORDS      WORDS (etcdctl's) run while LINE does, once it has had time to begin; may repeat
  @ NAME LINE        keeps the first word of 12 or more hex digits that LINE prints as {NAME}
{dir} is a directory of that side alone, {ep} its endpoint.  Lines that are no command:
  = SECONDS          wait
  # TEXT             a remark
  needs: WHAT, ...   until the next `needs:` rows wait for what Cairn does not have yet: `cairnctl X`
                     of the tool (skipped where cairnctl runs), else of the server (where Cairn serves)
  allow PAIRS: WHY   the next row may differ in these pairs (names or their beginnings, commas between)
"""
import codecs
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# A hang limit: no command of the list takes longer than a few seconds.
HANG_S = 60
# A command that stays is done when it has printed and then been silent for so long; it has begun after so long.
QUIET_S = 1.0
BEGIN_S = 2.0

MASKS = [
    (re.compile(r'\b\d{17,20}\b'), 'ID'),
    (re.compile(r'\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{14,16}\b'), 'ID'),
    (re.compile(r'\b\d+m\d+(\.\d+)?s\b'), 'TIME'),
    (re.compile(r'\b\d+(\.\d+)?(µs|ns|ms|s)\b'), 'TIME'),
    (re.compile(r'\b\d+(\.\d+)? ([kMG]?B)\b'), 'SIZE'),
    (re.compile(r'\b\d+%'), 'PERCENT'),
    (re.compile(r'("dbSize(?:InUse)?":)\d+'), r'\1SIZE'),
    (re.compile(r'("DBSize(?:InUse)?" : )\d+'), r'\1SIZE'),
    (re.compile(r'("totalSize":)\d+'), r'\1SIZE'),
    # The patch of a server's version: Cairn answers with the level's newest that it was compared with.
    (re.compile(r'\b(3\.[4-7])\.\d+\b'), r'\1.PATCH'),
    # When a log line was written (etcdctl 3.4), and whole log lines in console form (etcdutl).
    (re.compile(r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ', re.M), ''),
    (re.compile(r'^\d{4}-\d\d-\d\dT[^\n]*\n', re.M), ''),
    (re.compile(r' +\n'), '\n'),
]
LOG_LINE = re.compile(r'^\{"level".*\n', re.M)
NUMBER = re.compile(r'\b[0-9a-f]{4,8}\b|\d+')
TABLE = re.compile(r'[─┬┼┴]+|(?<=│) +| +(?=│)')
ASCII_TABLE = re.compile(r'-{3,}|(?<=\|) +| +(?=\|)')


class Side:
    """One column: the programs, where they find their server, what rows have kept."""

    def __init__(self, programs, server, directory, env=()):
        self.programs = {k: str(v) for k, v in programs.items()}
        self.endpoint = server.endpoint
        self.dir = str(directory)
        self.peer_port = str(server.peer_port)
        self.kept = {}
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('ETCD_', 'ETCDCTL_'))}
        self.env.update(dict(env))

    def fill_in(self, text):
        text = text.replace('{dir}', self.dir).replace('{ep}', self.endpoint)
        for name, value in self.kept.items():
            text = text.replace('{' + name + '}', value)
        return text

    def mask(self, text):
        text = text.replace(self.dir, 'DIR').replace(self.endpoint, 'EP')
        text = text.replace(self.endpoint.split(':')[1], 'PORT').replace(self.peer_port, 'PEER')
        for pattern, to in MASKS:
            text = pattern.sub(to, text)
        if '│' in text:
            text = TABLE.sub('', text)
        elif '+--' in text:
            text = ASCII_TABLE.sub('', text)
        return text


def repeat(text):
    return re.sub(r'\{(\d+)\*([^}]*)\}', lambda m: m.group(2) * int(m.group(1)), text)


class Row:
    def __init__(self, number, line):
        self.number, self.line = number, line
        self.marks, self.keep, self.interrupt_s = '', None, None
        self.env, self.program, self.uses_endpoint, self.stdin = {}, 'etcdctl', True, b''
        self.needs, self.allowed = '', {}
        line, *others = line.split(' ;; ')
        self.words = self.read(line)
        self.others = [shlex.split(o) for o in others]

    def read(self, text):
        while text[:2] in ('~ ', '? ', '! ', '% ', '& ', '^ ', '@ '):
            mark, text = text[0], text[2:]
            if mark == '^':
                seconds, text = text.split(' ', 1)
                self.interrupt_s = float(seconds)
            elif mark == '@':
                self.keep, text = text.split(' ', 1)
            else:
                self.marks += mark
        if ' <<<' in text:
            text, stdin = text.split(' <<<', 1)
            self.stdin = codecs.escape_decode(repeat(stdin[1:]).encode())[0]
        text = repeat(text)
        words = shlex.split(text)
        while words and re.match(r'^[A-Z_]+=', words[0]):
            name, value = words.pop(0).split('=', 1)
            self.env[name] = value
        if words and words[0] in ('raw', 'utl'):
            self.uses_endpoint = False
            if words.pop(0) == 'utl':
                self.program = 'etcdutl'
        return words

    def about_server(self):
        """Whether a server, or a file that one made, has a part in the answer."""
        if '?' in self.marks:
            return False
        text = self.line
        return self.uses_endpoint or '{ep}' in text or '{dir}/s.db' in text or '{dir}/r' in text

    def may_differ(self, pair):
        for names, why in self.allowed.items():
            if any(pair.startswith(n) for n in names.split(',')):
                return why
        return None


def read_list(path=HERE / 'commands.txt'):
    """Rows and waits (floats), in order."""
    out, needs, allowed = [], '', {}
    for number, line in enumerate(path.read_text(encoding='utf-8').split('\n'), 1):
        if not line or line.startswith('#'):
            continue
        if line.startswith('= '):
            out.append(float(line[2:]))
        elif line.startswith('needs:'):
            needs = line[len('needs:'):].strip()
        elif line.startswith('allow '):
            names, why = line[len('allow '):].split(': ', 1)
            allowed[names] = why
        else:
            row = Row(number, line)
            row.needs, row.allowed, allowed = needs, allowed, {}
            out.append(row)
    return out


def help_shape(text):
    """Help without its descriptions: headings, names of commands and flags, types and defaults."""
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


def log_facts(match):
    """Of a tool's JSON log line what the server has a say in."""
    try:
        line = json.loads(match.group(0))
    except ValueError:
        return match.group(0)
    facts = [str(line[k]) for k in ('level', 'msg', 'method', 'attempt', 'error') if k in line]
    return 'log: ' + ', '.join(facts) + '\n'


def argv_of(side, program, words, uses_endpoint):
    argv = [side.programs[program]] + (['--endpoints', side.endpoint] if uses_endpoint else [])
    return [w.encode('utf-8', 'surrogateescape') for w in argv + [side.fill_in(w) for w in words]]


class Stream(threading.Thread):
    """Collects what comes out of a pipe, and when the last of it came."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.data, self.at = pipe, b'', time.monotonic()
        self.start()

    def run(self):
        for piece in iter(lambda: self.pipe.read1(65536), b''):
            self.data, self.at = self.data + piece, time.monotonic()


def stay(p, row, side, env):
    """Feeds and watches a command that stays; runs the others meanwhile."""
    streams = Stream(p.stdout), Stream(p.stderr)
    begin, more = time.monotonic(), (b'', b'')
    try:
        p.stdin.write(row.stdin)
        p.stdin.flush()
    except BrokenPipeError:
        pass
    for words in row.others:
        time.sleep(BEGIN_S)
        other = subprocess.run(argv_of(side, 'etcdctl', words, True), env=env, cwd=side.dir, timeout=HANG_S,
                               stdin=subprocess.DEVNULL, capture_output=True, check=False)
        more = more[0] + other.stdout, more[1] + other.stderr
    since = time.monotonic()
    while p.poll() is None and time.monotonic() - begin < row.interrupt_s:
        last = max([since] + [s.at for s in streams])
        if any(s.data for s in streams) and time.monotonic() - last > QUIET_S:
            break
        time.sleep(0.02)
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
    try:
        p.wait(timeout=HANG_S)
    except subprocess.TimeoutExpired:
        p.kill()
        return 'HANGS', b'', b''
    for s in streams:
        s.join(HANG_S)
    try:
        p.stdin.close()
    except BrokenPipeError:
        pass
    return p.returncode, streams[0].data + more[0], streams[1].data + more[1]


def execute(side, row):
    argv = argv_of(side, row.program, row.words, row.uses_endpoint)
    env = dict(side.env)
    env.update({k: side.fill_in(v) for k, v in row.env.items()})
    p = subprocess.Popen(argv, env=env, cwd=side.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    if row.interrupt_s:
        return stay(p, row, side, env)
    try:
        out, err = p.communicate(row.stdin, timeout=HANG_S)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGKILL)
        p.communicate(timeout=HANG_S)
        return 'HANGS', b'', b''
    if row.keep:
        m = re.search(rb'\b[0-9a-f]{12,16}\b', out)
        side.kept[row.keep] = m.group(0).decode() if m else 'none'
    return p.returncode, out, err


def lines_of(prefix, text):
    return ''.join(f'{prefix}|{line}\n' for line in text.split('\n')) if text else ''


def view(side, row, result, keep_logs):
    """The comparable form of a result.  keep_logs: both sides are one program, so its log counts too."""
    rc, out, err = result
    if '!' in row.marks:
        return f'rc {rc}\n'
    out, err = out.decode('utf-8', 'replace'), err.decode('utf-8', 'replace')
    err = LOG_LINE.sub(log_facts if keep_logs else '', err)
    out, err = side.mask(out), side.mask(err)
    if '?' in row.marks:
        out, err = help_shape(out), help_shape(err)
    if '%' in row.marks:
        err = ''
    if '~' in row.marks:
        out, err = NUMBER.sub('N', out), NUMBER.sub('N', err)
    return f'rc {rc}\n' + lines_of(1, out) + lines_of(2, err)


POOL = concurrent.futures.ThreadPoolExecutor(2)


def run_row(sides, row, keep_logs):
    """(views of both sides, exit status of the second, which is the reference)."""
    results = list(POOL.map(lambda s: execute(s, row), sides))
    views = [view(s, row, r, keep_logs) for s, r in zip(sides, results)]
    return views, results[1][0]

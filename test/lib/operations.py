"""docs/operations.md as something to run: its blocks, and a site that they are run on."""
import collections
import pathlib
import re
import time

from cairn_test import ROOT
from machines import ADDRESSES, ADMIN, Site

PAGE = ROOT / 'docs' / 'operations.md'
MEMBERS = ('m1', 'm2', 'm3')
HANG_S = 120

Block = collections.namedtuple('Block', 'section number mark text')


def read(path=PAGE):
    """All blocks of shell, in order; every block belongs to the heading above it."""
    blocks, section, mark, lines = [], '', None, []
    for line in pathlib.Path(path).read_text().splitlines():
        if mark is None and line.startswith('#'):
            section = line.lstrip('#').strip()
        elif mark is None and line.startswith('```'):
            m = re.fullmatch(r'```sh (all|admin|m[1-4])', line)
            assert m, f'{section}: a block must be marked with where it runs: {line}'
            mark, lines = m.group(1), []
        elif mark is not None and line.startswith('```'):
            number = sum(b.section == section for b in blocks)
            blocks.append(Block(section, number, mark, '\n'.join(lines)))
            mark = None
        elif mark is not None:
            lines.append(line)
    assert mark is None, f'{section}: a block without an end'
    return blocks


def for_member(text, name):
    """m1's commands with the name and the addresses of another; what lists all members stays."""
    if name == 'm1':
        return text
    keep = r'm1=https://10\.0\.0\.1:2380'
    text = re.sub(keep, '\0', text)
    text = re.sub(r'\bm1\b', name, text)
    text = re.sub(r'\b10\.0\.0\.1\b', ADDRESSES[name], text)
    return text.replace('\0', 'm1=https://10.0.0.1:2380')


class Run:
    """The page on machines.  members: those that `all` means."""

    def __init__(self, t, names=MEMBERS):
        self.t = t
        self.page = read()
        self.site = Site(t, names)
        self.members = list(names)
        self.prelude = next(b for b in self.page if b.section == 'Operations').text

    def section(self, title, count):
        """Its blocks; the test knows how many there are and what is between them."""
        blocks = [b for b in self.page if b.section == title]
        assert len(blocks) == count, f'"{title}" has {len(blocks)} blocks, the test knows {count}: {blocks}'
        return blocks

    def at(self, name, text, ok=True, cwd='/srv'):
        if name == ADMIN:
            text = f'{self.prelude}\n{text}'
        return self.site[name].sh(text, ok=ok, cwd=cwd)

    def admin(self, text, ok=True):
        return self.at(ADMIN, text, ok)

    def run(self, block, on=None, cwd='/srv'):
        """Where its mark says; on: m1's block on these, all at the same time.  What the (last) machine printed."""
        print(f'   {block.section} {block.number + 1} ({block.mark}{" as " + ",".join(on) if on else ""})', flush=True)
        names = on or (self.members if block.mark == 'all' else [block.mark])
        outs = self.site.everywhere(
            lambda m: self.at(m.name, for_member(block.text, m.name) if on else block.text, cwd=cwd), names)
        return outs[-1][0]

    def start_all(self):
        """Install, certificates, first start: what every test begins with."""
        install, = self.section('Install', 1)
        self.run(install, cwd=str(ROOT))
        self.site[ADMIN].sh('make install PREFIX=/usr', cwd=str(ROOT))
        make, member, client = self.section('Certificates', 3)
        self.run(make)
        self.run(member, on=self.members)
        self.run(client)
        settings, start = self.section('The first start', 2)
        self.run(settings, on=self.members)
        self.run(start)
        self.admin('cairnctl put /registry/one 1; cairnctl endpoint health --cluster')

    @staticmethod
    def settle():
        """Members are changed on clusters whose members have been connected for five seconds (the page says so)."""
        time.sleep(6)

    def wait_healthy(self):
        end = time.monotonic() + HANG_S
        while True:
            out, err, rc = self.admin('cairnctl endpoint health --cluster', ok=False)
            if rc == 0:
                return
            assert time.monotonic() < end, out + err
            time.sleep(0.2)

    def member_names(self):
        return sorted(line.split(', ')[2] for line in self.admin('cairnctl member list')[0].splitlines())

    def assert_equal(self):
        """All members have the same contents once they are where the first one is."""
        end = time.monotonic() + HANG_S
        while True:
            out = self.admin('cairnctl endpoint hashkv --cluster')[0]
            if len({line.split(', ')[1] for line in out.splitlines()}) == 1:
                return
            assert time.monotonic() < end, out
            time.sleep(0.2)

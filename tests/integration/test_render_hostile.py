"""Templates that are meant to do harm, or are merely strange: the first are refused with their
place, in little memory and with nothing written; the second come out byte for byte."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys
from typing import Callable, Mapping, Optional

import pytest
import rig

# What a run may take at its peak: the largest template that is read has 16 MiB, and stands in
# memory with its result, the marked text, and copies of them while they grow or are parsed.
PEAK_MIB = 160

# What a run may take of a processor, lest something quadratic goes on for hours.
CPU_S = 20

MIB = 1 << 20
LIMIT = 16 * MIB

# The program's peak, asked of the kernel by a small process: the peak of a child counts from the
# fork, when its pages are still the parent's, and pytest has many.
MEASURE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
_, status, usage = os.wait4(os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ), 0)
with open(sys.argv[2], "w") as file:
    file.write(str(usage.ru_maxrss // 1024))
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What came of one template."""

    status: int
    stderr: str
    peak_mib: int
    result: Optional[bytes]  # None: nothing was written

    def faults(self, template: pathlib.Path) -> list[tuple[int, int, str]]:
        """Return line, column and message of each fault; there is no other word of the template."""
        found = re.findall(
            rf"^\S+ error +render: {re.escape(str(template))}:(\d+):(\d+): (.+)$",
            self.stderr,
            re.MULTILINE,
        )
        return [(int(line), int(column), message) for line, column, message in found]


def render(
    template: pathlib.Path, content: bytes, env: Optional[Mapping[str, str]] = None
) -> Rendering:
    """Write the template and render it to a folder of its own."""
    template.write_bytes(content)
    target = template.parent / "target"
    target.mkdir()
    report = template.parent / "peak"
    argv = [str(rig.sparkpod_binary()), "render", str(template), str(target / "result")]
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, str(CPU_S), str(report), *argv],
        env={**rig.base_env(), "VALUE": "a value", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    results = list(target.iterdir())
    assert [path.name for path in results] in ([], ["result"]), "more than the result is there"
    return Rendering(
        run.returncode,
        run.stderr.decode(errors="replace"),
        int(report.read_text()),
        results[0].read_bytes() if results else None,
    )


def document(inner: bytes) -> bytes:
    """Put something into a Hadoop configuration, on its second line."""
    return b"<configuration>\n" + inner + b"\n</configuration>\n"


def filled(start: bytes, filling: bytes, end: bytes) -> bytes:
    """Fill up with copies to just below what is read."""
    return start + filling * ((LIMIT - len(start) - len(end)) // len(filling)) + end


PLAIN = document(b"<property><name>a</name><value>${VALUE}</value></property>")


# --- refused -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Refused:
    """A template, and where and how its first fault is told."""

    make: Callable[[], bytes]
    line: int
    column: Optional[int]  # None: that of whatever the parser stopped at
    message: str  # a pattern


def declared(encoding: str) -> bytes:
    """Return a document that says it is in this encoding."""
    return f'<?xml version="1.0" encoding="{encoding}"?>\n'.encode() + PLAIN


def doctype(subset: str, content: str = "") -> bytes:
    """Return a document with these declarations."""
    head = f"<!DOCTYPE configuration [{subset}]>\n"
    return (head + f"<configuration>{content}</configuration>\n").encode()


def billion_laughs() -> bytes:
    """Ten entities, each ten times the one before."""
    laughs = ['<!ENTITY lol0 "lol">']
    laughs += [f'<!ENTITY lol{i} "{f"&lol{i - 1};" * 10}">' for i in range(1, 10)]
    return doctype("\n".join(laughs), "&lol9;")


DOCTYPE = r"DOCTYPE"
BYTES = r"cannot hold this byte"
TOO_MUCH = r"."

REFUSED: dict[str, Refused] = {
    "doctype": Refused(lambda: b"<!DOCTYPE configuration>\n" + PLAIN, 1, 1, DOCTYPE),
    "doctype_with_external_subset": Refused(
        lambda: b'<!DOCTYPE configuration SYSTEM "file:///etc/passwd">\n' + PLAIN, 1, 1, DOCTYPE
    ),
    "doctype_further_down": Refused(
        lambda: b'<?xml version="1.0"?>\n<!-- first -->\n  <!DOCTYPE configuration>\n' + PLAIN,
        *(3, 3, DOCTYPE),
    ),
    "external_entity": Refused(
        lambda: doctype('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"), 1, 1, DOCTYPE
    ),
    "parameter_entity": Refused(
        lambda: doctype('<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;'), 1, 1, DOCTYPE
    ),
    "billion_laughs": Refused(billion_laughs, 1, 1, DOCTYPE),
    "quadratic_blow_up": Refused(
        lambda: doctype(f'<!ENTITY a "{"a" * MIB}">', "&a;" * 100_000), 1, 1, DOCTYPE
    ),
    "entity_without_doctype": Refused(lambda: document(b"<a>&nbsp;</a>"), 2, None, "nbsp"),
    "reference_to_nul": Refused(lambda: document(b"<a>&#0;</a>"), 2, None, "."),
    "utf_16_le_with_bom": Refused(
        lambda: b"\xff\xfe" + PLAIN.decode().encode("utf-16-le"), 1, 1, "UTF-8"
    ),
    "utf_16_be_with_bom": Refused(
        lambda: b"\xfe\xff" + PLAIN.decode().encode("utf-16-be"), 1, 1, "UTF-8"
    ),
    "utf_16_le_without_bom": Refused(
        lambda: PLAIN.decode().encode("utf-16-le"), 1, 2, "UTF-8|control character"
    ),
    "utf_32_with_bom": Refused(
        lambda: b"\xff\xfe\0\0" + PLAIN.decode().encode("utf-32-le"), 1, 1, "UTF-8"
    ),
    "declared_utf_16": Refused(lambda: declared("UTF-16"), 1, None, "UTF-8"),
    "declared_latin_1": Refused(lambda: declared("ISO-8859-1"), 1, None, "UTF-8"),
    "declared_utf_7": Refused(lambda: declared("UTF-7"), 1, None, "UTF-8|encoding"),
    "in_utf_7": Refused(
        lambda: b'<?xml version="1.0" encoding="UTF-7"?>\n+ADw-configuration/+AD4-',
        *(1, None, "UTF-8|encoding"),
    ),
    "in_ebcdic": Refused(
        lambda: ('<?xml version="1.0" encoding="IBM037"?>' + PLAIN.decode()).encode("cp037"),
        *(1, None, "UTF-8|encoding"),
    ),
    "latin_1_unsaid": Refused(lambda: document(b"<a>\xe9</a>"), 2, 4, BYTES),
    "depth_100000": Refused(
        lambda: b"<a>" * 100_000 + b"</a>" * 100_000, 1, None, "(?i)deep|depth|nested"
    ),
    "depth_100000_unclosed": Refused(lambda: b"<a>" * 100_000, 1, None, "(?i)deep|depth|nested"),
    "16_mib_of_elements_without_a_root": Refused(
        lambda: filled(b"", b"<a/>", b""), 1, None, TOO_MUCH
    ),
    "16_mib_of_one_attribute": Refused(
        lambda: filled(b'<configuration a="', b"x", b'"/>'), 1, None, TOO_MUCH
    ),
    "100000_attributes": Refused(
        lambda: b"<configuration "
        + b" ".join(b'a%d="x"' % number for number in range(100_000))
        + b"/>",
        *(1, None, TOO_MUCH),
    ),
    "a_million_placeholders": Refused(
        lambda: document(b"${VALUE}\n" * 1_000_000), 0, 1, "VALUE .*placeholders"
    ),
    "a_million_unset_placeholders": Refused(
        lambda: document(b"${UNSET}\n" * 1_000_000), 2, 1, "UNSET is not set"
    ),
    "an_unclosed_placeholder_of_16_mib": Refused(
        lambda: filled(b"<configuration>\n${UNSET:-", b"x", b"\n</configuration>"),
        *(2, 1, "UNSET: the placeholder has no }"),
    ),
    "16_mib_of_unclosed_placeholders": Refused(
        lambda: filled(b"<configuration>\n", b"${UNSET:-", b"\n</configuration>"),
        *(2, 1, "UNSET: the placeholder has no }"),
    ),
    "xml_1_1": Refused(lambda: b'<?xml version="1.1"?>\n' + PLAIN, 1, None, "1\\.0"),
    "nul_in_text": Refused(lambda: document(b"<a>text\0</a>"), 2, 8, BYTES),
    "nul_in_an_attribute": Refused(lambda: document(b'<a b="\0"/>'), 2, 7, BYTES),
    "nul_at_the_end": Refused(lambda: PLAIN + b"\0", 4, 1, BYTES),
    "declaration_on_line_2": Refused(
        lambda: b'\n<?xml version="1.0"?>\n' + PLAIN, 2, None, "declaration"
    ),
    "declaration_behind_a_blank": Refused(
        lambda: b' <?xml version="1.0"?>\n' + PLAIN, 1, None, "declaration"
    ),
    "declaration_twice": Refused(
        lambda: b'<?xml version="1.0"?>\n<?xml version="1.0"?>\n' + PLAIN, 2, None, "declaration"
    ),
    "nothing": Refused(lambda: b"", 1, 1, "empty"),
}


def check_refused(
    rendering: Rendering, template: pathlib.Path, line: int, column: Optional[int], message: str
) -> None:
    """Assert that the first fault is this one, and what holds for every refusal."""
    assert rendering.status == 65, (rendering.status, rendering.stderr[:1000])
    assert rendering.result is None
    faults = rendering.faults(template)
    assert faults, rendering.stderr[:1000]
    assert line in (0, faults[0][0]), faults[0]
    assert column in (None, faults[0][1]), faults[0]
    assert re.search(message, faults[0][2]), faults[0]
    assert max(len(text) for text in rendering.stderr.splitlines()) < 1500
    assert len(rendering.stderr) < 2 * MIB
    assert re.search(r"\d+ faults? in the templates; nothing was written( \(the first ones are listed\))?\n$", rendering.stderr)
    assert rendering.peak_mib < PEAK_MIB


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_document_is_refused_at_its_place_in_little_memory(
    work: pathlib.Path, name: str
) -> None:
    case = REFUSED[name]
    rendering = render(work / "hive-site.xml", case.make())
    check_refused(rendering, work / "hive-site.xml", case.line, case.column, case.message)


@pytest.mark.parametrize("name", ["hive-site.xml", "spark-defaults.conf", "text.txt"])
def test_what_is_over_16_mib_is_refused_whatever_it_is(work: pathlib.Path, name: str) -> None:
    template = work / name
    rendering = render(template, b" " * (LIMIT + 1))
    assert rendering.status in (65, 78)
    assert rendering.result is None
    assert re.search(rf" error +render: {template}\b.* larger than 16 MiB", rendering.stderr)
    assert rendering.peak_mib < PEAK_MIB


@pytest.mark.parametrize("name", ["hive-site.xml", "spark-defaults.conf", "text.txt"])
def test_a_result_over_16_mib_is_refused_however_small_its_template(
    work: pathlib.Path, name: str
) -> None:
    template = work / name
    many = b"${BIG}" * 10_000
    content = document(many) if name.endswith(".xml") else b"a " + many
    rendering = render(template, content, {"BIG": "x" * 100_000})
    check_refused(rendering, template, 0, None, "the result is larger than 16 MiB")


@pytest.mark.parametrize("name", ["spark-defaults.conf", "text.txt"])
def test_placeholders_by_the_million_are_refused_in_other_formats_too(
    work: pathlib.Path, name: str
) -> None:
    template = work / name
    rendering = render(template, b"a ${UNSET}\n" * 1_000_000)
    check_refused(rendering, template, 1, 3, "UNSET is not set")
    assert "1000000 faults in the templates" in rendering.stderr


@pytest.mark.parametrize("name", ["spark-defaults.conf", "text.txt"])
def test_an_unclosed_placeholder_of_16_mib_is_refused_in_other_formats_too(
    work: pathlib.Path, name: str
) -> None:
    template = work / name
    rendering = render(template, filled(b"\na ${UNSET:-", b"x", b"\n"))
    check_refused(rendering, template, 2, 3, "UNSET: the placeholder has no }")


LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "elements": ("a.xml", lambda: filled(b"<configuration>", b"<a/>", b"</configuration>")),
    "lines_of_elements": (
        "a.xml",
        lambda: filled(b"<configuration>", b"<a/>\n", b"</configuration>"),
    ),
    "properties": (
        "a.xml",
        lambda: filled(
            b"<configuration>",
            b"<property><name>a</name><value>b</value></property>\n",
            b"</configuration>",
        ),
    ),
    "text": ("a.xml", lambda: filled(b"<configuration>", b"x", b"</configuration>")),
    "line_ends": ("a.xml", lambda: filled(b"<configuration>", b"\n", b"</configuration>")),
    "references": ("a.xml", lambda: filled(b"<configuration>", b"&amp;", b"</configuration>")),
    "comment": ("a.xml", lambda: filled(b"<configuration><!--", b"x", b"--></configuration>")),
    "comments": ("a.xml", lambda: filled(b"<configuration>", b"<!---->", b"</configuration>")),
    "cdata": ("a.xml", lambda: filled(b"<configuration><![CDATA[", b"x", b"]]></configuration>")),
    "cdata_sections": (
        "a.xml",
        lambda: filled(b"<configuration>", b"<![CDATA[]]>", b"</configuration>"),
    ),
    "instruction": ("a.xml", lambda: filled(b"<?x ", b"x", b"?><configuration/>")),
    "namespaces": (
        "a.xml",
        lambda: b"<configuration "
        + b" ".join(b'xmlns:a%d="x"' % number for number in range(1000))
        + b"/>",
    ),
    "keys": ("a.conf", lambda: filled(b"", b"a b\n", b"")),
    "key": ("a.conf", lambda: filled(b"", b"k", b"")),
    "continuations": ("a.conf", lambda: filled(b"a ", b"\\\n", b"b\n")),
    "escapes": ("a.conf", lambda: filled(b"a ", b"\\u0041", b"\n")),
    "dollars": ("a.txt", lambda: filled(b"", b"$", b"")),
    "literal_placeholders": ("a.txt", lambda: filled(b"", b"${a.b}", b"")),
}


@pytest.mark.parametrize("name", LARGE)
def test_16_mib_of_anything_are_taken_as_they_are_or_refused_in_little_memory(
    work: pathlib.Path, name: str
) -> None:
    file, make = LARGE[name]
    content = make()
    assert len(content) <= LIMIT
    rendering = render(work / file, content)
    if rendering.status == 0:
        assert rendering.result == content
    else:
        assert rendering.status == 65, (rendering.status, rendering.stderr[:1000])
        assert rendering.result is None
        assert rendering.faults(work / file), rendering.stderr[:1000]
    assert rendering.peak_mib < PEAK_MIB


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE configuration [<!ENTITY x SYSTEM "URL">]><configuration>&x;</configuration>',
        '<!DOCTYPE configuration [<!ENTITY % x SYSTEM "URL"> %x;]><configuration/>',
        '<!DOCTYPE configuration SYSTEM "URL"><configuration/>',
        '<!DOCTYPE configuration PUBLIC "x" "URL"><configuration/>',
        '<configuration xmlns:xi="http://www.w3.org/2001/XInclude">'
        '<xi:include href="URL" parse="text"/></configuration>',
        '<?xml-stylesheet type="text/xsl" href="URL"?><configuration/>',
        '<configuration xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="URL"/>',
    ],
)
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_nothing_that_a_document_names_is_read_or_asked_for(
    work: pathlib.Path, content: str, scheme: str
) -> None:
    bait = work / "bait"
    bait.write_text("<!-- caught -->")
    template = work / "hive-site.xml"
    url = f"file://{bait}" if scheme == "file" else "http://127.0.0.1:9/bait"
    template.write_text(content.replace("URL", url))
    run = subprocess.run(
        [*("strace", "-f", "-qq", "-s", "4096", "-o", str(work / "trace")), "--"]
        + [str(rig.sparkpod_binary()), "render", str(template), "-"],
        env=rig.base_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == (65 if "DOCTYPE" in content else 0), run.stderr
    assert "caught" not in run.stdout + run.stderr
    calls = (work / "trace").read_text(errors="replace").splitlines()
    opened = [call for call in calls if re.match(r"\d+ +open", call)]
    assert any(str(template) in call for call in opened)
    assert not [call for call in opened if "bait" in call]
    assert not [call for call in calls if re.match(r"\d+ +(socket|connect)\(", call)]


# --- taken as it is ------------------------------------------------------------------------------

SETTING = "<property><name>a</name><value>${VALUE}</value></property>"

TAKEN: dict[str, str] = {
    "byte_order_mark": f"\ufeff<configuration>{SETTING}</configuration>",
    "byte_order_mark_and_declaration": '\ufeff<?xml version="1.0" encoding="UTF-8"?>\n'
    f"<configuration>{SETTING}</configuration>",
    "crlf": f'<?xml version="1.0"?>\r\n<configuration>\r\n  {SETTING}\r\n</configuration>\r\n',
    "cr_alone": f"<configuration>\r{SETTING}\r</configuration>",
    "no_newline_at_the_end": f"<configuration>{SETTING}</configuration>",
    "blanks_at_the_end": f"<configuration>{SETTING}</configuration> \n\t\n",
    "declarations": "<?xml version='1.0' encoding='utf-8' standalone = \"yes\" ?>"
    f"<configuration>{SETTING}</configuration>",
    "placeholders_in_comments": "<!-- ${UNSET} ${VALUE:?x} $${ ${UNSET:- -->"
    f"<configuration><!--${{VALUE_}}-->{SETTING}<!-- < & > --></configuration><!-- ${{UNSET}} -->",
    "instructions": "<?target ${UNSET} <a> & ?><?empty?>"
    f"<configuration>{SETTING}<?php echo '${{UNSET}}'; ?></configuration>",
    "xi_include": '<configuration xmlns:xi="http://www.w3.org/2001/XInclude">'
    '<xi:include href="file:///etc/hadoop/core-site.xml"><xi:fallback/></xi:include>'
    f"{SETTING}</configuration>",
    "namespaces": '<configuration xmlns="urn:x" xmlns:y="urn:y">'
    f'<y:a y:b="c" b="c"/><z xmlns=""/>{SETTING}</configuration>',
    "empty_elements": f"<configuration><a></a><a/><a /><a\n/><a ></a >{SETTING}</configuration>",
    "attribute_quotes": "<configuration><a b='\"' c=\"'\" d='x' e=\"\" f=''/>"
    f"{SETTING}</configuration>",
    "references": "<configuration><a b='&#65;&#x42;&quot;&apos;&lt;&#10;&#13;&#9;'>"
    f"&#65;&#x1F600;&amp;&lt;&gt;&quot;&apos;&#xd;&#10;</a>{SETTING}</configuration>",
    "blanks_in_tags": "<configuration  a = 'b'\n\tc\r\n=\n'd'  ><e  ></e\n>"
    f"{SETTING}</configuration  >",
    "tabs_and_line_ends_in_attributes": "<configuration a='x\t y\n z\r\n'>"
    f"{SETTING}</configuration>",
    "cdata": "<configuration><a><![CDATA[<b> & ]] > ${not.ours} ]]></a><a><![CDATA[]]></a>"
    f"{SETTING}</configuration>",
    "greater_than": f"<configuration><a b='>'> > </a>{SETTING}</configuration>",
    "other_variables": "<configuration><a>${java.io.tmpdir} ${env.X} ${env:X} ${system:x} $1 $$ $"
    f" ${{}} ${{1}} ${{X-y}}</a>{SETTING}</configuration>",
    "characters_of_every_length": "<configuration><ключ-é>aé€😀\u2028\ufffd\u0085</ключ-é>"
    f"{SETTING}</configuration>",
    "blanks_between_elements": f"\n\n\t <configuration>\t\n {SETTING}\n\n  </configuration>",
    "an_element_in_a_value": "<configuration><property><name>b</name><value> <x/> </value>"
    f"</property>{SETTING}</configuration>",
    "another_root": f"<settings> <name> ${{VALUE}} </name> {SETTING}</settings>",
    "elements_of_all_kinds": "<configuration><property><final>true</final><description> x ${VALUE}"
    f" </description><source>y</source></property>{SETTING}</configuration>",
    "depth_200": f"<configuration>{'<a>' * 200}{'</a>' * 200}{SETTING}</configuration>",
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_document_is_taken_byte_for_byte_but_for_its_values(
    work: pathlib.Path, name: str
) -> None:
    content = TAKEN[name]
    rendering = render(work / "hive-site.xml", content.encode(), {"VALUE": "p&<q>"})
    assert rendering.status == 0, rendering.stderr
    everywhere = name in ("another_root", "elements_of_all_kinds")
    setting = SETTING.replace("${VALUE}", "p&amp;&lt;q&gt;")
    expected = content.replace(SETTING, setting)
    if everywhere:
        expected = content.replace("${VALUE}", "p&amp;&lt;q&gt;")
    assert rendering.result == expected.encode()

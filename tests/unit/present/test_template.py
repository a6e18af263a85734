"""Go templates beyond what the golden files hold."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.errors import Invalid
from tare.present import template
from tare.present.go_format import sprintf
from tare.present.template_functions import FUNCTIONS

VALUE = {"Name": "/c1", "List": ["a", "b"], "Map": {"b": 2, "a": 1}, "Empty": [], "Nothing": None, "N": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{range $i, $v := .List}}{{$i}}{{$v}} {{end}}", "0a 1b "),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}},{{end}}", "a=1,b=2,"),
        ("{{range .List}}{{if eq . `b`}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .List}}{{if eq . `a`}}{{continue}}{{end}}{{.}}{{end}}", "b"),
        ("{{$n := 0}}{{range .List}}{{$n = .}}{{end}}{{$n}}", "b"),
        ("{{with .Empty}}x{{else with .Name}}{{.}}{{else}}y{{end}}", "/c1"),
        ("{{define `x`}}[{{.}}]{{end}}{{range .List}}{{template `x` .}}{{end}}", "[a][b]"),
        ("{{block `y` .N}}<{{.}}>{{end}}", "<3>"),
        ("{{.Nothing}} {{.Map}} {{.List}}", "<no value> map[a:1 b:2] [a b]"),
        ("{{index .Map `a`}} {{index .List 1}} {{len .Map}}", "1 b 2"),
        ("a {{- 1 -}} b", "a1b"),
        ("{{/* nothing */ -}}  x", "x"),
        ("{{slice .Name 1}} {{slice .List 0 1}}", "c1 [a]"),
        ("{{.Name | printf `%s-%d` | len}}", "16"),
        ("{{and 1 0}} {{or 0 `x`}} {{not 0}}", "0 x true"),
        ("{{eq .N 1 2 3}} {{lt 1.5 2.5}} {{ge `b` `a`}}", "true true true"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{html `<a>`}}{{js `'`}}{{urlquery `a b/`}}", "&lt;a&gt;\\'a+b%2F"),
    ],
)
def test_language(text, expected):
    assert template.render(text, VALUE) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{", "unclosed action"),
        ("{{if .Name}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope 1}}", 'function "nope" not defined'),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{.Gone}}", 'map has no entry for key "Gone"'),
        ("{{.Nothing.Gone}}", "nil pointer evaluating interface {}.Gone"),
        ("{{index .List 9}}", "error calling index: index out of range: 9"),
        ("{{len 3}}", "error calling len: len of type int"),
        ("{{eq 1 `a`}}", "incompatible types for comparison"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{`a", "unterminated raw quoted string"),
        ("{{template `gone`}}", 'template "gone" not defined'),
    ],
)
def test_faults(text, words):
    with pytest.raises(Invalid) as caught:
        template.render(text, VALUE)
    assert str(caught.value).startswith("template parsing error: template: :1:")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "values", "expected"),
    [
        ("%5d|%-5d|%05d|%+d|%x|%#X|%o|%b", (42, 42, -42, 42, 255, 255, 8, 5), "   42|42   |-0042|+42|ff|0XFF|10|101"),
        ("%s %q %v %T", ("a", 'b"', ["x", 1], 2), 'a "b\\"" [x 1] int'),
        ("%.2f %6.1f %e %g", (3.14159, 2.5, 1500.0, 1e20), "3.14    2.5 1.500000e+03 1e+20"),
        ("%d", ("a",), "%!d(string=a)"),
        ("%s", (1,), "%!s(int=1)"),
        ("%s", (), "%!s(MISSING)"),
        ("x", (1,), "x%!(EXTRA int=1)"),
        ("%", (), "%!(NOVERB)"),
        ("%*d", (4, 7), "   7"),
        ("%t %c %U %x", (True, 65, 0x1F600, "hi"), "true A U+1F600 6869"),
        ("%.3s|%5s|%-5s|", ("abcdef", "x", "y"), "abc|    x|y    |"),
    ],
)
def test_printf(layout, values, expected):
    assert sprintf(layout, values) == expected


def test_typed_fields_have_zero_values_and_order():
    container = {"Id": "f00", "Mounts": [{"Type": "bind", "Source": "/a", "Destination": "/b", "Mode": "ro", "RW": False}]}
    assert template.render("{{.Mounts}}", container, "container") == "[{bind  /a /b  ro false }]"
    assert template.render("{{.ID}}", container, "container") == "f00"
    assert template.render("{{.Id}}", container, "container") == "f00"
    assert template.render("{{.RestartCount}}{{.Name}}{{.State}}", container, "container") == "0<nil>"


def test_hostile_templates_end():
    for text in ("(" * 20000, "{{" + "(" * 20000 + "1" + ")" * 20000 + "}}", "{{if 1}}" * 5000 + "{{end}}" * 5000):
        with pytest.raises(Invalid):
            template.render("{{" + text if text.startswith("(") else text, VALUE)
    with pytest.raises(Invalid, match="steps"):
        template.render("{{range 100000}}{{range 100000}}x{{end}}{{end}}", VALUE)
    with pytest.raises(Invalid, match="depth"):
        template.render("{{define `x`}}{{template `x` .}}{{end}}{{template `x` .}}", VALUE)
    for text in (
        '{{pad "x" 999999999 0}}',
        '{{pad "x" 0 999999999}}',
        "{{join (split `" + "a" * 9999 + "` ``) `" + "b" * 9999 + "`}}",
        '{{$x := "x"}}' + "{{$x = printf `%s%s` $x $x}}" * 40,
    ):
        with pytest.raises(Invalid, match="longer than"):
            template.render(text, VALUE)
    with pytest.raises(Invalid, match="of output"):
        template.render("{{range 9999}}" + "x" * 9999 + "{{end}}", VALUE)
    assert len(template.render("{{printf `%999999999d` 1}}", VALUE)) < 100


PIECES = ["{{", "}}", ".", "Name", " ", "range", "end", "if", "else", "$x", ":=", "|", "(", ")", "`a`", '"b"', "1", "-", ",", "="]


@given(st.lists(st.sampled_from([*PIECES, *FUNCTIONS]), max_size=25))
def test_any_text_renders_or_is_refused(pieces):
    with contextlib.suppress(Invalid):
        template.render("".join(pieces), VALUE)


@given(st.text(max_size=40))
def test_text_without_actions_is_itself(text):
    if "{{" not in text:
        assert template.render(text, VALUE) == text

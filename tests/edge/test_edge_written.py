"""What lies in the template is what write.py writes, and making it small changes nothing that it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import write
from edge_function import MAX_BYTES, Host
from edge_stack import function_code
from small import small

from image_processor.delivery.url import parameter_names as names


def test_words_and_template_are_up_to_date() -> None:
    source = write.SOURCE.read_text(encoding="utf-8")
    assert write.with_tables(source) == source, "run `make edge`"
    template = write.TEMPLATE.read_text(encoding="utf-8")
    assert write.with_function(template, small(source, write.KEPT)) == template, "run `make edge`"
    assert small(source, write.KEPT) == function_code()


def test_it_is_small_enough() -> None:
    assert len(function_code().encode()) <= MAX_BYTES == write.MOST


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Copies of both files, which write.py writes to."""
    copies = []
    for name in ("SOURCE", "TEMPLATE"):
        file: Path = getattr(write, name)
        copies.append(tmp_path / file.name)
        copies[-1].write_bytes(file.read_bytes())
        monkeypatch.setattr(write, name, copies[-1])
    return copies[0], copies[1]


def test_a_new_word_reaches_the_template(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "ALIASES", {**names.ALIASES, "breadth": "w"})
    before = [file.read_text() for file in files]
    assert write.main() == 0
    assert all("breadth:" in file.read_text().replace("'", "") for file in files)
    monkeypatch.undo()
    assert before == [write.SOURCE.read_text(), write.TEMPLATE.read_text()]


def test_what_is_too_large_is_not_written(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MOST", 9000)
    before = [file.read_text() for file in files]
    assert write.main() == 1
    assert "expected at most 9000 bytes of function, got" in capsys.readouterr().err
    assert [file.read_text() for file in files] == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("// why\nconst  word = 'a  b // c';\n", "const a='a  b // c';\n"),
        ("const long = {field: 1};\nlong.field = long.other;\n", "const a={field:1};\na.field=a.other;\n"),
        ("function first(one) {\n  return one / 2;\n}\n", "function b(a){return a/2}\n"),
        ("const one = /a b[/'] \\/c/g;\nconst two = [/x y/, 1 / 2];\n", None),
        ("const a = 1;\nconst long = 2;\n", "const a=1;\nconst b=2;\n"),
        ("handler(long ? short : other);\n", "handler(a?b:c);\n"),
        ("const go = async one => {\n  await go(one);\n};\n", "const a=async b=>{await a(b)};\n"),
    ],
)
def test_what_small_does(source: str, expected: str | None) -> None:
    assert small(source, ["handler"]) == (
        "const a=/a b[/'] \\/c/g;\nconst b=[/x y/,1/2];\n" if expected is None else expected
    )


def test_small_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="expected JavaScript of ours"):
        small('const text = "double";', [])


def test_the_source_answers_as_what_is_made_of_it(node: Host) -> None:
    source = write.SOURCE.read_text(encoding="utf-8")
    asked = [["a/b", "W=640&fm=jpg&over=x&over=y", 30], ["a", "foo=1", 3], ["a/~w=1,fm=webp.webp", "s=1", 3]]
    answers = [node.each(code, "read", asked) for code in (source, function_code())]
    assert answers[0] == answers[1]
    assert len({str(answer) for answer in answers[0]}) == len(asked)

"""Pages can be read by people with ten years of school, and the linter of prose finds what its rules name."""

from __future__ import annotations

import os
from pathlib import Path

import lint_prose
import prose
import pytest
from prose import CODE, Kind, Text

ROOT = Path(__file__).parents[1]
RULES = lint_prose.Rules.load()
PAGES = prose.pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_easy_to_read(page: Path) -> None:
    assert list(lint_prose.hard_pages([page], RULES)) == []


def test_every_page_of_the_site_is_among_them() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {
        "README.md",
        "CHANGELOG.md",
        "docs/README.md",
        "docs/urls.md",
        "docs/adr/0001-packages-and-import-direction.md",
    } <= names
    assert not [name for name in names if "node_modules" in name]


def test_a_hard_page_is_named_with_its_grade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint_prose, "ROOT", tmp_path)
    page = tmp_path / "hard.md"
    page.write_text(
        "Considerable organisational particularities necessitate extraordinarily meticulous deliberation.\n"
    )
    (found,) = lint_prose.hard_pages([page], RULES)
    assert found.startswith("hard.md:1: expected a reading grade of at most 10, got 46.1")


def test_the_grade_is_flesch_and_kincaids(tmp_path: Path) -> None:
    """Two sentences of three words, with 4 and 3 syllables."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n\nServers read files.\nIt is small.\n\n"
        "| A | table |\n| --- | --- |\n| is | left out |\n\n```\ncode\n```\n"
    )
    assert prose.grade(page) == pytest.approx(0.39 * 3 + 11.8 * 7 / 6 - 15.59)
    page.with_name("empty.md").write_text("```\ncode\n```\n")
    assert prose.grade(page.with_name("empty.md")) == 0


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("The serever starts.", "'serever' is misspelled"),
        ("Whoever reads it.", "'Whoever' (archaic): write 'who, anyone who'"),
        ("The Kitchen renders.", "'Kitchen' (metaphors)"),
        ("In order to start.", "'In order to' (wordy): write 'to'"),
        ("Files, images etc.", "'etc' (tone)"),
        ("It reads the the file.", "'the' is repeated"),
        ("word " * 41, "expected at most 40 words without a stop, got 41"),
    ],
)  # fmt: skip
def test_a_finding_says_what_is_wrong(text: str, finding: str) -> None:
    found = list(lint_prose.check(Text(ROOT / "a.md", 1, Kind.SENTENCES, text), RULES))
    assert any(line.startswith(finding) for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "libvips' wheel reads WebP, AVIF and S3's files.",
        f"{CODE} is the bucket's colour; docs/urls.md and image-processor.toml name it.",
        "That that had had.",
        "word " * 30 + "pause; " + "word " * 30,
        "See /etc/hosts.",
    ],
)
def test_names_and_british_spelling_are_no_findings(text: str) -> None:
    found = list(
        lint_prose.check(Text(ROOT / "a.md", 1, Kind.SENTENCES, text.replace("word word", "word of")), RULES)
    )
    assert found == []


def test_code_of_a_page_is_left_out_and_a_cell_is_not(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Titel\n\nSome `codee`.\n\n```sh\nfoobarr\n```\n\n| Celll |\n| --- |\n| a |\n\n![Pictur](a.png)\n"
    )
    texts = prose.texts_of_page(page)
    unknown = [(text.line, word) for text in texts for word in lint_prose.unknown_words(text.text, RULES)]
    assert unknown == [(1, "Titel"), (9, "Celll"), (13, "Pictur")]


def test_help_errors_and_settings_are_among_the_messages() -> None:
    texts = {text.text for text in prose.messages()}
    assert "Sign the URL with a key that is in use." in texts  # a fix of an error
    assert any(text.startswith(f"{CODE}expected {CODE} for {CODE}") for text in texts)  # a formatted message
    assert "what to do with a file that ends early" in texts  # the description of a setting
    assert any(text.startswith("Print versions, codecs, limits") for text in texts), "the help of a command"
    assert not any(text.startswith("SELECT") for text in texts)
    assert not any("Ports: what the core" in text for text in texts), "a docstring"


def test_docstrings_and_comments_have_no_archaic_words_and_no_metaphors(tmp_path: Path) -> None:
    """Words of code, and names that the dictionary lacks, are no findings in them."""
    source = 'def kitchen():\n    """Whoever asks, `is told` nothing\n    by a serever."""\n    # beside it\n'
    (tmp_path / "a.py").write_text(source)
    found = [(text.line, list(lint_prose.check(text, RULES))) for text in prose.comments(tmp_path)]
    assert [
        (line, finding.partition(":")[0]) for line, (finding, *_) in filter(lambda row: row[1], found)
    ] == [
        (2, "'Whoever' (archaic)"),
        (4, "'beside' (archaic)"),
    ]


@pytest.fixture
def studio() -> None:
    if not prose.can_read_studio():
        missing = (
            "Node.js or the studio's tools are missing: ITS TEXTS WERE NOT READ (npm ci --prefix studio)"
        )
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


COMPONENT = """
import { Dialog } from "./Some/Module name";
export function Save({ count, isBusy }: Props) {
  if (isBusy === "not a text of it") return null;
  return (
    <Dialog class="wide and dark" aria-label="Save the recip" onClose={() => say("It was savd.")}>
      <h3>Sav <b>all {count}</b> images</h3>
      <p>Set <code>thw=1</code> first, in order to see {isBusy ? "a speling" : "nothing"}.</p>
      <button title={`Closse it, ${count}`}>OK</button>
    </Dialog>
  );
}
export const STATES: Record<string, string> = { queud: "Waitting" };
"""


@pytest.mark.usefixtures("studio")
def test_texts_of_the_studio_are_read_and_its_code_is_not(tmp_path: Path) -> None:
    (tmp_path / "Save.tsx").write_text(COMPONENT)
    texts = list(prose.texts_of_studio(tmp_path))
    assert {text.text for text in texts} == {
        "Save the recip",
        "It was savd.",
        f"Sav all {CODE} images",
        f"Set {CODE} first, in order to see {CODE}.",
        "a speling",
        f"Closse it, {CODE}",
        "OK",
        "Waitting",
    }
    found = sorted({line.partition(" ")[0] for text in texts for line in lint_prose.check(text, RULES)})
    assert found == ["'Closse'", "'Sav'", "'Waitting'", "'in", "'recip'", "'savd'", "'speling'"]
    (line,) = (text.line for text in texts if text.text == "It was savd.")
    assert COMPONENT.splitlines()[line - 1].endswith('say("It was savd.")}>')


@pytest.mark.usefixtures("studio")
def test_the_studio_is_among_what_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {text.text for text in prose.texts_of_studio()}
    assert {"This is not an image.", "Add images", "Try a sample image"} <= texts
    misspelled = Text(ROOT / "studio" / "a.tsx", 1, Kind.MESSAGE, "A misspeled label")
    monkeypatch.setattr(lint_prose, "texts_of_studio", lambda: [misspelled])
    monkeypatch.setattr(lint_prose, "messages", list)
    monkeypatch.setattr(lint_prose, "pages", list)
    assert lint_prose.main([]) == 1


def test_the_command_reports_a_page_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint_prose, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("One.\n\nA misspeled word.\n")
    assert lint_prose.main([str(page)]) == 1
    assert (
        capsys.readouterr().out
        == "page.md:3: 'misspeled' is misspelled, or missing from `field` in docs/prose.toml\n"
    )
    page.with_name("good.md").write_text("A word.\n")
    assert lint_prose.main([str(page.with_name("good.md"))]) == 0

// Prints the texts of the studio that somebody may read, as JSON: file, line and text of each.
//
//     node studio/texts.mjs [FOLDER]
//
// docs/lint_prose.py checks them. The studio's own TypeScript parses the sources, so `npm ci` comes first. Texts are
// what stands between tags, attributes that are shown or read aloud, strings of several words, and labels of one.
// Values and elements within them are \uFFFC.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import ts from "typescript";

const CODE = "\uFFFC";
const SHOWN = new Set(["title", "alt", "label", "placeholder", "aria-label", "aria-description", "note", "hint", "text"]);
const found = [];

function isInCode(node) {
  for (let at = node.parent; at; at = at.parent) {
    if (ts.isJsxElement(at) && ["code", "kbd", "pre"].includes(at.openingElement.tagName.getText())) return true;
  }
  return false;
}

function attributeOf(node) {
  for (let at = node.parent; at && !ts.isJsxElement(at); at = at.parent) {
    if (ts.isJsxAttribute(at)) return at.name.getText();
    if (ts.isBlock(at) || ts.isArrowFunction(at)) return null;
  }
  return null;
}

// Class names, module names, styles and the keys of objects are code; so is what is compared.
function isCode(node) {
  const { parent } = node;
  const attribute = attributeOf(node);
  if (attribute !== null) return !SHOWN.has(attribute);
  return (
    ts.isImportDeclaration(parent) ||
    ts.isExportDeclaration(parent) ||
    ts.isLiteralTypeNode(parent) ||
    ts.isTemplateLiteralTypeNode(parent) ||
    (ts.isPropertyAssignment(parent) && parent.name === node) ||
    (ts.isBinaryExpression(parent) && /^[!=]==?$/.test(parent.operatorToken.getText())) ||
    (ts.isBinaryExpression(parent) && /^style\./.test(parent.left.getText()))
  );
}

function add(source, node, text) {
  const plain = text.replace(/\s+/g, " ").trim();
  if (/[A-Za-z]{2}/.test(plain)) {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    found.push({ file: source.fileName, line: line + 1, text: plain });
  }
}

const templateText = (node) => node.head.text + node.templateSpans.map((span) => CODE + span.literal.text).join("");

const INLINE = new Set(["a", "b", "strong", "em", "i", "small", "span"]);

// An element's words in one text: <b>Save</b> it {when} -> "Save it \uFFFC".
function textOf(element) {
  return element.children
    .map((child) => {
      if (ts.isJsxText(child)) return child.text;
      if (ts.isJsxExpression(child)) return child.expression && ts.isStringLiteral(child.expression) ? child.expression.text : CODE;
      return ts.isJsxElement(child) && INLINE.has(child.openingElement.tagName.getText()) ? textOf(child) : CODE;
    })
    .join("");
}

function visit(source, node) {
  if (ts.isJsxElement(node) && !isInCode(node)) {
    const isPart = ts.isJsxElement(node.parent) && INLINE.has(node.openingElement.tagName.getText());
    const hasText = node.children.some((child) => ts.isJsxText(child) && child.text.trim());
    if (hasText && !isPart && !["code", "kbd", "pre"].includes(node.openingElement.tagName.getText())) {
      add(source, node, textOf(node));
    }
  } else if ((ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) && !isCode(node)) {
    const isShown = attributeOf(node) !== null;
    if (isShown || /\p{L}\S* \S/u.test(node.text) || /^[A-Z][a-z]+$/.test(node.text)) add(source, node, node.text);
  } else if (ts.isTemplateExpression(node) && !isCode(node)) {
    const text = templateText(node);
    if (/[A-Za-z]{2,}[,:.]? ([^ ]+ )*[A-Za-z]{2,}/.test(text)) add(source, node, text);
  }
  ts.forEachChild(node, (child) => visit(source, child));
}

const folder = process.argv[2] ?? join(import.meta.dirname, "src");
for (const entry of readdirSync(folder, { recursive: true }).sort()) {
  if (!/\.tsx?$/.test(entry) || entry.endsWith(".d.ts")) continue;
  const file = join(folder, entry);
  const kind = file.endsWith("x") ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true, kind);
  visit(source, source);
}
process.stdout.write(JSON.stringify(found));

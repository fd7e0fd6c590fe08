// The files of a drop or of the clipboard.
//
// The browser makes many files slowly, each in a talk with its other processes. So a file is taken when it is needed,
// and not by the way.

import { rest } from "./slices";
import type { NamedFile } from "./uploads";

export const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

export const named = (files: Iterable<File>): NamedFile[] =>
  // A folder that was chosen gives each file its path in it.
  [...files].map((file) => ({ key: file.webkitRelativePath || file.name, file }));

// Whether an item is a folder, the browser asks the disk, and the page waits. Folders have no type; of so few items
// all are asked, as the name of a folder may end like that of a picture.
const MAX_ASKED = 100;
// The replies to more would be one long task.
const FILES_AT_ONCE = 50;

// The files of a drop, those in folders with their paths.
export async function dropped(transfer: DataTransfer): Promise<NamedFile[]> {
  // All are taken before the first await: the transfer is emptied after the event.
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const taken = items.map((item) => folderOf(item, items.length) ?? item.getAsFile());
  await rest();
  const found: NamedFile[] = [];
  for (const one of taken) {
    if (one instanceof File) found.push(...named([one]));
    else if (one) found.push(...(await filesOf(one)));
  }
  return found;
}

function folderOf(item: DataTransferItem, among: number): FileSystemDirectoryEntry | null {
  if (item.type && among > MAX_ASKED) return null;
  const entry = item.webkitGetAsEntry?.();
  return entry?.isDirectory ? (entry as FileSystemDirectoryEntry) : null;
}

const isHidden = ({ name }: FileSystemEntry): boolean => name.startsWith(".");

async function filesOf(folder: FileSystemDirectoryEntry): Promise<NamedFile[]> {
  if (isHidden(folder)) return [];
  const found: NamedFile[] = [];
  const entries = (await entriesOf(folder)).filter((entry) => !isHidden(entry));
  const files = entries.filter((entry): entry is FileSystemFileEntry => entry.isFile);
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    found.push(...(await Promise.all(files.slice(at, at + FILES_AT_ONCE).map(fileOf))));
  }
  for (const entry of entries) if (entry.isDirectory) found.push(...(await filesOf(entry as FileSystemDirectoryEntry)));
  return found;
}

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // One call returns only some entries of the folder; an empty list is the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...part);
  }
}

async function fileOf(entry: FileSystemFileEntry): Promise<NamedFile> {
  const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
  return { key: entry.fullPath.replace(/^\//, ""), file };
}

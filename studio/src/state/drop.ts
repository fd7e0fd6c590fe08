// The files of a drop or of the clipboard.

import type { NamedFile } from "./uploads";

export const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

export const named = (files: Iterable<File>): NamedFile[] =>
  // A folder that was chosen gives each file its path in it.
  [...files].map((file) => ({ key: file.webkitRelativePath || file.name, file }));

// The files of a drop, those in folders with their paths.
export async function dropped(transfer: DataTransfer): Promise<NamedFile[]> {
  // Entries must be read before the first await: the transfer is emptied after the event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return named(transfer.files);
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry: FileSystemEntry | undefined): Promise<NamedFile[]> {
  if (!entry || entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ key: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: NamedFile[] = [];
  for (;;) {
    // One call returns only some entries of the folder; an empty list is the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...(await Promise.all(part.map(walk))).flat());
  }
}

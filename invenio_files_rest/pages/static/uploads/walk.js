/** Files of what is dropped or chosen, with the folders that they lie in. */

/**
 * @typedef {object} Found
 * @property {string} path Path of the file, from the folder that was dropped or chosen.
 * @property {File | null} file The file; `null` where it, or the folder that it may be in, cannot be read.
 */

/**
 * Return the entries of what is dropped. It has to be asked before anything is waited for: afterwards it is empty.
 *
 * @param {DataTransfer} transfer
 * @returns {(FileSystemEntry | File)[]}
 */
export function entriesOf(transfer) {
  const found = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.() ?? item.getAsFile();
    if (entry) found.push(entry);
  }
  return found;
}

/**
 * Walk through entries and the folders among them, a folder's files as they come.
 *
 * @param {Iterable<FileSystemEntry | File>} entries
 * @returns {AsyncGenerator<Found>}
 */
export async function* walk(entries) {
  const waiting = [...entries].reverse();
  for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
    if (entry instanceof File) {
      yield { path: entry.webkitRelativePath || entry.name, file: entry };
    } else if (entry.isDirectory) {
      try {
        for await (const inner of inFolder(/** @type {FileSystemDirectoryEntry} */ (entry))) waiting.push(inner);
      } catch {
        yield { path: entry.fullPath, file: null };
      }
    } else {
      yield { path: entry.fullPath, file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)) };
    }
  }
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {AsyncGenerator<FileSystemEntry>}
 */
async function* inFolder(folder) {
  const reader = folder.createReader();
  // A reader gives some at a time, and none after the last.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    yield* some;
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File | null>}
 */
function fileOf(entry) {
  return new Promise((resolve) => entry.file(resolve, () => resolve(null)));
}

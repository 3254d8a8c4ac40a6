/** Where files come from: dropped anywhere on the page, or chosen with a button. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { button } from "./dom.js";
import { entriesOf, walk } from "./walk.js";

/**
 * Make the place where files are dropped and chosen.
 *
 * @param {(files: AsyncIterable<import("./walk.js").Found>) => void} take Function that takes them.
 * @returns {HTMLElement}
 */
export function makeChooser(take) {
  const files = input({ multiple: true }, take);
  const folder = input({ webkitdirectory: true }, take);
  const area = make(
    "div",
    { className: "uploads-drop" },
    make("p", {}, say("uploads_drop")),
    make(
      "p",
      { className: "uploads-buttons" },
      button(say("uploads_choose_files"), () => files.click(), ""),
      // Phones have no folders to choose.
      ...("webkitdirectory" in files ? [button(say("uploads_choose_folder"), () => folder.click())] : []),
    ),
    files,
    folder,
  );
  acceptDrops(area, take);
  return area;
}

/**
 * Make a field for files that nobody sees.
 *
 * @param {Record<string, boolean>} attributes
 * @param {(files: AsyncIterable<import("./walk.js").Found>) => void} take
 */
function input(attributes, take) {
  const made = make("input", { type: "file", hidden: true, "aria-label": say("uploads_choose_files"), ...attributes });
  made.addEventListener("change", () => {
    const chosen = [...(made.files ?? [])];
    // So that choosing the same one again is a change.
    made.value = "";
    if (chosen.length > 0) take(walk(chosen));
  });
  return made;
}

/**
 * Take what is dropped anywhere on the page: a browser would leave the page, and its uploads, to show the file.
 *
 * @param {HTMLElement} area What shows that something can be dropped.
 * @param {(files: AsyncIterable<import("./walk.js").Found>) => void} take
 */
function acceptDrops(area, take) {
  let timer = 0;
  const leave = () => area.classList.remove("is-over");
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    area.classList.add("is-over");
    clearTimeout(timer);
    // There is one every now and then for as long as it lasts, and no sure sign of its end.
    timer = setTimeout(leave, 500);
  });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    clearTimeout(timer);
    leave();
    const entries = entriesOf(event.dataTransfer);
    if (entries.length > 0) take(walk(entries));
  });
}

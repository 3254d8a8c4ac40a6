/** Where files come from: dropped anywhere on the page, or chosen with a button. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { button, fileField } from "./dom.js";
import { entriesOf, walk } from "./walk.js";

/**
 * Make the place where files are dropped and chosen.
 *
 * @param {(files: AsyncIterable<import("./walk.js").Found>) => void} take Function that takes them.
 * @returns {HTMLElement}
 */
export function makeChooser(take) {
  const takeChosen = (/** @type {File[]} */ chosen) => take(walk(chosen));
  const files = fileField(say("uploads_choose_files"), { multiple: true }, takeChosen);
  const folder = fileField(say("uploads_choose_folder"), { webkitdirectory: true }, takeChosen);
  const area = make(
    "div",
    { className: "uploads-drop" },
    make("p", {}, say("uploads_drop")),
    make(
      "p",
      { className: "uploads-buttons" },
      button(say("uploads_choose_files"), () => files.field.click(), ""),
      // Phones have no folders to choose.
      ...("webkitdirectory" in files.field ? [button(say("uploads_choose_folder"), () => folder.field.click())] : []),
    ),
    files.element,
    folder.element,
  );
  acceptDrops(area, take);
  return area;
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

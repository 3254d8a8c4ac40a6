/** Elements that change while one looks at them. */

import { make } from "../dom.js";

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {string} [className]
 */
export function button(text, onclick, className = "plain") {
  return make("button", { type: "button", className, textContent: text, onclick });
}

/**
 * Set the text of a node where it is another one: what does not change is not read out, and costs nothing.
 *
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Make a field for files that nobody sees: a button opens it.
 *
 * @param {string} label
 * @param {Record<string, boolean>} properties
 * @param {(files: File[]) => void} take Function that takes what is chosen.
 */
export function fileField(label, properties, take) {
  const field = make("input", { type: "file", ...properties });
  field.addEventListener("change", () => {
    const chosen = [...(field.files ?? [])];
    // So that choosing the same one again is a change.
    field.value = "";
    if (chosen.length > 0) take(chosen);
  });
  return { field, element: make("label", { hidden: true }, label, field) };
}

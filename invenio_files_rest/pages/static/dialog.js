// Questions, in the page's own dialogs: the browser keeps the focus in them, and gives it back.

import { make } from "./dom.js";
import { say } from "./messages.js";

let number = 0;

/**
 * Ask something, and do what follows from it. The dialog stays open, with the message, where that is refused.
 * @template T
 * @param {{title: string, text?: string, fields?: HTMLElement[], submit: string, danger?: boolean,
 *   run: (form: HTMLFormElement) => Promise<T>}} question
 * @returns {Promise<T | null>} What `run` returns, or throws if the dialog was closed before; `null` if it was cancelled.
 */
export function ask({ title, text = "", fields = [], submit, danger = false, run }) {
  const id = `dialog-${++number}`;
  const message = make("p", { className: "bad", role: "alert" });
  const cancel = make("button", { type: "button", className: "plain", textContent: say("cancel") });
  const go = make("button", { type: "submit", className: danger ? "danger" : "", textContent: submit });
  const form = make(
    "form",
    { method: "dialog" },
    make("h2", { id, textContent: title }),
    ...(text ? [make("p", { textContent: text })] : []),
    ...fields,
    message,
    make("div", { className: "buttons" }, cancel, go),
  );
  const dialog = make("dialog", { "aria-labelledby": id }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    /** @type {Promise<T> | null} */
    let running = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      message.textContent = "";
      try {
        running = run(form);
        await running;
        dialog.close();
      } catch (error) {
        // What was refused can be sent again.
        if (dialog.open) running = null;
        if (!(error instanceof Error)) throw error;
        message.textContent = error.message;
      }
      go.disabled = false;
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      // What has begun goes on, whoever closes the dialog meanwhile.
      resolve(running);
    });
    dialog.showModal();
    const first = form.querySelector("input");
    (first ?? (danger ? cancel : go)).focus();
    first?.select();
  });
}

/**
 * Make a labelled field of text for a dialog.
 * @param {string} name
 * @param {string} label
 * @param {string} value
 * @param {string} help What to write into it.
 * @returns {HTMLElement}
 */
export function field(name, label, value, help) {
  const id = `field-${++number}`;
  const input = make("input", { id, name, value, autocomplete: "off", "aria-describedby": `${id}-help` });
  const small = make("small", { id: `${id}-help`, textContent: help });
  return make("p", {}, make("label", { for: id, textContent: label }), input, small);
}

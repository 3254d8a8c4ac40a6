// The list of files: what is chosen in it, and what is done with that.

import { ApiError, errorOf } from "./api.js";
import { ask, field } from "./dialog.js";
import { make } from "./dom.js";
import { say } from "./messages.js";
import { complain, tell } from "./notices.js";
import { each, move, objectsIn, place, remove, restore } from "./objects.js";
import { localize } from "./times.js";

const PARTS = ["listing", "usage", "room", "versions"];

/** @type {HTMLInputElement | null} */
let last = null;

/** Have the list do what scripts can do. */
export function mountListing() {
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || !box.closest("#selection")) return;
    if ("every" in box.dataset) for (const one of boxes()) one.checked = box.checked;
    if (box.name === "key" || "every" in box.dataset) showChosen();
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const box = event.target;
    if (box instanceof HTMLInputElement && box.name === "key") chooseRange(box, event.shiftKey);
    const button = event.target.closest("#listing [data-do]");
    if (button instanceof HTMLElement) actions[button.dataset.do]?.(button);
  });
  // The browser may have kept what was chosen.
  showChosen();
}

/** @returns {HTMLInputElement[]} */
const boxes = () => [...document.querySelectorAll("#selection input[name=key]")];

const chosen = () => boxes().filter((box) => box.checked);

/** @param {HTMLInputElement} box @param {boolean} range */
function chooseRange(box, range) {
  const all = boxes();
  if (range && last && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    for (const one of all.slice(from, to + 1)) one.checked = box.checked;
    showChosen();
  }
  last = box;
}

function showChosen() {
  const form = document.getElementById("selection");
  if (!form) return;
  const [all, some] = [boxes(), chosen()];
  const every = form.querySelector("[data-every]");
  every.checked = some.length > 0 && some.length === all.length;
  every.indeterminate = some.length > 0 && some.length < all.length;
  for (const box of all) box.closest("tr").classList.toggle("is-chosen", box.checked);
  form.querySelector("[data-count]").textContent = some.length ? say("chosen", { count: some.length }) : "";
  for (const button of form.querySelectorAll(".toolbar [data-do]")) button.hidden = !some.length;
  const zip = form.querySelector("[data-zip]");
  if (zip) zip.textContent = some.length ? zip.dataset.some : zip.dataset.all;
}

/**
 * Show what is there now, in place: what is chosen stays so, and the focus stays where it is.
 * @returns {Promise<void>}
 */
export async function reload() {
  try {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer) throw new ApiError(0, say("away"));
    // To where one logs in.
    if (answer.redirected) throw new ApiError(401, say("session"));
    if (!answer.ok) throw await errorOf(answer);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const keys = new Set(chosen().map((box) => box.value));
    const focus = focused();
    for (const id of PARTS) {
      const [before, after] = [document.getElementById(id), page.getElementById(id)];
      if (!before || !after) continue;
      localize(after);
      before.replaceWith(document.adoptNode(after));
    }
    for (const box of boxes()) box.checked = keys.has(box.value);
    showChosen();
    focus();
  } catch (error) {
    complain(error);
  }
}

/** Return a function that gives the focus back to what has it now, or to the heading where that is gone. */
function focused() {
  const element = document.activeElement;
  const part = element?.closest(PARTS.map((id) => `#${id}`).join());
  if (!part) return () => {};
  const row = element.closest("tr");
  const selector = (one) => `${one.tagName}${one.dataset.do ? `[data-do="${one.dataset.do}"]` : ""}`;
  const within = row?.dataset.key !== undefined ? row.dataset.key : null;
  const wanted = selector(element);
  return () => {
    const now = document.getElementById(part.id);
    const place = within === null ? now : [...now.querySelectorAll("tr")].find((one) => one.dataset.key === within);
    const found = place?.querySelector(wanted);
    (found instanceof HTMLElement && !found.hidden ? found : now.querySelector("h2"))?.focus();
  };
}

/** @returns {Promise<import("./objects.js").Item[]>} What is chosen, and what is in the folders that are. */
async function chosenObjects() {
  const items = [];
  for (const { dataset } of chosen().map((box) => box.closest("tr"))) {
    if (dataset.version) items.push({ key: dataset.key, url: dataset.url, etag: dataset.etag, version: dataset.version });
    else items.push(...(await objectsIn(dataset.key)));
  }
  return items;
}

/** @param {{item: {key: string}, error: Error}[]} failed */
function complainOf(failed) {
  const [{ item, error }] = failed;
  const text = say("some_failed", { count: failed.length, name: item.key, message: error.message });
  complain(error, failed.length === 1 ? `${item.key}: ${error.message}` : text);
}

const actions = {
  async delete() {
    try {
      const folders = chosen().some((box) => !box.closest("tr").dataset.version);
      const items = await chosenObjects();
      if (folders && !(await confirmFolders(items.length))) return;
      await deleteAll(items);
    } catch (error) {
      complain(error);
    }
  },

  async move() {
    try {
      const names = await ask({
        title: say("move_title"),
        fields: [field("folder", say("move_folder"), place().prefix, say("move_help"))],
        submit: say("move"),
        run: async (form) => {
          const given = new FormData(form).get("folder").replace(/^\/+|\/+$/g, "");
          const folder = given && `${given}/`;
          const items = await chosenObjects();
          const target = ({ key }) => folder + key.slice(place().prefix.length);
          return each(items.filter((item) => target(item) !== item.key), (item) => move(item.key, target(item)));
        },
      });
      if (!names) return;
      await reload();
      if (names.failed.length) complainOf(names.failed);
      else tell(say("moved", { count: names.done.length }));
    } catch (error) {
      complain(error);
    }
  },

  async restore(button) {
    try {
      await restore(button.dataset.url, button.dataset.version, "");
      await reload();
      tell(say("restored", { name: button.dataset.name }));
    } catch (error) {
      complain(error);
    }
  },
};

/** @param {number} count */
function confirmFolders(count) {
  return ask({
    title: say("delete_folders"),
    text: say("delete_folders_text", { count }),
    submit: say("delete"),
    danger: true,
    run: async () => true,
  });
}

/** @param {import("./objects.js").Item[]} items */
async function deleteAll(items) {
  const stop = new AbortController();
  const button = make("button", { type: "button", className: "plain", textContent: say("stop") });
  button.addEventListener("click", () => stop.abort());
  const state = make("span");
  const shown = make("p", { className: "message progress", role: "status" }, state, button);
  if (items.length > 20) document.getElementById("listing").prepend(shown);
  const progress = (done) => (state.textContent = say("deleting", { done, count: items.length }));
  const { done, failed } = await each(items, ({ url, etag }) => remove(url, etag), { signal: stop.signal, progress });
  await reload();
  if (failed.length) return complainOf(failed);
  const undo = async () => {
    const again = await each(done, ({ url, version }) => restore(url, version, ""));
    await reload();
    if (again.failed.length) complainOf(again.failed);
  };
  const text = done.length === 1 ? say("deleted", { name: done[0].key }) : say("deleted_many", { count: done.length });
  tell(text, { label: say("undo"), run: undo });
}

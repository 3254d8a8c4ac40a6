// Links for others: to make, to copy, to list and to revoke them.

import { request } from "./api.js";
import { make } from "./dom.js";
import { say } from "./messages.js";
import { complain, tell } from "./notices.js";
import { place, relative } from "./objects.js";
import { local } from "./times.js";

const MINUTE = 60_000;
const DAY = 86_400_000;

/**
 * Have the section of links work.
 * @param {HTMLElement} section
 */
export function mountLinks(section) {
  const form = section.querySelector("form");
  const list = section.querySelector(".link-list");
  // There is none where a link could give nothing.
  if (form) mountForm(section, form, list);
  showAll(list, section.dataset.key).catch(complain);
}

/** @param {HTMLElement} section @param {HTMLFormElement} form @param {HTMLElement} list */
function mountForm(section, form, list) {
  // Until now the browser would have sent the form itself, to the page.
  form.querySelector("button").disabled = false;
  setDates(section, form.elements.namedItem("expires"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify(wanted(section, form));
      const made = await (await request("POST", `${place().api}?links`, { headers, body })).json();
      showNew(section.querySelector(".new-link"), made.url);
      form.elements.namedItem("note").value = "";
      await showAll(list, section.dataset.key);
    } catch (error) {
      complain(error);
    }
    button.disabled = false;
  });
}

/**
 * Have a field take what the server takes: days where links may last for days, else a time.
 * @param {HTMLElement} section
 * @param {HTMLInputElement} input
 */
function setDates(section, input) {
  const isDay = input.type === "date";
  const [usual, most] = [section.dataset.seconds, section.dataset.mostSeconds].map((seconds) => Number(seconds) * 1000);
  // A day ends up to a day after now, and clocks differ a little.
  const last = most - (isDay ? DAY : MINUTE);
  const after = (/** @type {number} */ milliseconds) => {
    const date = new Date(Date.now() + milliseconds);
    return new Date(date.getTime() - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, isDay ? 10 : 16);
  };
  input.min = after(0);
  input.max = after(last);
  input.value = after(Math.min(usual, last));
}

/** @param {HTMLElement} section @param {HTMLFormElement} form */
function wanted(section, form) {
  const given = new FormData(form);
  const isDay = form.elements.namedItem("expires").type === "date";
  const expires = new Date(`${given.get("expires")}${isDay ? "T23:59:59" : ""}`).toISOString();
  const rest = { expires, note: given.get("note") };
  const { key } = section.dataset;
  const version = document.getElementById("file")?.dataset.version;
  switch (given.get("kind")) {
    case "object":
      return { key, ...rest };
    case "version":
      return { key, version_id: version, ...rest };
    case "upload":
      return { prefix: place().prefix, upload: true, ...rest };
    default:
      return { prefix: place().prefix, ...rest };
  }
}

/** @param {HTMLElement} area @param {string} url */
function showNew(area, url) {
  const input = make("input", { value: url, readOnly: true, id: "new-link" });
  const copy = make("button", { type: "button", textContent: say("copy") });
  copy.addEventListener("click", async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(url);
      tell(say("copied"));
    } catch {
      // Browsers have a clipboard for pages over HTTPS alone.
      tell(document.execCommand("copy") ? say("copied") : say("not_copied"));
    }
  });
  const label = make("label", { for: "new-link", textContent: say("link_made") });
  area.replaceChildren(label, make("div", { className: "copied" }, input, copy));
  input.focus();
  input.select();
}

/**
 * @param {HTMLElement} list
 * @param {string} key Of whose object to show links; of all where it is empty.
 */
async function showAll(list, key) {
  const rows = make("tbody");
  const head = ["leads_to", "expires", "note"].map((name) => make("th", { scope: "col", textContent: say(name) }));
  const table = make("table", { className: "files" }, make("thead", {}, make("tr", {}, ...head, make("td"))), rows);
  const none = make("p", { className: "quiet", textContent: say("no_links") });
  const more = make("button", { type: "button", className: "plain", textContent: say("more_links") });
  const show = () => {
    const wanted = rows.childElementCount ? table : none;
    // What has the focus would lose it.
    if (list.firstElementChild !== wanted) list.replaceChildren(wanted, more);
  };
  const load = async (url) => {
    const page = await (await request("GET", url)).json().catch(() => ({ contents: [], links: {} }));
    for (const link of page.contents) if (!key || link.key === key) rows.append(row(link, show));
    show();
    more.hidden = !page.links.next;
    more.onclick = () => load(relative(page.links.next)).catch(complain);
  };
  try {
    await load(`${place().api}?links`);
  } catch (error) {
    // Nobody's links, where one may see one's own alone.
    if (error.status !== 404) throw error;
    more.hidden = true;
    show();
  }
}

/**
 * @param {{kind: string, key?: string, prefix?: string, note: string, expires: string, links: {self: string}}} link
 * @param {() => void} removed Called once its row is gone.
 */
function row(link, removed) {
  const within = link.key ?? link.prefix;
  const name = within ? say(`link_${link.kind}`, { name: within }) : say(`link_whole_${link.kind}`);
  const button = make("button", { type: "button", className: "plain danger", textContent: say("revoke"), "aria-label": say("revoke_link", { name }) });
  const found = make(
    "tr",
    {},
    make("th", { scope: "row", textContent: name }),
    make("td", { textContent: local(link.expires), dataset: { label: say("expires") } }),
    make("td", { className: "note", textContent: link.note, dataset: { label: say("note") } }),
    make("td", { className: "more" }, button),
  );
  button.addEventListener("click", async () => {
    try {
      await request("DELETE", relative(link.links.self));
      const next = found.nextElementSibling ?? found.previousElementSibling;
      found.remove();
      removed();
      (next?.querySelector("button") ?? document.querySelector("#links summary")).focus();
      tell(say("revoked"));
    } catch (error) {
      complain(error);
    }
  });
  return found;
}

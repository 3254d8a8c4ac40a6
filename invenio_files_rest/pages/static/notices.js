// What the page tells whoever uses it: at the bottom, read aloud, and there until it is closed or another one comes.

import { ApiError } from "./api.js";
import { make } from "./dom.js";
import { say } from "./messages.js";

const SECONDS = 12;

const area = make("div", { className: "notices", role: "status", "aria-live": "polite" });
const alerts = make("div", { className: "notices", role: "alert" });
document.body.append(make("div", { className: "notice-area" }, alerts, area));

/** @param {HTMLElement} place @param {HTMLElement} notice */
function show(place, notice) {
  const close = make("button", { type: "button", className: "close", textContent: "×", "aria-label": say("close") });
  close.addEventListener("click", () => notice.remove());
  notice.append(close);
  alerts.replaceChildren();
  area.replaceChildren();
  place.append(notice);
}

/**
 * Tell that something was done.
 * @param {string} text
 * @param {{label: string, run: () => unknown}} [action] What can be done about it.
 */
export function tell(text, action) {
  const notice = make("div", { className: "notice" }, make("span", { textContent: text }));
  if (action) {
    const button = make("button", { type: "button", className: "plain", textContent: action.label });
    button.addEventListener("click", () => {
      notice.remove();
      action.run();
    });
    notice.append(button);
  }
  show(area, notice);
  const end = () => (notice.matches(":hover, :focus-within") ? setTimeout(end, 1000) : notice.remove());
  setTimeout(end, SECONDS * 1000);
}

/**
 * Tell that something was refused or did not work. It stays until it is closed.
 * @param {unknown} error
 * @param {string} [text] What to say instead of its message.
 */
export function complain(error, text) {
  if (!(error instanceof Error)) throw error;
  const notice = make("div", { className: "notice bad" }, make("span", { textContent: text ?? error.message }));
  const login = document.body.dataset.login;
  if (error instanceof ApiError && error.loggedOut && login) {
    notice.append(make("a", { href: login, target: "_blank", rel: "noopener", textContent: say("log_in") }));
  }
  show(alerts, notice);
}

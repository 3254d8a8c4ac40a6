/** What a person decides: about a key that exists, and about another file of the same name. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { local } from "../times.js";
import { button, write } from "./dom.js";
import { number, size } from "./format.js";

const TITLES = {
  exists: "uploads_question_exists",
  appeared: "uploads_question_appeared",
  other: "uploads_question_other",
};

export class Questions {
  /** @param {import("./queue.js").Queue} queue */
  constructor(queue) {
    this.queue = queue;
    /** @type {import("./transfer.js").Transfer | null} */
    this.transfer = null;
    this.title = make("h3", { id: "uploads-question" });
    this.name = make("bdi");
    this.there = make("dd");
    this.here = make("dd");
    this.thereIs = make("dt");
    this.all = make("input", { type: "checkbox", id: "uploads-all" });
    this.allText = make("label", { for: "uploads-all" });
    this.forAll = make("p", { className: "uploads-for-all" }, this.all, this.allText);
    this.replace = button("", () => this.answer("replace"));
    this.beside = button(say("uploads_beside"), () => this.answer("beside"));
    this.skip = button(say("uploads_skip"), () => this.answer("skip"));
    this.note = make("p", { className: "uploads-status" });
    this.element = make(
      "div",
      { className: "uploads-question", role: "group", "aria-labelledby": "uploads-question", tabIndex: -1, hidden: true },
      this.title,
      make("p", { className: "uploads-name" }, this.name),
      make("dl", {}, this.thereIs, this.there, make("dt", {}, say("uploads_yours")), this.here),
      this.note,
      this.forAll,
      make("p", { className: "uploads-buttons" }, this.replace, this.beside, this.skip),
    );
  }

  /** @param {"replace" | "beside" | "skip"} answer */
  answer(answer) {
    if (!this.transfer) return;
    if (this.all.checked && !this.forAll.hidden) this.queue.answerAll(this.transfer, answer);
    else this.queue.answer(this.transfer, answer);
    this.all.checked = false;
    this.queue.changed();
    this.draw();
    // Where there is no other question, its buttons are gone with the focus.
    if (this.element.hidden) this.onanswered();
    else this.element.focus();
  }

  /** Called where no question is left. */
  onanswered = () => {};

  /** Show the first question that is open. */
  draw() {
    const open = this.queue.transfers.filter((transfer) => transfer.state === "asking" && transfer.question);
    const [transfer] = open;
    this.element.hidden = !transfer;
    this.transfer = transfer ?? null;
    if (!transfer?.question) return;
    const { kind, head, remembered } = transfer.question;
    write(this.title, say(TITLES[kind]));
    write(this.name, transfer.key);
    write(this.thereIs, say(kind === "other" ? "uploads_begun" : "uploads_there"));
    const there = remembered
      ? { size: remembered.size, at: remembered.lastModified }
      : { size: head?.size ?? 0, at: head?.updated ?? "" };
    write(this.there, there.at ? `${size(there.size)} · ${local(there.at)}` : "");
    // Not everybody may know that.
    this.there.hidden = this.thereIs.hidden = !there.at;
    write(this.here, transfer.file ? `${size(transfer.size)} · ${local(transfer.file.lastModified)}` : "");
    write(this.replace, say(kind === "other" ? "uploads_instead" : "uploads_replace"));
    write(this.note, say(kind === "other" ? "uploads_note_other" : "uploads_note_versions"));
    // Without conditions, the name beside might be taken, too.
    this.beside.hidden = kind === "other" || !this.queue.place.hasConditions;
    const others = open.filter((other) => other.question?.kind === kind).length - 1;
    this.forAll.hidden = others === 0;
    write(this.allText, say("uploads_for_all", { count: number(others) }));
  }
}

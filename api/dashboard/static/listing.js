/*
 * A list of the API by the page: the newest rows, which follow what happens, and the older ones one asks for.
 *
 * Not followed, it stands still and counts what it does not show, so that one can read in peace.
 */

import { get } from './api.js';
import { h } from './dom.js';
import { plural } from './format.js';
import { downloads, told, toggle } from './parts.js';

export class Listing {
  #tools;
  #query;
  #taken;
  #older = [];
  #next = undefined;
  #busy = false;
  #failed = '';
  following = true;
  missed = 0;

  /** *query* says what is asked for now, *taken* what a download asks for beside it; *name* tells one row from another. */
  constructor(tools, path, { query, taken = {}, kinds = [], name = (row) => row.id, limit = 100 }) {
    this.#tools = tools;
    this.#query = query;
    this.#taken = taken;
    this.path = path;
    this.name = name;
    this.limit = limit;
    this.kinds = kinds;
    this.newest = tools.resource(path, this.#asked(), { kinds });
    tools.listen((event) => {
      if (!this.following && this.kinds.includes(event.kind)) this.missed += 1;
    });
  }

  #asked() {
    return { ...this.#query(), limit: this.limit };
  }

  get items() {
    const seen = new Set(this.newest.items.map(this.name));
    return [...this.newest.items, ...this.#older.filter((row) => !seen.has(this.name(row)))];
  }

  /** What is asked for may have changed. */
  turned() {
    this.#older = [];
    this.#next = undefined;
    this.newest.narrow(this.#asked());
  }

  follow(on) {
    this.following = on;
    this.newest.kinds = new Set(on ? this.kinds : []);
    this.newest.still = !on;
    if (on) {
      this.missed = 0;
      this.newest.refresh();
    }
    this.#tools.update();
  }

  /** The switch that follows, and the downloads. */
  controls() {
    return h('span.aside.buttons-row', null,
      this.missed > 0 && h('button', { type: 'button', onclick: () => this.follow(true) }, `${plural(this.missed, 'change')} since`),
      toggle('Follow', this.following, (on) => this.follow(on)),
      downloads(this.path, { ...this.#query(), ...this.#taken }));
  }

  /** Draw the rows by *rows*, or *none* when there are none; with a button for the older ones. */
  view(what, rows, none) {
    return told(this.newest, what, () => {
      const items = this.items;
      const left = this.#next === undefined ? this.newest.data.next : this.#next;
      return [
        items.length ? rows(items) : none,
        this.#failed && h('p.hint', null, this.#failed),
        left && h('div.more', null, h('button', { type: 'button', disabled: this.#busy, onclick: () => this.#more(left) }, this.#busy ? 'Asking …' : 'Older')),
      ];
    });
  }

  async #more(before) {
    this.#busy = true;
    this.#tools.update();
    try {
      const page = await get(this.path, { ...this.#asked(), before });
      this.#older.push(...page.items);
      this.#next = page.next;
      this.#failed = '';
    } catch (error) {
      this.#failed = error.message;
    }
    this.#busy = false;
    this.#tools.update();
  }
}

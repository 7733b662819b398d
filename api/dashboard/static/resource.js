/*
 * Something the API is asked for, and asked again when it may have changed.
 *
 * The server is the truth: an event only says that it is time to ask again, so a page can never drift away from it.
 * Questions are spaced, one at a time, and a failed one leaves what was known, with the reason and its age.
 */

import { get } from './api.js';

const SPACING_MS = 400;

export class Resource {
  #aborting = null;
  #timer = null;
  #again = false;
  #askedAt = -Infinity;

  /** *kinds* are the events after which to ask again; '*' for every one. */
  constructor(path, query = {}, { kinds = [], changed = () => {}, account } = {}) {
    this.path = path;
    this.query = query;
    this.kinds = new Set(kinds);
    this.changed = changed;
    this.account = account;
    this.data = null;
    this.error = null;
    /** When *data* came, by this computer's clock. */
    this.answeredAt = null;
    this.closed = false;
    /** True for what is to stand still, whatever happens. */
    this.still = false;
  }

  get items() {
    return this.data?.items ?? [];
  }

  /** Ask for something else from now on; what was known of the other is forgotten. */
  narrow(query) {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.query = query;
    this.data = null;
    this.error = null;
    this.answeredAt = null;
    this.refresh({ now: true });
  }

  /** Ask again soon; at once if the last time is long enough ago. */
  refresh({ now = false } = {}) {
    if (this.closed) return;
    if (now) this.#aborting?.abort();
    else if (this.#aborting) {
      this.#again = true;
      return;
    }
    if (this.#timer && !now) return;
    clearTimeout(this.#timer);
    const wait = now ? 0 : Math.max(0, SPACING_MS - (performance.now() - this.#askedAt));
    this.#timer = setTimeout(() => this.#ask(), wait);
  }

  /** An event came. */
  hear(event) {
    if (!this.kinds.has('*') && !this.kinds.has(event.kind)) return;
    if (this.query.account && event.account && event.account !== this.query.account) return;
    this.refresh();
  }

  close() {
    this.closed = true;
    clearTimeout(this.#timer);
    this.#aborting?.abort();
  }

  async #ask() {
    this.#timer = null;
    this.#askedAt = performance.now();
    const aborting = (this.#aborting = new AbortController());
    try {
      const data = await get(this.path, this.query, { signal: aborting.signal });
      if (aborting.signal.aborted) return;
      this.data = data;
      this.error = null;
      this.answeredAt = Date.now();
    } catch (error) {
      if (aborting.signal.aborted) return;
      this.error = error;
    } finally {
      if (this.#aborting === aborting) this.#aborting = null;
    }
    this.changed(this);
    if (this.#again) {
      this.#again = false;
      this.refresh();
    }
  }
}

/*
 * A stream of what happens, kept open for as long as the page is.
 *
 * It goes on after the cursor of the last message, so nothing is missed and nothing told twice; it tries again after a
 * growing pause, and always knows whether it is live and, if not, why and for how long.
 */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** How often a server is to say that it lives. */
export const HEARTBEAT_S = 5;
/** Two of these beats, and a little. */
export const SILENCE_MS = 12_000;
const LOG_IN_AGAIN = 4401;
const NO_USE = new Set([4400, 4403, 4404]);

export class Stream {
  #socket = null;
  #cursor = null;
  #failures = 0;
  #timer = null;
  #silence = null;
  #closed = false;

  state = 'connecting';
  why = '';
  /** When the next attempt is due, by performance.now(). */
  retryAt = null;
  /** When something last came, by this computer's clock: a market's may stand still, or run sixty times as fast. */
  heardAt = null;

  /** *heard* is told every message, *changed* that the state is another, *refused* that one has to log in again. */
  constructor(path, query, { heard, changed, refused = () => {} }) {
    this.path = path;
    this.query = query;
    this.heard = heard;
    this.changed = changed;
    this.refused = refused;
    this.#open();
  }

  get live() {
    return this.state === 'live';
  }

  /** Try now instead of later. */
  retry() {
    if (this.#socket || this.#closed) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#socket?.close();
    this.#socket = null;
  }

  #open() {
    const query = { ...this.query };
    if (this.#cursor) query.cursor = this.#cursor;
    const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
    const origin = location.origin.replace(/^http/, 'ws');
    this.retryAt = null;
    const socket = new WebSocket(`${origin}${this.path}${text ? `?${text}` : ''}`, ['perpetua']);
    this.#socket = socket;
    this.#listen();
    socket.onmessage = ({ data }) => this.#told(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (this.#socket === socket) this.#lost(code, reason);
    };
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const socket = this.#socket;
      this.#lost(1006, 'nothing has come for a while');
      socket?.close();
    }, SILENCE_MS);
  }

  #told(message) {
    this.#listen();
    this.heardAt = Date.now();
    if (message.cursor) this.#cursor = message.cursor;
    if (message.type === 'error') {
      this.why = message.detail;
      return;
    }
    this.#failures = 0;
    this.#become('live', '');
    this.heard(message);
  }

  #lost(code, reason) {
    this.#socket = null;
    clearTimeout(this.#silence);
    if (this.#closed) return;
    const why = reason || this.why || (code === 1006 ? 'the stream cannot be reached' : `closed (${code})`);
    if (code === LOG_IN_AGAIN) {
      this.#become('refused', why);
      this.refused();
      return;
    }
    if (NO_USE.has(code)) {
      this.#become('refused', why);
      return;
    }
    // Spread out, so that a thousand pages do not come back in the same moment.
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.retryAt = performance.now() + pause;
    this.#timer = setTimeout(() => this.#open(), pause);
    this.#become('reconnecting', why);
  }

  #become(state, why) {
    const same = this.state === state && this.why === why;
    this.state = state;
    this.why = why;
    if (!same) this.changed(this);
  }
}

/*
 * What every page shares: who is looking, where everything stands, the streams, and the prices of now.
 *
 * While the stream is live, what has changed is asked for when the stream says so. While it is not, everything on the
 * screen is asked for every few seconds, and the screen says so. Silence is told by this computer's clock.
 */

import { get, Problem } from './api.js';
import { HEARTBEAT_S, SILENCE_MS, Stream } from './live.js';
import { Resource } from './resource.js';
import { clock } from './time.js';

const BEAT_MS = 5_000;
const SLOW_BEAT_MS = 15_000;
const RENEWAL_MS = 300_000;
/** A price that has not moved is told anew all the same. */
export const PRICES_SILENCE_MS = 30_000;
const SAID_MS = 20_000;
const ACCOUNT = 'perpetua.account';

export class House {
  #resources = new Set();
  #listeners = new Set();
  #beating = null;
  #slowly = null;
  #renewing = null;
  #saying = null;

  busy = new Set();
  said = null;
  session = null;
  sessionError = null;
  prices = new Map();
  marketLive = null;
  /** When anything last came from the server, be it that it cannot answer, by this computer's clock. */
  heardAt = null;
  /** When a price last came, by this computer's clock. */
  pricedAt = null;
  trading = null;
  market = null;
  account = localStorage.getItem(ACCOUNT) ?? '';

  constructor(update) {
    this.update = update;
  }

  /** Begin once it is known who is looking. Returns whether they have to log in first. */
  async begin() {
    const signedOut = await this.#whoLooks();
    if (!signedOut) this.#start();
    return signedOut;
  }

  /** Ask anew for everything the page shows. */
  refreshAll() {
    for (const resource of this.#resources) if (!resource.still) resource.refresh();
  }

  /** A resource that lives until it is let go. */
  resource(path, query, options = {}) {
    const resource = new Resource(path, query, {
      ...options,
      changed: () => {
        if (resource.error?.status !== 0) this.heardAt = Date.now();
        if (resource.error?.status === 401) this.signOut(resource.error.message);
        options.changed?.(resource);
        this.update();
      },
    });
    this.#resources.add(resource);
    resource.refresh({ now: true });
    return resource;
  }

  letGo(resource) {
    resource.close();
    this.#resources.delete(resource);
  }

  /** Have *listener* told each event; returns how to stop that. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  choose(account) {
    this.account = account;
    if (account) localStorage.setItem(ACCOUNT, account);
    else localStorage.removeItem(ACCOUNT);
  }

  get live() {
    return (this.trading?.live ?? false) && this.silentSince === null;
  }

  /** Since when nothing has come from the server, if that is too long ago to call anything live; else null. */
  get silentSince() {
    return this.heardAt !== null && Date.now() - this.heardAt > SILENCE_MS ? this.heardAt : null;
  }

  /**
   * Whether the viewer may do what takes *scope*, to an *account* or, without one, to the whole house; the server has
   * the last word.
   */
  may(scope, account) {
    const order = ['read', 'operate', 'admin'];
    if (!this.session) return true;
    const { scope: has, account: only } = this.session;
    return order.indexOf(has) >= order.indexOf(scope) && (!only || only === account);
  }

  /** Say what came of something, until something else is to be said; what went well is taken back after a while. */
  say(text, tone = 'good') {
    clearTimeout(this.#saying);
    this.said = { text, tone };
    if (tone === 'good') this.#saying = setTimeout(() => this.hush(), SAID_MS);
    this.update();
  }

  hush() {
    this.said = null;
    this.update();
  }

  /** Have *deed* done, once at a time under its *name*, and say what came of it: its words, or why it could not be. */
  async perform(name, deed) {
    if (this.busy.has(name)) return;
    this.busy.add(name);
    this.update();
    try {
      this.say(await deed());
    } catch (error) {
      this.say(error.message, 'bad');
    }
    this.busy.delete(name);
    this.refreshAll();
    this.update();
  }

  get accounts() {
    return this.status?.data?.accounts ?? [];
  }

  /** The accounts that are looked at. */
  get chosen() {
    return this.accounts.filter((each) => !this.account || each.account === this.account);
  }

  /** Whether the prices are those of now. */
  get pricesLive() {
    return this.silentSince === null && this.market?.live && this.marketLive?.live !== false && this.pricedAt !== null && Date.now() - this.pricedAt < PRICES_SILENCE_MS;
  }

  config(account) {
    return this.list?.items.find((each) => each.account === account)?.config ?? {};
  }

  /** The newest mark price that anybody has told us. */
  mark(symbol, otherwise = null) {
    return this.prices.get(symbol)?.mark ?? otherwise;
  }

  /** Stop everything: one has to log in again. */
  signOut(why) {
    this.stop();
    this.session = null;
    this.signedOut = { why };
    this.update();
  }

  stop() {
    this.trading?.close();
    this.market?.close();
    clearInterval(this.#beating);
    clearInterval(this.#slowly);
    clearInterval(this.#renewing);
    for (const resource of this.#resources) resource.close();
    this.#resources.clear();
  }

  async #whoLooks() {
    this.signedOut = null;
    try {
      this.session = await get('/session');
      this.sessionError = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.session = null;
      if (error.status === 401) {
        this.signedOut = { why: '' };
        return true;
      }
      this.sessionError = error;
    }
    return false;
  }

  #start() {
    this.status = this.resource('/status', {}, {
      kinds: ['stage', 'account', 'breaker', 'equity', 'position_opened', 'position_closed', 'manage_only', 'models_answer_again'],
      changed: ({ data }) => data && this.#stands(data),
    });
    this.list = this.resource('/accounts', {}, { kinds: ['account', 'breaker', 'stop', 'change', 'equity'] });
    this.ready = this.resource('/health/ready', {}, { kinds: ['stage', 'alert', 'exchange_stream'] });
    this.limits = this.resource('/limits', {}, { kinds: ['stage', 'breaker', 'equity', 'account', 'model_call'] });
    this.alerts = this.resource('/alerts', { standing: true }, { kinds: ['alert'] });
    this.trading = new Stream('/ws/trading-events', { heartbeat: HEARTBEAT_S }, this.#ears((message) => this.#traded(message)));
    this.market = new Stream('/ws/market-data', { heartbeat: HEARTBEAT_S }, this.#ears((message) => this.#priced(message)));
    // No event tells that a service is down, or that a cycle did not come: that is asked for, stream or not.
    this.#beating = setInterval(() => {
      if (this.live) for (const resource of [this.status, this.ready]) resource.refresh();
      else this.refreshAll();
    }, BEAT_MS);
    this.#slowly = setInterval(() => {
      for (const resource of [this.list, this.limits, this.alerts]) resource.refresh();
    }, SLOW_BEAT_MS);
    // A session that asks lasts anew: a page that is left open all day stays signed in.
    if (this.session?.expires) this.#renewing = setInterval(() => this.#askAgain(), RENEWAL_MS);
  }

  #stands({ time, accounts }) {
    clock.hear(time);
    if (this.account && !accounts.some(({ account }) => account === this.account)) this.choose('');
  }

  #ears(heard) {
    return {
      heard: (message) => {
        this.heardAt = Date.now();
        heard(message);
        this.update();
      },
      changed: () => this.update(),
      refused: () => this.#askAgain(),
    };
  }

  async #askAgain() {
    if (await this.#whoLooks()) this.signOut('the session has ended');
  }

  #traded(message) {
    if (message.type === 'snapshot' || message.type === 'resumed') this.refreshAll();
    if (message.type !== 'event') return;
    for (const resource of this.#resources) resource.hear(message);
    for (const listener of this.#listeners) listener(message);
  }

  #priced(message) {
    if (message.type === 'live') this.marketLive = message;
    if (message.type === 'price') {
      this.pricedAt = Date.now();
      this.prices.set(message.symbol, message);
    }
    for (const each of (message.type === 'snapshot' && message.prices) || []) this.prices.set(each.symbol, each);
  }
}

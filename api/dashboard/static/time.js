/*
 * Moments in the viewer's own zone, and how long ago they were.
 *
 * The time is the server's, which may be a market's of another year that runs sixty times as fast: a clock is set by
 * what the server says, and goes on between two sayings at the speed it was seen to go.
 */

import { h } from './dom.js';
import { NOTHING } from './format.js';

const SPEED_NEEDS_MS = 2500;

class MarketClock {
  #first = null;
  #last = null;
  speed = 1;

  /** Hear that the server's time is *iso*. */
  hear(iso) {
    const said = Date.parse(iso);
    if (Number.isNaN(said)) return;
    const heard = { said, at: performance.now() };
    const known = this.#first && heard.at - this.#first.at;
    if (this.#last && Math.abs(said - this.now()) > 60_000 * Math.max(1, this.speed)) this.#first = null;
    if (!this.#first) this.#first = heard;
    else if (known >= SPEED_NEEDS_MS) {
      const seen = (said - this.#first.said) / known;
      this.speed = Math.abs(seen - 1) < 0.2 ? 1 : Math.max(0, seen);
      if (known > 60_000) this.#first = heard;
    }
    this.#last = heard;
  }

  /** The server's time in milliseconds. */
  now() {
    if (!this.#last) return Date.now();
    return this.#last.said + (performance.now() - this.#last.at) * this.speed;
  }
}

export const clock = new MarketClock();

const DAY = 86_400_000;
const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const MINUTE = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DATE = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const DATE_YEAR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** Milliseconds of an ISO moment, or null. */
export function moment(iso) {
  const read = iso ? Date.parse(iso) : NaN;
  return Number.isNaN(read) ? null : read;
}

/** 14:05:09, with the date unless it is today. */
export function timeText(iso, { seconds = true } = {}) {
  const at = moment(iso);
  if (at === null) return NOTHING;
  const text = (seconds ? TIME : MINUTE).format(at);
  const now = clock.now();
  if (DATE_YEAR.format(at) === DATE_YEAR.format(now)) return text;
  return `${(Math.abs(now - at) > 180 * DAY ? DATE_YEAR : DATE).format(at)} ${text}`;
}

/** The same as an element that shows UTC when one points at it. */
export function time(iso, options) {
  const at = moment(iso);
  if (at === null) return NOTHING;
  return h('time', { datetime: new Date(at).toISOString(), title: utc(iso) }, timeText(iso, options));
}

export function day(iso) {
  const at = moment(iso);
  // A day is UTC's: in the viewer's zone its beginning may lie on the day before.
  if (at === null) return NOTHING;
  return new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' }).format(at);
}

export function utc(iso) {
  const at = moment(iso);
  return at === null ? NOTHING : `${new Date(at).toISOString().replace('T', ' ').slice(0, 19)} UTC`;
}

/** 4 s, 3 min, 2 h 10 min, 5 d */
export function span(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NOTHING;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** How long ago *iso* was, by the server's clock; an element that shows the moment when one points at it. */
export function age(iso) {
  const at = moment(iso);
  if (at === null) return NOTHING;
  return h('time', { datetime: new Date(at).toISOString(), title: utc(iso) }, `${span(clock.now() - at)} ago`);
}

/** How long until *iso*. */
export function until(iso) {
  const at = moment(iso);
  if (at === null) return NOTHING;
  return h('time', { datetime: new Date(at).toISOString(), title: utc(iso) }, span(at - clock.now()));
}

/** An ISO 8601 duration as settings are told, in milliseconds; null where it is none. */
export function durationMs(text) {
  const parts = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$/.exec(text ?? '');
  if (!parts) return null;
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

/** The same in words: PT5M → 5 min */
export function duration(text) {
  const read = durationMs(text);
  return read === null ? (text ?? NOTHING) : span(read);
}

/** A moment of this computer's own clock: what is not heard any more is not told by the market's. */
export function wallTime(ms) {
  return TIME.format(ms);
}

const UNITS = [['d', 86_400], ['h', 3_600], ['m', 60], ['s', 1]];

/** The same as settings write it: PT90M → 90m */
export function settingText(text) {
  const parts = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(text ?? '');
  if (!parts) return text ?? '';
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0));
  const all = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
  const [unit, size] = UNITS.find(([, each]) => all % each === 0);
  return `${all / size}${unit}`;
}

/* Positions at the prices of now: what they are worth, and what stands between them and a large loss. */

import { h } from './dom.js';
import { exact, gain, number, percent, price } from './format.js';
import { badge } from './parts.js';

/** What is known of a row of /positions at the price *mark*, or at its own where none is newer. */
export function held(position, mark) {
  const now = number(mark) ?? number(position.mark_price);
  const sign = position.direction === 'SHORT' ? -1 : 1;
  const [quantity, entry] = [Math.abs(number(position.quantity) ?? 0), number(position.entry_price)];
  const { protection } = position;
  const [stop, target, first] = [protection.stop?.price, protection.target?.price, position.first_stop].map(number);
  const gained = now === null || entry === null ? null : (now - entry) * sign;
  const risk = entry === null || first === null ? null : Math.abs(entry - first);
  const away = (level) => (level === null || !now ? null : Math.abs(level - now) / now);
  return {
    ...position, now, sign, stop, target, naked: protection.naked,
    unrealized: gained === null ? number(position.unrealized) : gained * quantity,
    notional: now === null ? null : now * quantity,
    moved: gained === null || !entry ? null : gained / entry,
    /** In multiples of what was risked at first. */
    r: risk ? gained / risk : number(position.r),
    stopAway: away(stop), targetAway: away(target), liquidationAway: away(number(position.liquidation_price)),
    /** What the account has less, or more, than now if the stop is hit at its price. */
    atStop: stop === null || now === null ? null : (stop - now) * quantity * sign,
    /** What the whole trade then ends with, before costs. */
    endsWith: stop === null || entry === null ? null : (stop - entry) * quantity * sign,
  };
}

export function protectionBadge(each) {
  if (each.naked) return badge(each.stop === null ? 'Naked: no stop' : 'Stop too small', 'bad', 'no stop of its full size rests at the exchange');
  return badge(each.target === null ? 'Stop only' : 'Stop and target', 'good', 'resting at the exchange');
}

/** Stop, entry, the price of now and target, in their places. */
export function spanLine(each) {
  const { stop, target, now } = each;
  const entry = number(each.entry_price);
  const known = [stop, entry, now, target].filter((point) => point !== null);
  if (known.length < 2 || now === null || entry === null) return null;
  const low = Math.min(...known);
  const width = Math.max(...known) - low || 1;
  const place = (value) => {
    const share = (value - low) / width;
    return 4 + 92 * (each.sign > 0 ? share : 1 - share);
  };
  const [from, to] = [place(entry), place(now)].sort((a, b) => a - b);
  const words = [stop !== null && `stop ${price(stop)}`, `entry ${price(entry)}`, `now ${price(now)}`, target !== null && `target ${price(target)}`].filter(Boolean).join(', ');
  return h('div.span-line', { role: 'img', 'aria-label': words, title: words },
    h('span.rail'),
    h('span.part', { class: each.unrealized >= 0 ? 'gain' : 'loss', style: { left: `${from}%`, width: `${to - from}%` } }),
    stop !== null && h('span.tick.stop', { style: { left: `${place(stop)}%` } }),
    h('span.tick.entry', { style: { left: `${place(entry)}%` } }),
    target !== null && h('span.tick.target', { style: { left: `${place(target)}%` } }),
    h('span.now', { style: { left: `${place(now)}%` } }));
}

/** A level with how far away it is. */
export function level(value, away) {
  if (number(value) === null) return '–';
  return [exact(value), away !== null && h('small', null, `${percent(away)} away`)];
}

export function profit(each) {
  return [gain(each.unrealized), each.moved !== null && h('small', null, gain(each.moved, percent(each.moved)))];
}

/** +1.2 R: so many times what was risked. */
export function multiple(value) {
  const read = number(value);
  return read === null ? '–' : gain(read, `${read > 0 ? '+' : read < 0 ? '−' : ''}${Math.abs(read).toFixed(2)} R`);
}

export function total(all, name) {
  return all.reduce((sum, each) => sum + (each[name] ?? 0), 0);
}

/* Positions at the prices of now: what they are worth, and what stands between them and a large loss. */

import { h } from './dom.js';
import { exact, gain, number, percent, price } from './format.js';
import { badge } from './parts.js';

/** What is known of *position*: profit at the newest price, protection, and how far away everything is. */
export function held(position, orders, mark) {
  const now = number(mark) ?? number(position.mark_price);
  const sign = position.direction === 'SHORT' ? -1 : 1;
  const [quantity, entry] = [Math.abs(number(position.quantity) ?? 0), number(position.entry_price)];
  const stop = nearest(position, orders, 'stop', sign);
  const target = nearest(position, orders, 'target', sign);
  const unrealized = now === null || entry === null ? number(position.unrealized) : (now - entry) * quantity * sign;
  const away = (level) => (number(level) === null || !now ? null : Math.abs(number(level) - now) / now);
  return {
    ...position, now, sign, stop, target, unrealized,
    notional: now === null ? null : now * quantity,
    moved: entry && now !== null ? ((now - entry) / entry) * sign : null,
    stopAway: away(stop?.price), targetAway: away(target?.price), liquidationAway: away(position.liquidation_price),
    /** What the account has less, or more, than now if the stop is hit at its price. */
    atStop: stop && now !== null ? (number(stop.price) - now) * quantity * sign : null,
    /** What the whole trade then ends with, before costs. */
    endsWith: stop && entry !== null ? (number(stop.price) - entry) * quantity * sign : null,
    naked: position.protection?.naked ?? !stop,
  };
}

const LIVING = new Set(['NEW', 'PARTIALLY_FILLED']);

function nearest(position, orders, leg, sign) {
  const told = position.protection?.[leg];
  if (told) return { price: told.stop_price ?? told.price, order: told.client_order_id, since: told.since };
  const found = orders.filter((order) => order.account === position.account && order.symbol === position.symbol
    && order.direction === position.direction && order.leg === leg && LIVING.has(order.state) && order.stop_price !== null);
  // Of several stops the one that is hit first.
  found.sort((a, b) => (Number(b.stop_price) - Number(a.stop_price)) * sign * (leg === 'stop' ? 1 : -1));
  const order = found[0];
  return order ? { price: order.stop_price, order: order.client_order_id, since: order.sent_at, whole: order.quantity === null } : null;
}

export function protectionBadge(each) {
  if (each.naked) return badge('Naked: no stop', 'bad', 'no stop rests at the exchange');
  return badge(each.target ? 'Stop and target' : 'Stop only', 'good', 'resting at the exchange');
}

/** Stop, entry, the price of now and target, in their places. */
export function spanLine(each) {
  const points = [each.stop?.price, each.entry_price, each.now, each.target?.price].map(number);
  const [stop, entry, now, target] = points;
  const known = points.filter((point) => point !== null);
  if (known.length < 2 || now === null || entry === null) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const width = high - low || 1;
  const place = (value) => {
    const share = (value - low) / width;
    return 4 + 92 * (each.sign > 0 ? share : 1 - share);
  };
  const [from, to] = [place(entry), place(now)].sort((a, b) => a - b);
  const words = [
    stop !== null && `stop ${price(stop)}`, `entry ${price(entry)}`, `now ${price(now)}`, target !== null && `target ${price(target)}`,
  ].filter(Boolean).join(', ');
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

export function total(all, name) {
  return all.reduce((sum, each) => sum + (each[name] ?? 0), 0);
}


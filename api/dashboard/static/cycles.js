/* Decisions as cycles: what one account made of one moment. */

import { h } from './dom.js';
import { exact, number, percent, symbolName, words } from './format.js';
import { badge, verdict } from './parts.js';
import { time } from './time.js';

/** Rows of /decisions (newest first) by cycle, in their order. */
export function byCycle(rows) {
  const cycles = new Map();
  for (const row of rows) {
    const { cycle, account, tick, model } = row;
    if (!cycles.has(cycle)) cycles.set(cycle, { cycle, account, tick, model, rows: [] });
    cycles.get(cycle).rows.push(row);
  }
  for (const cycle of cycles.values()) cycle.rows.sort((a, b) => a.position - b.position);
  return [...cycles.values()];
}

export function cycleLink(row, asset) {
  return `#/decisions/${row.cycle}${asset ? `?asset=${encodeURIComponent(asset)}` : ''}`;
}

const TONES = { buy: 'long', sell: 'short', close: 'info', hold: 'quiet' };

export function action(name) {
  return badge(name, TONES[name] ?? 'quiet');
}

/** One line of *cycle*; only what it wanted to do, unless it wanted nothing. */
export function cycleRow(cycle, { accounts = true, whole = false } = {}) {
  const moves = cycle.rows.filter((row) => row.action !== 'hold');
  const shown = whole ? cycle.rows : moves;
  const held = cycle.rows.length - moves.length;
  return h('a.cycle', { key: cycle.cycle, class: moves.length ? '' : 'holds', href: cycleLink(cycle, moves[0]?.asset), 'data-step': true },
    h('span.when', null, time(cycle.tick, { seconds: false })),
    h('span.who', null, accounts ? cycle.account : ''),
    h('span.moves', null,
      shown.map(move),
      !whole && held > 0 && h('span.quiet-text', { key: 'held' }, moves.length ? `and held ${held}` : ['held ', cycle.rows.map((row) => row.asset).join(', ')])),
    h('span.model', null, cycle.model ?? 'no model'));
}

function move(row) {
  const entry = row.action === 'buy' || row.action === 'sell';
  return h('span.move', { key: row.position },
    action(row.action), symbolName(row.asset), row.action !== 'hold' && verdict(row.verdict, row.reason),
    number(row.quantity) > 0 && h('span.num', null, `${exact(row.quantity)} at ${exact(row.price)}`),
    entry && h('span.quiet-text', null, `confidence ${percent(row.confidence, 0)}`),
    row.verdict === 'refused' ? h('span.why', null, refusal(row)) : h('span.why', null, row.rationale));
}

/** Why risk said no, in words. */
export function refusal(row) {
  return [h('strong', null, words(row.code ?? 'refused')), row.reason ? `: ${row.reason}` : ''];
}

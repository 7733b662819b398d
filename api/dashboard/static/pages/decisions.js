/* What was decided, newest first, and one page for each decision. */

import { byCycle, cycleRow } from '../cycles.js';
import { h } from '../dom.js';
import { plural } from '../format.js';
import { Listing } from '../listing.js';
import { card, empty, narrow, select, toggle } from '../parts.js';
import { durationMs, time } from '../time.js';
import { decision } from './decision.js';

const FEW = 3;

export function decisions(tools) {
  return tools.route.of ? decision(tools) : timeline(tools);
}

function timeline(tools) {
  const { house } = tools;
  let wanted = tools.route;
  const chosen = (name) => wanted.query.get(name) ?? undefined;
  const list = new Listing(tools, '/decisions', {
    query: () => ({ account: house.account || undefined, symbol: chosen('symbol'), action: chosen('action'), verdict: chosen('verdict') }),
    taken: { full: true },
    kinds: ['decision'],
    name: (row) => `${row.account} ${row.tick} ${row.position}`,
    limit: 100,
  });
  const symbols = () => [...new Set((house.list?.items ?? []).flatMap((each) => each.config?.symbols ?? []))].sort();
  const choose = (name) => (value) => narrow(wanted, { [name]: value });
  const row = (cycle) => (cycle.gap ? gapRow(cycle) : cycleRow(cycle, { accounts: house.accounts.length > 1, whole: Boolean(chosen('action')) }));

  const view = () => {
    const whole = Boolean(chosen('action'));
    return [
      h('section.card', { 'aria-label': 'Narrow down' }, h('div.filters', null,
        select('Symbol', chosen('symbol') ?? '', [['', 'all'], ...symbols().map((each) => [each, each])], choose('symbol')),
        select('Action', chosen('action') ?? '', [['', 'all'], ...['buy', 'sell', 'close', 'hold'].map((each) => [each, each])], choose('action')),
        select('Verdict', chosen('verdict') ?? '', [['', 'all'], ...['approved', 'clipped', 'refused', 'held'].map((each) => [each, each])], choose('verdict')),
        toggle('Fold away what held', chosen('holds') !== 'shown', (on) => narrow(wanted, { holds: on ? '' : 'shown' })),
        list.controls())),
      card('', {}, list.view('the decisions', (rows) => {
        const all = byCycle(rows);
        const cycles = wanted.query.size && !(wanted.query.size === 1 && wanted.query.has('holds')) ? all : withGaps(all, house);
        const folded = chosen('holds') === 'shown' || whole ? cycles.map((cycle) => [cycle]) : runs(cycles);
        return h('div.timeline', { 'data-walk': true }, folded.map((run) => (run.length > FEW ? quiet(run, row) : run.map(row))));
      }, empty('No decision is like that.', wanted.query.size ? 'Other filters show more.' : 'The first is made when the next candle closes.'))),
    ];
  };
  const turned = (next) => {
    wanted = next;
    list.turned();
  };
  return { title: 'Decisions', lead: 'Every line is one cycle: open it for the reason', view, turned };
}

const moves = (cycle) => cycle.gap || cycle.rows.some((row) => row.action !== 'hold');

/** *cycles* (newest first) with what lies between two of one account where its interval says that there was more. */
function withGaps(cycles, house) {
  const newer = new Map();
  return cycles.flatMap((cycle) => {
    const after = newer.get(cycle.account);
    const interval = durationMs(house.config(cycle.account).interval);
    newer.set(cycle.account, cycle);
    const missed = after && interval ? Math.round((Date.parse(after.tick) - Date.parse(cycle.tick)) / interval) - 1 : 0;
    return missed > 0 ? [{ gap: true, cycle: `gap ${cycle.cycle}`, tick: cycle.tick, account: cycle.account, from: cycle.tick, to: after.tick, missed }, cycle] : [cycle];
  });
}

function gapRow({ cycle, account, from, to, missed }) {
  return h('p.gap', { key: cycle }, `${account} decided nothing between `, time(from, { seconds: false }), ' and ', time(to, { seconds: false }), `: ${plural(missed, 'cycle')} missed, or no model was asked`);
}

/** *cycles* with neighbours that only held put together. */
function runs(cycles) {
  const found = [];
  for (const cycle of cycles) {
    if (!moves(cycle) && found.length && !moves(found.at(-1)[0])) found.at(-1).push(cycle);
    else found.push([cycle]);
  }
  return found;
}

function quiet(run, row) {
  // Named by its oldest cycle: what comes in at the top leaves an open fold open.
  return h('details.quiet-run', { key: `quiet ${run.at(-1).cycle}` },
    h('summary', { 'data-step': true }, h('span', null, time(run.at(-1).tick, { seconds: false }), ' to ', time(run[0].tick, { seconds: false })), h('span', null, `${plural(run.length, 'cycle')} held everything`)),
    run.map(row));
}

/* What was decided, newest first, and one page for each decision. */

import { get } from '../api.js';
import { byCycle, cycleRow } from '../cycles.js';
import { h } from '../dom.js';
import { card, downloads, empty, narrow, select, told, toggle } from '../parts.js';
import { decision } from './decision.js';

const PAGE = 120;

export function decisions(tools) {
  return tools.route.of ? decision(tools) : timeline(tools);
}

function timeline({ house, route, resource, update }) {
  let wanted = route;
  let [older, next, busy, failed] = [[], undefined, false, ''];
  const query = () => ({
    account: house.account || undefined,
    symbol: wanted.query.get('symbol') ?? undefined,
    action: wanted.query.get('action') ?? undefined,
    verdict: wanted.query.get('verdict') ?? undefined,
    limit: PAGE,
  });
  const newest = resource('/decisions', query(), { kinds: ['decision', 'stage'] });
  const symbols = () => [...new Set((house.list?.items ?? []).flatMap((each) => each.config?.symbols ?? []))].sort();

  /** The page after the last one that is shown. */
  const more = async () => {
    busy = true;
    update();
    try {
      const page = await get('/decisions', { ...query(), before: next === undefined ? newest.data.next : next });
      older = [...older, ...page.items];
      next = page.next;
      failed = '';
    } catch (error) {
      failed = error.message;
    }
    busy = false;
    update();
  };

  const view = () => {
    const moves = wanted.query.get('moves') === 'yes';
    const seen = new Set(newest.items.map(rowName));
    const cycles = byCycle([...newest.items, ...older.filter((row) => !seen.has(rowName(row)))]);
    const shown = moves ? cycles.filter((cycle) => cycle.rows.some((row) => row.action !== 'hold')) : cycles;
    const left = next === undefined ? newest.data?.next : next;
    const choose = (name) => (value) => narrow(wanted, { [name]: value });
    return [
      h('section.card', { 'aria-label': 'Narrow down' }, h('div.filters', null,
        select('Symbol', wanted.query.get('symbol') ?? '', [['', 'all'], ...symbols().map((each) => [each, each])], choose('symbol')),
        select('Action', wanted.query.get('action') ?? '', [['', 'all'], ...['buy', 'sell', 'close', 'hold'].map((each) => [each, each])], choose('action')),
        select('Verdict', wanted.query.get('verdict') ?? '', [['', 'all'], ...['approved', 'clipped', 'refused', 'held'].map((each) => [each, each])], choose('verdict')),
        toggle('Only what moved', moves, (on) => narrow(wanted, { moves: on ? 'yes' : '' })),
        h('span.aside', null, downloads('/decisions', query())))),
      card('', {}, told(newest, 'the decisions', () => shown.length
        ? [
          h('div.timeline', { 'data-walk': true }, shown.map((cycle) => cycleRow(cycle, { accounts: house.accounts.length > 1, whole: Boolean(wanted.query.get('action')) }))),
          failed && h('p.hint', null, failed),
          left && h('div.more', null, h('button', { type: 'button', disabled: busy, onclick: more }, busy ? 'Asking …' : 'Older')),
        ]
        : empty('No decision is like that.', wanted.query.size ? 'Other filters show more.' : 'The first is made when the next candle closes.'))),
    ];
  };
  const turned = (next_) => {
    wanted = next_;
    [older, next] = [[], undefined];
    newest.narrow(query());
  };
  return { title: 'Decisions', lead: 'Every line is one cycle: open it for the reason', view, turned };
}

function rowName(row) {
  return `${row.account} ${row.tick} ${row.position}`;
}

/* What a person has to know at once, newest first; and whether somebody has taken notice. */

import { send } from '../api.js';
import { button } from '../controls.js';
import { h } from '../dom.js';
import { cost, count, NOTHING, percent, plural, words } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, empty, narrow, table, told, toggle } from '../parts.js';
import { age, day, span, time } from '../time.js';

const TONES = { critical: 'bad', warning: 'warn' };

export function alerts(tools) {
  const { house } = tools;
  let wanted = tools.route;
  const standing = () => wanted.query.get('standing') === 'yes';
  const list = new Listing(tools, '/alerts', {
    query: () => ({ account: house.account || undefined, standing: standing() || undefined }), kinds: ['alert'],
  });

  const operations = tools.resource('/operations', { account: house.account || undefined }, { kinds: ['equity', 'naked', 'order'] });

  const acknowledge = (alert) => house.perform(`acknowledge ${alert.id}`, async () => {
    const { acknowledged_by: who } = await send('POST', `/alerts/${alert.id}/acknowledge`);
    return `${words(alert.kind)}: ${who} has taken notice.`;
  });

  const view = () => {
    const open = list.items.filter((each) => !each.resolved_at);
    return [
      card('Alerts', { note: list.newest.data ? `${open.length} standing` : '', aside: h('div.filters', null, toggle('Only what stands', standing(), (on) => narrow(wanted, { standing: on ? 'yes' : '' })), list.controls()) }, list.view('the alerts', (rows) => table('Alerts', [
        { name: 'Alert', kind: 'text wide lead', cell: (each) => [h('strong', null, words(each.kind)), each.subject && ` ${each.subject}`, each.text && h('small', null, each.text)] },
        { name: 'Gravity', cell: (each) => badge(words(each.severity), TONES[each.severity] ?? 'info') },
        { name: 'Account', cell: (each) => each.account ?? 'all' },
        { name: 'Since', cell: (each) => [time(each.raised_at), h('small', null, age(each.raised_at))] },
        { name: 'Ended', cell: (each) => (each.resolved_at ? time(each.resolved_at) : badge('standing', 'warn')) },
        { name: 'Noticed', cell: (each) => each.acknowledged_at
          ? [time(each.acknowledged_at), h('small', null, each.acknowledged_by ?? '')]
          : button(house, 'Take notice', { account: each.account ?? undefined, name: `acknowledge ${each.id}` }, () => acknowledge(each)) ?? 'nobody yet' },
      ], rows, { key: list.name, tone: (each) => (each.resolved_at ? 'dim' : '') }),
      empty('Nothing has happened that a person must know at once.', 'A halt, a breaker, a naked position, missed cycles, a spent budget would stand here, and go out by webhook.'))),
      card('How well it runs', { note: operations.data ? `since ${day(operations.data.since)}` : '' }, told(operations, 'how well it runs', ({ items }) => runs(items))),
    ];
  };
  return {
    title: 'Alerts', lead: 'What a person has to know at once', view,
    turned: (next) => {
      wanted = next;
      list.turned();
    },
  };
}

function runs(items) {
  return table('How well it runs', [
    { name: 'Account', kind: 'lead', cell: (each) => each.account },
    { name: 'Cycles', kind: 'num', cell: (each) => [count(each.cycles), h('small', null, `${count(each.missed_cycles)} missed (${percent(each.missed_rate, 1)})`)] },
    { name: 'Without a stop', kind: 'num', cell: (each) => [seconds(each.naked_seconds), h('small', null, each.naked_spells ? `${plural(each.naked_spells, 'time')}, ${seconds(each.longest_naked_seconds)} at most` : 'never')] },
    { name: 'Failed orders', kind: 'num', cell: (each) => [count(each.order_errors), h('small', null, `of ${count(each.orders_sent)} (${percent(each.order_error_rate, 1)})`)] },
    { name: 'Recovery', kind: 'num', cell: (each) => [each.recovery_seconds === null ? NOTHING : seconds(each.recovery_seconds), h('small', null, plural(each.outages, 'outage'))] },
    { name: 'A decision costs', kind: 'num', cell: (each) => [cost(each.cost_per_decision), h('small', null, plural(each.decisions, 'decision'))] },
  ], items, { key: (each) => each.account, none: empty('No account yet.') });
}

function seconds(value) {
  return value < 60 ? `${Math.round(value * 10) / 10} s` : span(value * 1000);
}

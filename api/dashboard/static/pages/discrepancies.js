/* Where our books and the exchange's differed, and what was done about it. The exchange is the truth. */

import { h } from '../dom.js';
import { count, plural, symbolName, words } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, empty, fact, facts, narrow, select, table } from '../parts.js';
import { age, time } from '../time.js';

export function discrepancies(tools) {
  const { house } = tools;
  let wanted = tools.route;
  const list = new Listing(tools, '/discrepancies', { query: () => ({ account: house.account || undefined, kind: wanted.query.get('kind') ?? undefined }), kinds: ['discrepancy'], limit: 500 });

  const view = () => {
    const all = list.items;
    const kinds = new Map();
    for (const row of all) kinds.set(row.kind, [...(kinds.get(row.kind) ?? []), row]);
    const chosen = wanted.query.get('kind') ?? '';
    return [
      all.length > 0 && card('By class', { note: `the newest ${plural(all.length, 'difference')}` }, facts([...kinds].sort(([, a], [, b]) => b.length - a.length).map(([kind, rows]) =>
        fact(words(kind), count(rows.length), { note: ['last ', age(rows[0].at)] })))),
      card('Differences', { aside: h('div.filters', null, select('Class', chosen, [['', 'all'], ...[...new Set([...kinds.keys(), ...(chosen ? [chosen] : [])])].sort().map((kind) => [kind, words(kind)])], (kind) => narrow(wanted, { kind })), list.controls()) },
        list.view('the differences', (rows) => table('Differences', [
          { name: 'Class', kind: 'lead', cell: (each) => badge(words(each.kind), 'warn') },
          { name: 'When', cell: (each) => time(each.at) },
          { name: 'Account', cell: (each) => each.account },
          { name: 'Symbol', cell: (each) => symbolName(each.symbol) },
          { name: 'We believed', kind: 'text', cell: (each) => each.ours },
          { name: 'The exchange said', kind: 'text', cell: (each) => each.theirs },
          { name: 'Done about it', kind: 'text', cell: (each) => each.action },
        ], rows, { key: (each) => each.id }),
        empty('Our books and the exchange agree.', 'After every cycle both are compared; whatever differs is mended and written down here.'))),
    ];
  };
  return { title: 'Discrepancies', lead: 'Where our books and the exchange differed, and what was done', view, turned: (next) => { wanted = next; list.turned(); } };
}

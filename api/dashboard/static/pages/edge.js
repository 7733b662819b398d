/* Where the profit comes from: by side, symbol, hour, holding time, and how it ended. */

import { bars } from '../bars.js';
import { h } from '../dom.js';
import { change, gain, number, percent, plural, words } from '../format.js';
import { card, empty, notice, told } from '../parts.js';

const TITLES = {
  holding_time: 'By holding time', side: 'By side', direction: 'By side', symbol: 'By symbol', hour: 'By hour of entry (UTC)', weekday: 'By weekday of entry (UTC)',
  model: 'By model', exit: 'By how it ended', exit_reason: 'By how it ended',
};

export function edge({ house, resource }) {
  const profile = resource('/edge', { account: house.account || undefined }, { kinds: ['position_closed', 'fill'] });
  const view = () => told(profile, 'the edge profile', (data) => {
    const groups = groupsOf(data);
    if (!groups.length || !groups.some(([, rows]) => rows.length)) return card('Edge', {}, empty('No trade has ended yet.', 'Every closed position is counted here by side, symbol, hour and holding time.'));
    return [
      data.caution && notice('warn', data.caution),
      h('div.columns', null, groups.map(([name, rows]) => card(TITLES[name] ?? `By ${words(name)}`, { key: name, note: 'profit after fees, USD' }, bars(TITLES[name] ?? name, rows.map(bar))))),
    ];
  });
  return { title: 'Edge', lead: 'Where the profit comes from, over every closed position', view };
}

function groupsOf(data) {
  return Object.entries(data.groups ?? data).filter(([, rows]) => Array.isArray(rows) && rows.length);
}

function bar(row) {
  const trades = number(row.count ?? row.trades ?? row.round_trips);
  const notes = [trades !== null && plural(trades, 'trade'), number(row.win_rate) !== null && `${percent(row.win_rate, 0)} won`].filter(Boolean);
  return { name: words(row.name ?? row.key ?? row.value), value: row.profit ?? row.pnl, text: gain(row.profit ?? row.pnl, change(row.profit ?? row.pnl)), note: notes.join(', ') };
}

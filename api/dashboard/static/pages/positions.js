/* What is held, and what stands between each position and a large loss. */

import { send } from '../api.js';
import { h } from '../dom.js';
import { exact, gain, money, percent, plural, symbolName } from '../format.js';
import { held, level, profit, protectionBadge, spanLine, total } from '../holdings.js';
import { badge, card, direction, empty, fact, facts, table, told, trouble } from '../parts.js';
import { age } from '../time.js';

const KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'order', 'stage'];

export function positions({ house, resource }) {
  const account = house.account || undefined;
  const open = resource('/positions', { account }, { kinds: KINDS });
  const orders = resource('/orders', { account, state: 'NEW', limit: 500 }, { kinds: KINDS });

  const view = (ask) => {
    const all = open.items.map((each) => held(each, orders.items, house.mark(each.symbol)));
    return [
      trouble(orders, { what: 'the resting orders' }),
      told(open, 'the positions', () => [
        all.length > 0 && summary(all),
        all.length
          ? all.map((each) => positionCard(each, house, ask))
          : card('Open positions', {}, empty('Nothing is open.', 'A position appears here the moment an entry fills, with its stop and its target.')),
      ]),
    ];
  };
  return { title: 'Positions', lead: 'What is held, and how it is protected at the exchange', view };
}

function summary(all) {
  const naked = all.filter((each) => each.naked).length;
  return h('section.card', { 'aria-label': 'All positions' }, facts(
    fact('Profit now', gain(total(all, 'unrealized'))),
    fact('Held', `${money(total(all, 'notional'))} USD`),
    fact('If every stop is hit', gain(total(all, 'atStop')), { note: 'from now, before costs' }),
    fact('Trades then end with', gain(total(all, 'endsWith')), { note: 'before costs' }),
    fact('Protection', naked ? badge(`${plural(naked, 'position')} naked`, 'bad') : badge('all protected', 'good'))));
}

function positionCard(each, house, ask) {
  const title = [symbolName(each.symbol), ' ', direction(each.direction), ' ', protectionBadge(each), each.adopted && badge('not ours', 'warn', 'no order of ours opened it: it has no plan')];
  return card(title, {
    key: `${each.account} ${each.symbol} ${each.direction}`, note: each.account, kind: each.naked ? 'alarm' : '',
    aside: [
      h('a', { href: `#/market?symbol=${each.symbol}&account=${each.account}` }, 'Chart'),
      closeButton(each, house, ask),
    ],
  },
  h('div.position', null, spanLine(each),
    facts(
      fact('Profit now', profit(each)),
      fact('Size', exact(each.quantity), { note: `${money(each.notional)} USD, ${each.leverage}×` }),
      fact('Entry', exact(each.entry_price)),
      fact('Price now', exact(each.now)),
      fact('Stop', level(each.stop?.price, each.stopAway), { note: each.stop ? ['resting since ', age(each.stop.since)] : 'none rests' }),
      fact('Target', level(each.target?.price, each.targetAway), { note: each.target ? ['resting since ', age(each.target.since)] : 'none rests' }),
      fact('If the stop is hit', each.atStop === null ? '–' : gain(each.atStop), { note: each.endsWith === null ? null : ['the trade ends with ', gain(each.endsWith)] }),
      fact('Liquidation', each.liquidation_price ? exact(each.liquidation_price) : 'none', { note: each.liquidationAway === null ? 'not within reach' : `${percent(each.liquidationAway)} away` }),
      fact('Confirmed', age(each.protection?.confirmed_at ?? each.at), { note: 'last seen at the exchange' }))));
}

function closeButton(each, house, ask) {
  const may = house.may('operate');
  return h('button', { type: 'button', disabled: !may, title: may ? undefined : 'your token may only read', onclick: () => ask(closing(each, house)) }, 'Close …');
}

function closing(each, house) {
  return {
    title: `Close ${each.symbol} of ${each.account}?`,
    lines: [`All ${exact(each.quantity)} are ${each.direction === 'SHORT' ? 'bought back' : 'sold'} at the market's price, and the stop and target are cancelled.`],
    word: each.symbol,
    verb: 'Close the position',
    tone: 'danger',
    act: async () => {
      await send('POST', `/accounts/${each.account}/positions/${each.symbol}/close`, { direction: each.direction });
      house.refreshAll();
    },
  };
}

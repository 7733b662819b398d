/* What is held, and what stands between each position and a large loss; and what was held before. */

import { send } from '../api.js';
import { button, steered } from '../controls.js';
import { h } from '../dom.js';
import { cost, exact, gain, money, number, NOTHING, percent, plural, price, symbolName, words } from '../format.js';
import { held, level, multiple, profit, protectionBadge, spanLine, total } from '../holdings.js';
import { Listing } from '../listing.js';
import { badge, card, direction, empty, fact, facts, table, told } from '../parts.js';
import { TERMS, term } from '../terms.js';
import { age, span, time } from '../time.js';

const KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'stage'];

export function positions(tools) {
  const { house, resource } = tools;
  const account = house.account || undefined;
  const open = resource('/positions', { account }, { kinds: KINDS });
  const ended = new Listing(tools, '/positions/closed', { query: () => ({ account }), kinds: ['round_trip'], name: (each) => `${each.account} ${each.symbol} ${each.position_side} ${each.first_trade_id}`, limit: 50 });

  const view = (ask) => {
    const all = open.items.map((each) => held(each, house.mark(each.symbol)));
    return [
      told(open, 'the positions', () => [
        all.length > 0 && summary(all),
        all.length
          ? all.map((each) => positionCard(each, house, ask))
          : card('Open positions', {}, empty('Nothing is open.', 'A position appears here the moment an entry fills, with its stop and its target.')),
      ]),
      card('Closed positions', { note: 'from flat to flat', aside: ended.controls() }, ended.view('what has ended', closedTable, empty('No position has ended yet.', 'Each one is kept here with what it brought, after fees and funding.'))),
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
  const title = [symbolName(each.symbol), direction(each.direction), protectionBadge(each), each.adopted && badge('not ours', 'warn', 'no order of ours opened it: it has no plan')];
  const since = (at) => (at ? ['since ', age(at)] : 'none rests');
  return card(title, {
    key: `${each.account} ${each.symbol} ${each.direction}`, note: each.account,
    aside: [
      each.cycle && h('a', { href: `#/decisions/${each.cycle}?asset=${each.symbol}` }, 'Why'),
      h('a', { href: `#/market?symbol=${each.symbol}&account=${each.account}` }, 'Chart'),
      closeButton(each, house, ask),
    ],
  },
  h('div.position', null, spanLine(each),
    facts(
      fact('Profit now', profit(each)),
      fact(term('r', 'In risk taken'), multiple(each.r), { note: 'R: entry to first stop' }),
      fact('Size', exact(each.quantity), { note: `${money(each.notional)} USD, ${each.leverage}×` }),
      fact('Entry', exact(each.entry_price), { note: each.opened_at ? age(each.opened_at) : null }),
      fact('Price now', price(each.now)),
      fact('Stop', level(each.stop, each.stopAway), { note: since(each.protection.stop?.since) }),
      fact('Target', level(each.target, each.targetAway), { note: since(each.protection.target?.since) }),
      fact('If the stop is hit', each.atStop === null ? NOTHING : gain(each.atStop), { note: each.endsWith === null ? null : ['the trade ends with ', gain(each.endsWith)] }),
      fact('Liquidation', each.liquidation_price ? price(each.liquidation_price) : 'none', { note: each.liquidationAway === null ? 'not within reach' : `${percent(each.liquidationAway, 1)} away` }),
      fact('Fees and funding', cost(each.fees), { note: number(each.funding) === null ? null : ['funding ', gain(each.funding)] }),
      fact('Model', each.model ?? NOTHING),
      fact('Confirmed', age(each.protection.confirmed_at), { note: 'at the exchange' }))));
}

function closedTable(rows) {
  return table('Closed positions', [
    { name: 'Symbol', kind: 'lead', cell: (each) => [symbolName(each.symbol), h('small', null, each.account)] },
    { name: 'Side', cell: (each) => direction(each.direction) },
    { name: 'Profit', kind: 'num', cell: (each) => [gain(each.profit), h('small', null, gain(each.net_return, percent(each.net_return)), ' · ', multiple(each.r))] },
    { name: 'Size', kind: 'num', cell: (each) => exact(each.quantity) },
    { name: 'Entry, exit', kind: 'num', cell: (each) => [price(each.entry_price), h('small', null, price(each.exit_price))] },
    { name: 'Ended by', cell: (each) => badge(words(each.exit), { target: 'good', stop: 'warn', external: 'warn' }[each.exit] ?? 'quiet', TERMS[each.exit]) },
    { name: 'Fees, funding', kind: 'num', cell: (each) => [cost(each.fees), h('small', null, gain(each.funding))] },
    { name: 'Ended', cell: (each) => [time(each.closed_at), h('small', null, `after ${span(Number(each.holding_seconds) * 1000)}`)] },
    { name: 'Why', cell: (each) => (each.cycle ? h('a', { href: `#/decisions/${each.cycle}?asset=${each.symbol}` }, 'decision') : 'not ours') },
  ], rows, { key: (each) => `${each.account} ${each.symbol} ${each.position_side} ${each.first_trade_id}` });
}

function closeButton(each, house, ask) {
  return button(house, 'Close …', { account: each.account, label: `Close ${each.symbol} of ${each.account} …` }, () => ask(closing(each)));
}

function closing(each) {
  return {
    title: `Close ${each.symbol} of ${each.account}?`,
    lines: [
      `All ${exact(each.quantity)} are ${each.direction === 'SHORT' ? 'bought back' : 'sold'} at the market's price; then the stop and the target are cancelled.`,
      'What the model wants next is not changed by this: pause the account if it is not to enter again.',
    ],
    fields: [{ name: 'quantity', label: 'Only a part of it', kind: 'number', hint: 'Empty: all of it' }],
    word: each.symbol,
    verb: 'Close the position',
    tone: 'danger',
    act: async ({ quantity }) => {
      const part = quantity.trim();
      const came = await send('POST', `/accounts/${each.account}/positions/${each.symbol}/close`, { direction: each.direction, ...(part && { quantity: part }) });
      return steered(came, `${part || 'All'} of ${each.symbol} of ${each.account} is closed.`);
    },
  };
}

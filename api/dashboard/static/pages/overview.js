/* The state of one's money in five seconds: what it is worth, whether it is safe, what happened last. */

import { lineChart } from '../charts.js';
import { bought, Curves, fallen, grown, line, together } from '../curves.js';
import { byCycle, cycleRow } from '../cycles.js';
import { h } from '../dom.js';
import { changePercent, cost, exact, gain, money, number, percent, plural, symbolName, words } from '../format.js';
import { held, level, profit, protectionBadge, spanLine, total } from '../holdings.js';
import { icon } from '../icons.js';
import { accountStatus, badge, card, direction, empty, fact, facts, loading, meter, table, told, trouble } from '../parts.js';
import { breakersOf, outage, outdated, readiness, standing, state, troubles } from '../standing.js';
import { term } from '../terms.js';
import { age, clock, span, timeText, utc } from '../time.js';
import { stageMarks } from '../vitals.js';

const FEW = 4;
const COLOURS = ['--warn', '--good', '--ink-2'];
const POSITION_KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'stage'];

export function overview(tools) {
  const { house, resource } = tools;
  const account = house.account || undefined;
  const positions = resource('/positions', { account }, { kinds: POSITION_KINDS });
  const decisions = resource('/decisions', { account, limit: 60 }, { kinds: ['decision'] });
  const days = resource('/performance/returns', { account, period: 'day', limit: 50 }, { kinds: ['equity'] });
  const curves = new Curves(tools, 300);

  const view = () => {
    const open = positions.items.map((each) => held(each, house.mark(each.symbol)));
    return [
      hero(house, open, { positions, days, curves: curves.all }),
      attention(house),
      h('div.columns.wide-left', null,
        card('Growth', { note: 'deposits taken out', aside: h('a', { href: '#/performance' }, 'Performance') }, growth(curves.all)),
        card('Accounts', { aside: h('a', { href: '#/accounts' }, 'Limits and controls') }, accountsView(house))),
      card('Open positions', { note: open.length ? plural(open.length, 'position') : '', aside: h('a', { href: '#/positions' }, 'All about them') },
        told(positions, 'the positions', () => positionsView(open))),
      card('Latest decisions', { aside: h('a', { href: '#/decisions' }, 'All decisions') },
        told(decisions, 'the decisions', () => latest(decisions.items, house))),
    ];
  };
  return { title: 'Overview', view };
}

function hero(house, open, { positions, days, curves }) {
  const accounts = house.chosen;
  const sum = (name) => accounts.reduce((all, each) => all + (number(each[name]) ?? 0), 0);
  const known = accounts.some((each) => number(each.equity) !== null);
  const [worth, deposited] = [known ? sum('equity') : null, sum('deposited')];
  const gained = known ? worth - deposited : null;
  const today = ofToday(days.items);
  const falls = curves.some(({ awaited }) => awaited) ? [] : curves.flatMap(({ points }) => points.map((point) => point.drawdown));
  return h('section.card.hero', { 'aria-label': 'The state of your money' },
    h('div', null,
      h('p.label', null, accounts.length > 1 ? `Equity of ${plural(accounts.length, 'account')}` : 'Equity', asOf(house, accounts)),
      h('p.worth', { 'data-figure': 'equity' }, money(worth), h('small', null, 'USD')),
      h('p.today', null, today === null ? h('span.quiet-text', null, days.data ? 'nothing gained or lost today yet' : 'today: not known yet') : [gain(today.profit), ' ', gain(today.share, changePercent(today.share)), h('span.quiet-text', null, ' today (UTC)')])),
    facts(
      fact('Profit since start', gain(gained), { note: deposited > 0 && gained !== null ? changePercent(gained / deposited) : null }),
      fact('In open positions', positions.data ? gain(total(open, 'unrealized')) : '–', { note: positions.data && open.length ? `${priced(house, open)}; ${money(total(open, 'notional'))} held` : null }),
      fact('If every stop is hit', open.length ? gain(total(open, 'atStop')) : positions.data ? 'nothing open' : '–', { note: open.length ? 'from now, before costs' : null }),
      fact(term('drawdown', 'Deepest fall'), falls.length ? percent(falls.reduce((deepest, each) => Math.max(deepest, each), 0)) : '–', { note: 'of an account, from its peak' })),
    trouble(days, { what: 'what was gained today' }),
    sentence(house, open, positions));
}

/** What the accounts gained since UTC midnight, out of their returns by the day. */
function ofToday(rows) {
  const midnight = new Date(clock.now()).setUTCHours(0, 0, 0, 0);
  const today = rows.filter((each) => Date.parse(each.start) >= midnight);
  const profit = today.reduce((sum, each) => sum + Number(each.profit), 0);
  const before = today.reduce((sum, each) => sum + Number(each.equity), 0) - profit;
  return today.length && before > 0 ? { profit, share: profit / before } : null;
}

/** Of when the equity is: it is reckoned at the end of each cycle, while prices go on. */
function asOf(house, accounts) {
  const oldest = accounts.filter((each) => each.equity_at).sort((a, b) => Date.parse(a.equity_at) - Date.parse(b.equity_at))[0];
  if (!oldest) return null;
  const old = outage(house) || outdated(house, oldest.account, oldest.equity_at);
  return h('span', { class: old ? 'as-of old' : 'as-of', title: `reckoned at the end of each cycle: ${utc(oldest.equity_at)}` }, ` as of ${timeText(oldest.equity_at, { seconds: false })}`);
}

/** Whether profits of what is open are those of now. */
function priced(house, open) {
  return house.pricesLive && open.every((each) => house.prices.has(each.symbol)) ? "at now's prices" : 'at the last known prices';
}

/** Everything in one sentence, the gravest first. */
function sentence(house, open, positions) {
  if (!house.status?.data || !positions.data) return null;
  const naked = open.filter((each) => each.naked);
  const found = troubles(house);
  const newest = house.chosen.map((each) => each.last_tick).filter(Boolean).sort().at(-1);
  if (outage(house)) return says('bad', h('strong', null, `${found[0].says}. `), 'How it stands is not known; what is shown is as of then. Stops and targets rest at the exchange.');
  if (naked.length) {
    return says('bad', h('strong', null, `${plural(naked.length, 'position')} without a stop at the exchange. `), 'It is placed or the position closed within seconds; if this stays, look at Positions.');
  }
  const cycles = newest ? ['last cycle ', age(newest), '.'] : ['the first cycle begins at the next candle.'];
  const what = open.length ? plural(open.length, 'open position') : 'nothing open';
  const cut = readiness(house)?.checks.exchange === false || positions.error;
  const safe = open.length === 0 ? '' : `, ${open.length === 1 ? '' : 'every one '}protected by a stop at the exchange${cut ? ' when it was last seen' : ''}`;
  const { tone, text, says: word, note } = state(house);
  const first = found.length ? `${found.map((each) => each.says).join('. ')}. ` : tone === 'good' ? `${text}. ` : `${word}: ${note}. `;
  return says(tone === 'quiet' ? 'warn' : tone, h('strong', null, first), `${what[0].toUpperCase()}${what.slice(1)}${safe}; `, cycles);
}

function says(tone, ...words_) {
  return h('p.sentence', { class: tone }, icon(tone === 'good' ? 'check' : tone === 'bad' ? 'cross' : 'warn'), h('span', null, words_));
}

const LINKS = {
  account_halted: ['Arm again', '#/accounts'], paused: ['Resume', '#/accounts'], no_authority: ['Accounts', '#/accounts'], breaker_tripped: ['Limits', '#/accounts'],
  models_down: ['Model calls', '#/activity/models'], order_unresolved: ['Orders', '#/activity/orders?state=UNRESOLVED'], position_naked: ['Positions', '#/positions'],
  wallet_unexplained: ['Discrepancies', '#/discrepancies'], liquidation: ['Discrepancies', '#/discrepancies'],
};

/** What a person should look at, each matter once; nothing when there is nothing. */
function attention(house) {
  const lines = [];
  const matter = (account, kind, subject, mark, why) => lines.push({ name: `${account} ${kind} ${subject}`, account, kind, mark, why });
  const known = (account, kind, subject) => lines.some(({ name }) => name === `${account} ${kind} ${subject}`);
  // How an account stands now goes before the alert that tells how it stood when it was raised.
  for (const each of house.chosen) {
    if (each.status === 'halted') matter(each.account, 'account_halted', '', accountStatus(each), each.status_reason || 'no reason given');
    else if (each.status !== 'active') matter(each.account, house.alerts.items.some((alert) => alert.account === each.account && alert.kind === 'no_authority') ? 'no_authority' : 'paused', '', accountStatus(each), each.status_reason || 'no reason given');
    for (const [name, why] of Object.entries(breakersOf(house, each.account))) matter(each.account, 'breaker_tripped', name, badge(`breaker: ${words(name)}`, 'bad'), why);
    if (each.models?.manage_only_since) matter(each.account, 'models_down', '', badge('manages only', 'warn'), ['no model has answered for ', since(each.models.manage_only_since), ': ', each.models.reason]);
    if (each.unsettled_orders) matter(each.account, 'unsettled', '', badge(plural(each.unsettled_orders, 'unsettled order'), 'warn'), 'what became of them is being found out; their symbols open nothing meanwhile');
  }
  for (const each of standing(house)) {
    if (known(each.account, each.kind, each.subject ?? '')) continue;
    matter(each.account ?? 'all', each.kind, each.subject ?? each.id, badge(words(each.kind), each.severity === 'critical' ? 'bad' : 'warn'), each.text);
  }
  const told = readiness(house);
  for (const why of told?.reasons ?? []) {
    if (!COVERED.some(([start, kind]) => why.startsWith(start) && lines.some((each) => each.kind === kind))) matter('all', 'not_ready', why, badge('not ready', 'bad'), why);
  }
  if (!lines.length) return null;
  return card('Needs your eye', {}, h('ul.attention', null, lines.map(({ name, account, kind, mark, why }) => {
    const [text, href] = LINKS[kind] ?? ['Alerts', '#/alerts'];
    return h('li', { key: name }, h('strong', null, account), mark, h('span', null, why), h('a', { href }, text));
  })));
}

/** What of readiness is an alert too, as soon as it is raised. */
const COVERED = [['the exchange', 'exchange_down'], ['the last cycle', 'cycles_missed']];

function since(iso) {
  return h('time', { datetime: iso, title: utc(iso) }, span(clock.now() - Date.parse(iso)));
}

function growth(curves) {
  const drawn = curves.filter(({ points }) => points.length > 1);
  const troubles = curves.map(({ account, answer }) => trouble(answer, { what: `the curve of ${account}` }));
  if (!curves.length || curves.some(({ awaited }) => awaited)) return [troubles, loading()];
  if (!drawn.length) return [troubles, empty('No curve yet.', 'A point is written at the end of every cycle; from the second on there is a line.')];
  const [only] = drawn;
  const several = drawn.length > 1;
  const points = several ? together(drawn) : only.points;
  const text = (value) => changePercent(value);
  const lines = [
    { name: several ? 'all accounts' : only.account, colour: '--accent', area: 'above', text, points: line(points, grown) },
    // Few lines can be told apart; of many accounts the list beside says how each has done.
    ...(several && drawn.length <= COLOURS.length ? drawn.map((each, place) => ({ name: each.account, colour: COLOURS[place], thin: true, text, points: line(each.points, grown) })) : []),
    { name: 'buying and holding', colour: '--ink-3', dashed: true, text, points: line(points, bought) },
    { name: 'drawdown', colour: '--bad', area: 'below', pane: 1, thin: true, text: (value) => percent(value), points: line(points, fallen) },
  ].filter((each) => each.points.length > 0);
  const last = (each) => each.points.at(-1).value;
  return [
    troubles,
    h('div.chart-legend', null, lines.map((each) => h('span', { key: each.name }, h('i.swatch', { class: each.dashed ? 'dashed' : '', style: { '--swatch': `var(${each.colour})` } }), each.name, ' ', gain(last(each), each.text(last(each)))))),
    lineChart({ label: `Growth over time: ${lines.map((each) => `${each.name} ${each.text(last(each))}`).join(', ')}`, lines, kind: 'overview' }),
  ];
}

function accountsView(house) {
  if (!house.chosen.length) return empty('There is no account.', [h('a', { href: '#/accounts' }, 'Add one'), ', or name one in accounts.yaml or in the variables of the server.']);
  return h('div.account-list', null, house.chosen.map((each) => {
    const budget = number(house.config(each.account).model_options?.daily_budget);
    const profitNow = number(each.equity) === null ? null : Number(each.equity) - Number(each.deposited);
    return h('article.account-line', { key: each.account },
      h('header', null, h('h3', null, each.account), accountStatus(each), Object.keys(breakersOf(house, each.account)).length > 0 && badge('opens nothing', 'bad', 'a breaker stands'), h('span.worth.num', null, money(each.equity))),
      h('p', null, gain(profitNow), ' ', profitNow !== null && Number(each.deposited) > 0 && gain(profitNow, changePercent(profitNow / Number(each.deposited))), ` · ${plural(each.open_positions, 'position')} · `, house.config(each.account).model ?? ''),
      house.chosen.length <= FEW && h('p.row', null, stageMarks(each), h('span.quiet-text', null, each.last_tick ? age(each.last_tick) : 'no cycle yet'),
        budget !== null && h('span.budget', null, meter(number(each.models?.spent) / budget, { label: `Model budget of ${each.account} used` }), h('small', null, `${cost(each.models?.spent ?? 0)} of ${cost(budget)}`))));
  }));
}

function positionsView(open) {
  return table('Open positions', [
    { name: 'Symbol', cell: (each) => [symbolName(each.symbol), h('small', null, each.account)], kind: 'lead' },
    { name: 'Side', cell: (each) => direction(each.direction) },
    { name: 'Size', kind: 'num', cell: (each) => [exact(each.quantity), h('small', null, `${money(each.notional)} USD`)] },
    { name: 'Profit now', kind: 'num', cell: profit },
    { name: 'Stop, entry, now, target', kind: 'whole', cell: spanLine },
    { name: 'Stop', kind: 'num', cell: (each) => level(each.stop, each.stopAway) },
    { name: 'Protection', cell: protectionBadge },
  ], open, {
    key: (each) => `${each.account} ${each.symbol} ${each.direction}`, tone: (each) => (each.naked ? 'alarm' : ''),
    href: (each) => (each.cycle ? `#/decisions/${each.cycle}?asset=${each.symbol}` : '#/positions'),
    none: empty('Nothing is open.', 'A position appears here the moment an entry fills, with its stop and its target.'),
  });
}

function latest(rows, house) {
  const cycles = byCycle(rows);
  if (!cycles.length) return empty('No decision yet.', 'The first is made when the next candle closes.');
  const moves = cycles.filter((cycle) => cycle.rows.some((row) => row.action !== 'hold'));
  const shown = [...new Set([...cycles.slice(0, 3), ...moves])].sort((a, b) => cycles.indexOf(a) - cycles.indexOf(b)).slice(0, 8);
  return h('div.timeline', { 'data-walk': true }, shown.map((cycle) => cycleRow(cycle, { accounts: house.accounts.length > 1 })));
}

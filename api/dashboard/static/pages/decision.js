/*
 * One cycle's decisions, whole: what was wanted and why, what risk made of it rule by rule, what the model saw, was
 * asked and said, what was sent and came back; and the same made again.
 */

import { action, refusal } from '../cycles.js';
import { h } from '../dom.js';
import { cost, count, exact, gain, money, number, NOTHING, percent, plural, price, ratio, symbolName, words } from '../format.js';
import { badge, card, direction, empty, fact, facts, fold, notice, orderState, pretty, table, told, trouble, verdict } from '../parts.js';
import { age, span, time, utc } from '../time.js';
import { replays } from './replays.js';

export function decision({ house, route, resource, update }) {
  const [account, tick] = route.of.split('@');
  const after = new Date(Date.parse(tick) + 1).toISOString();
  const rows = resource('/decisions', { account, since: tick, until: after, limit: 100 }, { kinds: ['decision'] });
  const record = resource(`/decisions/${account}@${tick}/record`, { full: true }, { kinds: ['decision'] });
  const orders = resource('/orders', { account, limit: 1000 }, { kinds: ['order', 'stage'] });
  const fills = resource('/trades', { account, since: tick, limit: 1000 }, { kinds: ['fill'] });
  const again = replays({ house, name: route.of, update });
  let wanted = route;

  const view = (ask) => {
    const all = [...rows.items].sort((a, b) => a.position - b.position);
    const asset = wanted.query.get('asset');
    const shown = asset ? all.filter((row) => row.asset === asset) : all;
    const body = record.data?.body;
    return [
      head(account, tick, all, body, asset),
      told(rows, 'the decision', () => all.length ? null : card('', {}, empty('Nothing was decided in this cycle.', 'It may have been skipped, or lie before what is kept.'))),
      all.length > 1 && h('nav.steps', { 'aria-label': 'Assets of this decision' },
        h('a', { href: `#/decisions/${route.of}`, 'aria-current': asset ? null : 'true' }, 'All'),
        all.map((row) => h('a', { key: row.asset, href: `#/decisions/${route.of}?asset=${row.asset}`, 'aria-current': asset === row.asset ? 'true' : null }, row.asset, ' ', words(row.action)))),
      shown.map((row) => wishCard(row)),
      card('Orders and fills', { note: 'what was promised, sent and came back' }, trouble(fills, { what: 'the fills' }),
        told(orders, 'the orders', () => done(orders.items.filter((each) => each.tick && Date.parse(each.tick) === Date.parse(tick) && (!asset || each.symbol === asset)), fills.items))),
      shown.map((row) => ledger(row)),
      told(record, 'the record', () => [asked(body, record.data), saw(body, asset)]),
      again.view(ask),
    ];
  };
  return {
    title: 'Decision', lead: `${account}, for the candle that closed at ${utc(tick)}`, view,
    turned: (next) => {
      wanted = next;
    },
  };
}

function head(account, tick, all, body, asset) {
  const calls = body?.calls ?? [];
  const of = (name) => calls.reduce((sum, call) => sum + (number(call[name]) ?? 0), 0);
  const model = calls.at(-1)?.answered_model ?? all[0]?.model;
  return h('section.card', { 'aria-label': 'In short' }, facts(
    fact('Account', account),
    fact('Candle closed', time(tick), { note: age(tick) }),
    fact('Model', model ?? 'none was asked', { note: calls.at(-1)?.provider }),
    fact('Prompt', body?.prompt?.version ?? NOTHING, { note: 'template version' }),
    fact('Tokens', calls.length ? `${count(of('prompt_tokens'))} in` : NOTHING, { note: calls.length ? `${count(of('completion_tokens'))} out${of('cached_tokens') ? `, ${count(of('cached_tokens'))} cached` : ''}` : null }),
    fact('Cost', calls.length ? cost(of('cost')) : NOTHING, { note: calls.some((call) => call.estimated) ? 'estimated' : plural(calls.length, 'call') }),
    fact('Latency', calls.length ? span(of('latency_ms')) : NOTHING, { note: calls.length ? `${count(of('latency_ms'))} ms` : null }),
    fact('Account was worth', body ? `${money(Number(body.context?.holdings?.balance?.wallet ?? NaN) + Number(body.context?.holdings?.balance?.unrealized ?? NaN))}` : NOTHING, { note: 'USD' })),
  asset ? null : body?.judgement?.answer?.reasoning && h('p.prose.said', null, h('strong', null, 'The model, in short: '), body.judgement.answer.reasoning),
  body?.unanswered && notice('warn', `No model answered: ${body.unanswered}`),
  body?.judgement?.why && notice('warn', `The answer could not be used: ${body.judgement.why}`));
}

function wishCard(row) {
  const wish = row.decision ?? {};
  const review = row.review ?? {};
  const entry = row.action === 'buy' || row.action === 'sell';
  const at = number(review.price) || null;
  const away = (level) => (number(level) === null || !at ? null : `${percent(Math.abs(Number(level) / at - 1))} away`);
  const reward = entry && at && wish.stop_loss && wish.take_profit ? Math.abs(wish.take_profit - at) / Math.abs(at - wish.stop_loss) : null;
  return h('section.card', { key: `wish ${row.asset}`, 'aria-label': `What was wanted of ${row.asset}` },
    h('header.decision-head', null, h('h2', null, symbolName(row.asset)), action(row.action), verdict(row.verdict), wish.source && wish.source !== 'model' && badge(`by ${words(wish.source)}`, 'warn')),
    row.verdict === 'refused' && notice('bad', refusal(row)),
    row.verdict === 'clipped' && notice('warn', h('strong', null, 'Cut down: '), review.reason || clippedBy(review)),
    h('p.prose.rationale', null, wish.rationale || 'No rationale was given.'),
    row.action !== 'hold' && facts(
      entry && fact('Asked for', `${money(wish.allocation_usd)} USD`, { note: `at ${count(wish.leverage)}×` }),
      fact('Allowed', number(review.quantity) > 0 ? exact(review.quantity) : 'nothing', { note: number(review.quantity) > 0 && entry ? `${money(review.quantity * review.price)} USD at ${count(review.leverage)}×` : null }),
      fact('Price when reviewed', exact(review.price)),
      entry && fact('Stop', exact(review.stop_loss ?? wish.stop_loss), { note: away(review.stop_loss ?? wish.stop_loss) }),
      entry && fact('Target', exact(review.take_profit ?? wish.take_profit), { note: away(review.take_profit ?? wish.take_profit) }),
      entry && fact('Reward to risk', ratio(reward), { note: 'before costs' }),
      fact('Confidence', percent(wish.confidence, 0))),
    plan(wish.exit_plan));
}

function clippedBy(review) {
  const beyond = (review.findings ?? []).filter((each) => each.saw?.cap !== undefined && Number(each.saw.asked) > Number(each.saw.cap));
  return beyond.map((each) => `${words(each.rule)}: ${exact(each.saw.asked)} asked, ${exact(each.saw.cap)} allowed`).join('; ') || 'to what the limits leave';
}

function plan(wanted) {
  if (!wanted?.text && !wanted?.invalidation && !wanted?.indicator && !wanted?.expiry) return null;
  const rule = wanted.invalidation;
  return h('p.prose.plan', null, h('strong', null, 'Exit plan: '), wanted.text, rule && [' ', badge(`${words(rule.condition)} ${exact(rule.price)} on ${rule.timeframe}`, 'info', 'checked by machine each cycle')],
    wanted.unenforced?.length > 0 && [' ', badge(`not enforced: ${wanted.unenforced.join(', ')}`, 'warn')]);
}

/** Rule by rule, the numbers each saw; what stood in the way first. */
function ledger(row) {
  const findings = row.review?.findings ?? [];
  const failed = findings.filter((each) => !each.passed);
  const capped = findings.filter(isCapped);
  const order = [...failed, ...capped.filter((each) => each.passed), ...findings.filter((each) => each.passed && !isCapped(each))];
  const note = [plural(findings.length, 'rule'), failed.length ? `${failed.length} against` : 'none against', capped.length ? `${capped.length} cut it down` : ''].filter(Boolean).join(', ');
  return card(['Review of ', row.asset], { key: `ledger ${row.asset}`, note, aside: grounding(findings) },
    h('div.ledger', null, table(`Review ledger of ${row.asset}`, [
      { name: 'Rule', kind: 'rule lead', cell: (each) => words(each.rule) },
      { name: 'Verdict', cell: ruling },
      { name: 'Saw', kind: 'text wide', cell: (each) => [each.reason && h('p', null, each.reason), numbers(each.saw)] },
    ], order, { key: (each) => each.rule, tone: (each) => (each.passed ? '' : each.judged === false ? 'dim' : 'alarm'), none: empty('No rule was asked.') })));
}

function isCapped(finding) {
  return finding.saw?.cap !== undefined && Number(finding.saw.asked) > Number(finding.saw.cap);
}

function ruling(finding) {
  if (finding.judged === false) return badge('not judged', 'quiet');
  if (!finding.passed) return badge('against', 'bad');
  return isCapped(finding) ? badge('cut down', 'clip') : badge('passed', 'good');
}

function numbers(saw) {
  const entries = Object.entries(saw ?? {});
  return entries.length ? h('div.saw', null, entries.map(([name, value]) => h('span', { key: name }, `${words(name)} `, h('b', null, shown(value))))) : null;
}

function shown(value) {
  if (value !== null && typeof value === 'object') return JSON.stringify(value);
  return /^-?\d+(\.\d+)?$/.test(String(value)) ? exact(value) : String(value);
}

function grounding(findings) {
  const found = findings.find((each) => each.rule === 'grounding');
  if (!found) return null;
  return found.passed
    ? badge(found.reason ? 'grounded, with a remark' : 'grounded', found.reason ? 'warn' : 'good', found.reason || 'what it cites was among what it was shown')
    : badge('cites what it was not shown', 'bad', found.reason);
}

function done(orders, fills) {
  if (!orders.length) return empty('No order came of this.', 'A hold and a refused entry send none.');
  const of = (order) => fills.filter((fill) => fill.venue_order_id === order.venue_order_id && fill.symbol === order.symbol);
  const mine = orders.flatMap(of);
  const realized = mine.reduce((sum, fill) => sum + Number(fill.realized_pnl), 0);
  const fees = mine.reduce((sum, fill) => sum + Number(fill.commission), 0);
  return [
    facts(
      fact('Orders', count(orders.length)), fact('Fills', count(mine.length)),
      fact('Realized', gain(realized), { note: 'before fees' }), fact('Fees', cost(fees)), fact('Outcome', mine.some((fill) => Number(fill.realized_pnl) !== 0) ? gain(realized - fees) : 'still open, or not filled')),
    table('Orders of this cycle', [
      { name: 'Leg', kind: 'lead', cell: (each) => [words(each.leg), ' ', symbolName(each.symbol)] },
      { name: 'Side', cell: (each) => direction(each.side) },
      { name: 'Type', cell: (each) => words(each.type.toLowerCase()) },
      { name: 'Quantity', kind: 'num', cell: (each) => (each.quantity === null ? 'whole position' : exact(each.quantity)) },
      { name: 'Trigger', kind: 'num', cell: (each) => exact(each.stop_price) },
      { name: 'Filled', kind: 'num', cell: (each) => (number(each.executed_quantity) > 0 ? [exact(each.executed_quantity), h('small', null, `at ${price(each.average_price)}`)] : NOTHING) },
      { name: 'State', cell: (each) => orderState(each.state, each.reason) },
      { name: 'Sent', cell: (each) => time(each.sent_at) },
      { name: 'Client order id', kind: 'text', cell: (each) => h('code', null, each.client_order_id) },
    ], orders, { key: (each) => each.id }),
  ];
}

function asked(body, record) {
  if (!body) return record.problems?.length ? notice('bad', `The record is not as it was written: ${record.problems.join('; ')}`) : null;
  const calls = body.calls ?? [];
  return card('What the model was asked and said', { aside: badge(record.sound ? 'record is whole' : 'record is broken', record.sound ? 'good' : 'bad', record.record) },
    body.judgement?.answer?.repairs?.length > 0 && notice('warn', `Repaired in reading: ${body.judgement.answer.repairs.join('; ')}`),
    calls.length === 0 && empty('No model was asked.', body.unanswered),
    calls.map((call, place) => h('div', { key: place },
      h('h3', null, `${words(call.purpose)}${calls.length > 1 ? `, turn ${call.turn + 1}` : ''}: ${call.answered_model ?? call.asked_model}`),
      call.error && notice('bad', call.error),
      facts(
        fact('Asked', call.asked_model, { note: time(call.at) }), fact('Provider', call.provider ?? NOTHING), fact('Prompt tokens', count(call.prompt_tokens), { note: `${count(call.cached_tokens)} cached` }),
        fact('Answer tokens', count(call.completion_tokens), { note: `${count(call.reasoning_tokens)} of thought` }), fact('Cost', cost(call.cost)), fact('Latency', `${count(call.latency_ms)} ms`)),
      fold('Answer', pretty(call.content ?? ''), { open: place === calls.length - 1 }),
      fold('Prompt: the account and its market', prettyTail(call.prompt?.user ?? ''), { note: 'what it saw' }),
      fold('Prompt: what it was told to be', call.prompt?.system ?? '', { note: call.prompt?.version }),
      call.prompt?.turns?.length > 0 && fold('What it looked up', call.prompt.turns),
      fold('Parameters', call.parameters ?? {}),
      fold('Raw reply', call.raw ?? {}, { note: 'as it came' }))));
}

/** A prompt is words and then one line of JSON. */
function prettyTail(text) {
  const start = text.indexOf('{');
  return start < 0 ? text : text.slice(0, start) + pretty(text.slice(start));
}

function saw(body, asset) {
  if (!body?.snapshot) return null;
  const quotes = Object.values(body.snapshot.quotes ?? {}).filter((each) => !asset || each.symbol === asset);
  const positions = body.snapshot.holdings?.positions ?? [];
  const defects = Object.entries(body.snapshot.defects ?? {});
  return card('What it was decided on', { note: ['taken at ', time(body.snapshot.taken_at)] },
    defects.length > 0 && notice('warn', defects.map(([name, what]) => `${name}: ${typeof what === 'string' ? what : JSON.stringify(what)}`).join('; ')),
    table('Quotes', [
      { name: 'Symbol', kind: 'lead', cell: (each) => symbolName(each.symbol) },
      { name: 'Mark', kind: 'num', cell: (each) => exact(each.mark_price) },
      { name: 'Bid', kind: 'num', cell: (each) => exact(each.bid) },
      { name: 'Ask', kind: 'num', cell: (each) => exact(each.ask) },
      { name: '24 h', kind: 'num', cell: (each) => gain(each.change_24h, percent(each.change_24h)) },
      { name: 'Funding', kind: 'num', cell: (each) => percent(each.funding_rate, 4) },
      { name: 'Open interest', kind: 'num', cell: (each) => exact(each.open_interest) },
      { name: 'As of', cell: (each) => time(each.at) },
    ], quotes, { key: (each) => each.symbol }),
    fold('Indicators', asset ? body.snapshot.indicators?.[asset] ?? {} : body.snapshot.indicators ?? {}),
    fold('Balance and positions', { balance: body.snapshot.holdings?.balance, positions, open_orders: body.snapshot.open_orders }),
    fold('Limits in force', body.context?.account?.limits ?? {}));
}


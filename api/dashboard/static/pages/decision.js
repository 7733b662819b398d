/*
 * One cycle's decisions, whole: what was wanted and why, what risk made of it rule by rule, what the model saw, was
 * asked and said, what was sent and came back; and the same made again.
 */

import { action, refusal } from '../cycles.js';
import { h } from '../dom.js';
import { changePercent, cost, count, exact, gain, money, number, NOTHING, percent, plural, price, ratio, symbolName, words } from '../format.js';
import { badge, card, direction, empty, fact, facts, fold, notice, orderState, pretty, table, told, verdict } from '../parts.js';
import { age, time, utc } from '../time.js';
import { replays } from './replays.js';

const KINDS = ['decision', 'order', 'fill', 'stage', 'model_call', 'proposal'];

export function decision({ house, route, resource, update }) {
  const [account, tick] = route.of.split('@');
  const dossier = resource(`/decisions/${route.of}`, {}, { kinds: KINDS });
  const record = resource(`/decisions/${route.of}/record`, {}, { kinds: [] });
  const again = replays({ house, name: route.of, update });
  let wanted = route;

  const view = (ask) => {
    const asset = wanted.query.get('asset');
    const link = (of) => `#/decisions/${route.of}${of ? `?asset=${of}` : ''}`;
    return told(dossier, 'the decision', (all) => {
      const mine = (row) => !asset || row.asset === asset || row.symbol === asset;
      const shown = all.decisions.filter(mine);
      return [
        head(all, record, asset),
        all.decisions.length > 1 && h('nav.steps', { 'aria-label': 'Assets of this decision' },
          h('a', { href: link(), 'aria-current': asset ? null : 'true' }, 'All'),
          all.decisions.map((row) => h('a', { key: row.position, href: link(row.asset), 'aria-current': asset === row.asset ? 'true' : null }, row.asset, ' ', words(row.action)))),
        all.decisions.length === 0 && card('', {}, empty('Nothing was decided in this cycle.', 'Its stages tell why.')),
        shown.map(wishCard),
        card('Orders, fills and outcome', { note: 'what was promised, sent and came back' }, done(all.orders.filter(mine), all.fills.filter(mine), asset ? null : all.outcome)),
        shown.map(ledger),
        others(all),
        asked(all),
        saw(all.context, asset),
        again.view(ask),
      ];
    });
  };
  return {
    title: 'Decision', lead: `${account}, for the candle that closed at ${utc(tick)}`, view,
    turned: (next) => {
      wanted = next;
    },
  };
}

function head(all, record, asset) {
  const { calls, asked: last, context } = all;
  const of = (name) => calls.reduce((sum, call) => sum + (number(call[name]) ?? 0), 0);
  const balance = context?.balance;
  const sound = record.data && badge(record.data.sound ? 'record is whole' : 'record is broken', record.data.sound ? 'good' : 'bad', record.data.problems?.join('; ') || record.data.record);
  return h('section.card', { 'aria-label': 'In short' }, facts(
    fact('Account', all.account, { note: sound }),
    fact('Candle closed', time(all.tick), { note: age(all.tick) }),
    fact('Model', last?.model ?? 'none was asked', { note: calls.at(-1)?.provider }),
    fact('Prompt', last?.prompt_version ?? NOTHING, { note: 'template version' }),
    fact('Tokens', last ? `${count(last.prompt_tokens)} in` : NOTHING, { note: last ? `${count(last.completion_tokens)} out${of('cached_tokens') ? `, ${count(of('cached_tokens'))} cached` : ''}` : null }),
    fact('Cost', last ? cost(last.cost) : NOTHING, { note: calls.some((call) => call.estimated) ? 'estimated' : plural(last?.questions ?? 0, 'question') }),
    fact('Latency', last ? `${count(last.latency_ms)} ms` : NOTHING),
    fact('Account was worth', balance ? money(Number(balance.wallet) + Number(balance.unrealized)) : NOTHING, { note: 'USD' })),
  !asset && all.reasoning && h('p.prose.said', null, h('strong', null, 'The model, in short: '), all.reasoning),
  stages(all.stages));
}

/** A stage that did not end well says why. */
function stages(all) {
  const troubled = Object.entries(all).filter(([, run]) => run.result?.no_answer || run.result?.refused || run.result?.manage_only || run.result?.breakers?.length);
  return troubled.map(([name, run]) => h('div', { key: name }, notice('warn', h('strong', null, `${name}: `),
    [run.result.no_answer, run.result.refused, run.result.manage_only, ...(run.result.breakers ?? []).map((each) => `breaker ${words(each.breaker ?? each)}`)].filter(Boolean).map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('; '))));
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
      fact('Price when reviewed', at === null ? NOTHING : exact(review.price), { note: at === null ? 'refused before it was looked at' : null }),
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

function done(orders, fills, outcome) {
  if (!orders.length) return empty('No order came of this.', 'A hold and a refused entry send none.');
  const realized = outcome ? number(outcome.realized_pnl) : fills.reduce((sum, fill) => sum + Number(fill.realized_pnl), 0);
  const fees = fills.reduce((sum, fill) => sum + Number(fill.commission), 0);
  const ended = fills.some((fill) => number(fill.realized_pnl) !== 0);
  return [
    facts(
      fact('Orders', count(orders.length)), fact('Fills', count(fills.length)), fact('Realized', gain(realized), { note: 'before fees' }), fact('Fees', cost(fees)),
      fact('Outcome', ended ? gain(realized - fees) : fills.length ? 'still open' : 'not filled', { note: ended ? 'after fees' : null })),
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
    fills.length > 0 && table('Fills of this cycle', [
      { name: 'Fill', kind: 'lead', cell: (each) => symbolName(each.symbol) },
      { name: 'Side', cell: (each) => direction(each.side) },
      { name: 'Quantity', kind: 'num', cell: (each) => exact(each.quantity) },
      { name: 'Price', kind: 'num', cell: (each) => exact(each.price) },
      { name: 'Realized', kind: 'num', cell: (each) => (number(each.realized_pnl) ? gain(each.realized_pnl) : NOTHING) },
      { name: 'Fee', kind: 'num', cell: (each) => cost(each.commission) },
      { name: 'At', cell: (each) => time(each.at) },
      { name: 'Trade', kind: 'num', cell: (each) => each.trade_id },
    ], fills, { key: (each) => `${each.symbol} ${each.trade_id}` }),
  ];
}

/** What other models made of the same, and how their entries would have ended. */
function others(all) {
  const rest = all.opinions.filter((each) => each.purpose === 'shadow' || each.purpose === 'replay');
  if (!rest.length) return null;
  return card('What other models made of it', { note: 'they were asked the same and moved nothing' }, table('Other opinions', [
    { name: 'Model', kind: 'lead', cell: (each) => each.model },
    { name: 'Why', cell: (each) => words(each.purpose) },
    { name: 'Wanted', kind: 'text', cell: (each) => wants(each) },
    { name: 'Would have ended', kind: 'text', cell: (each) => endings(all.outcome.proposals.filter((proposal) => proposal.model === each.model && proposal.prompt_version === each.prompt_version)) },
    { name: 'Cost', kind: 'num', cell: (each) => cost(each.cost) },
    { name: 'Took', kind: 'num', cell: (each) => `${count(each.latency_ms)} ms` },
  ], rest, { key: (each) => `${each.model} ${each.prompt_version} ${each.purpose}` }));
}

function wants({ judgement }) {
  if (!judgement) return 'no answer yet';
  const decisions = judgement.answer?.decisions ?? [];
  return decisions.length ? decisions.map((each) => `${each.action} ${each.asset}`).join(', ') : judgement.why || 'nothing';
}

function endings(proposals) {
  if (!proposals.length) return NOTHING;
  return proposals.map((each) => `${each.asset}: ${each.score ? words(each.score.ending ?? each.score.how ?? 'scored') : 'not known yet'}`).join(', ');
}

function asked(all) {
  const calls = all.calls;
  return card('What the model was asked and said', {},
    all.repairs.length > 0 && notice('warn', `Repaired in reading: ${all.repairs.join('; ')}`),
    all.unread.length > 0 && notice('warn', `Not usable: ${all.unread.map((each) => each.reason ?? JSON.stringify(each)).join('; ')}`),
    calls.length === 0 && empty('No model was asked.', 'Its stages tell why.'),
    calls.map((call, place) => h('div', { key: call.id },
      h('h3', null, `${words(call.purpose)}${call.turn > 0 ? `, turn ${call.turn + 1}` : ''}: ${call.answered_model ?? call.asked_model}`),
      call.error && notice('bad', call.error),
      facts(
        fact('Asked', call.asked_model, { note: time(call.at) }), fact('Provider', call.provider ?? NOTHING), fact('Prompt tokens', count(call.prompt_tokens), { note: `${count(call.cached_tokens)} cached` }),
        fact('Answer tokens', count(call.completion_tokens), { note: `${count(call.reasoning_tokens)} of thought` }), fact('Cost', cost(call.cost)), fact('Latency', `${count(call.latency_ms)} ms`)),
      fold('Answer', pretty(call.content ?? ''), { open: place === 0 }),
      fold('Prompt: the account and its market', prettyTail(call.prompt_user ?? ''), { note: 'what it saw' }),
      fold('Prompt: what it was told to be', call.prompt_system ?? '', { note: call.prompt_version }),
      call.prompt_turns?.length > 0 && fold('What it looked up', call.prompt_turns),
      fold('Parameters', call.parameters ?? {}),
      fold('Raw reply', call.raw ?? {}, { note: 'as it came' }))));
}

/** A prompt is words and then one line of JSON. */
function prettyTail(text) {
  const start = text.indexOf('{');
  return start < 0 ? text : text.slice(0, start) + pretty(text.slice(start));
}

function saw(context, asset) {
  if (!context) return null;
  const quotes = context.quotes.filter((each) => !asset || each.symbol === asset);
  const defects = Object.entries(context.defects);
  const indicators = asset ? { [asset]: context.indicators[asset] ?? {} } : context.indicators;
  return card('What it was decided on', { note: ['taken at ', time(context.taken_at)] },
    defects.length > 0 && notice('warn', defects.map(([name, what]) => `${name}: ${what}`).join('; ')),
    facts(
      fact('Wallet', money(context.balance.wallet)), fact('Unrealized', gain(context.balance.unrealized)), fact('Available', money(context.balance.available)),
      fact('Positions', count(context.positions.length)), fact('Open orders', count(context.open_orders)), fact('Taker fee', percent(context.taker_fee, 3))),
    table('Quotes', [
      { name: 'Symbol', kind: 'lead', cell: (each) => symbolName(each.symbol) },
      { name: 'Mark', kind: 'num', cell: (each) => exact(each.mark_price) },
      { name: 'Bid', kind: 'num', cell: (each) => exact(each.bid) },
      { name: 'Ask', kind: 'num', cell: (each) => exact(each.ask) },
      { name: '24 h', kind: 'num', cell: (each) => gain(each.change_24h, changePercent(each.change_24h)) },
      { name: 'Funding', kind: 'num', cell: (each) => percent(each.funding_rate, 4) },
      { name: 'Open interest', kind: 'num', cell: (each) => exact(each.open_interest) },
      { name: 'As of', cell: (each) => time(each.at) },
    ], quotes, { key: (each) => each.symbol }),
    Object.entries(indicators).map(([symbol, frames]) => h('div.indicators', { key: symbol }, h('h3', null, 'Indicators of ', symbol), Object.entries(frames).map(([frame, values]) =>
      h('p.saw', { key: frame }, h('b', null, frame), Object.entries(values).map(([name, value]) => h('span', { key: name }, `${name} `, h('b', null, value === null ? NOTHING : price(value)))))))),
    context.positions.length > 0 && fold('Positions it held', context.positions));
}

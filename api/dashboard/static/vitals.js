/* The health strip: what one would ask first, always on the screen. */

import { h } from './dom.js';
import { cost, count, number, percent, plural } from './format.js';
import { icon } from './icons.js';
import { badge, meter } from './parts.js';
import { age, clock, span, timeText, until, utc } from './time.js';

const STAGES = ['fetch', 'decide', 'execute', 'reconcile'];

/** What the stream's state is to a person. */
export function liveWords(house) {
  const stream = house.trading;
  if (!stream) return { text: '…', tone: 'quiet', spoken: '' };
  if (stream.live) return { text: 'Live', tone: 'good', spoken: 'Live', note: heard(stream) };
  if (stream.state === 'connecting') return { text: 'Connecting', tone: 'quiet', spoken: '', note: '…' };
  if (stream.state === 'refused') return { text: 'Not live', tone: 'bad', spoken: 'Not live', note: stream.why };
  const wait = stream.retryAt === null ? 'now' : `in ${Math.max(0, Math.ceil((stream.retryAt - performance.now()) / 1000))} s`;
  return { text: 'Not live', tone: 'bad', spoken: 'Not live: reconnecting', note: `reconnecting ${wait}` };
}

function heard(stream) {
  return stream.heardAt === null ? '' : `heard ${span(performance.now() - stream.heardAt)} ago`;
}

/** *tone* bad or warn keeps a cell on a phone's screen; *kind* `gives` is for a note that is the first to be cut short. */
function cell(name, value, { note, tone = '', kind = '', title } = {}) {
  return h('div.vital', { class: `${tone} ${kind}`, title }, h('dt', null, name), h('dd', null, value), note && h('dd.note', null, h('span', null, note)));
}

/** All cells in one row; on a phone the first three, and what is not well, until one asks for all. */
export function strip(house, state, update) {
  const live = liveWords(house);
  const all = Boolean(state.vitals);
  const more = () => {
    state.vitals = !all;
    update();
  };
  return h('div.vitals-box', { role: 'region', 'aria-label': 'Health' }, h('dl.vitals', { class: all ? 'all' : '' },
    cell('Stream', badge(live.text, live.tone), { note: live.note, kind: 'first', tone: live.tone }),
    tradingState(house),
    cycleCell(house),
    pricesCell(house),
    servicesCell(house),
    dataCell(house),
    modelBudget(house),
    rateBudget(house),
    clockCell(house)),
  h('button.more-vitals', { type: 'button', 'aria-expanded': String(all), 'aria-label': 'All of the health strip', onclick: more }, icon(all ? 'close' : 'more')));
}

/** Whether it trades, over all accounts that are looked at: the gravest word first. */
export function killState(house) {
  const accounts = house.chosen;
  if (!accounts.length) return { text: 'No account', tone: 'quiet', note: 'none configured' };
  const total = plural(accounts.length, 'account');
  const told = (text, tone, which, says = text) => {
    const found = accounts.filter(which).length;
    return found ? { text, tone, says, note: accounts.length > 1 ? `${found} of ${total}` : accounts[0].account } : null;
  };
  const breakers = (each) => Object.keys(house.list?.items.find(({ account }) => account === each.account)?.breakers ?? {}).length > 0;
  return told('Halted', 'bad', (each) => each.status === 'halted')
    ?? told('Breaker', 'bad', breakers, 'Breaker tripped')
    ?? told('Paused', 'warn', (each) => each.status === 'paused')
    ?? told('Manages only', 'warn', (each) => each.models?.manage_only_since)
    ?? { text: 'Trading', tone: 'good', note: total };
}

function tradingState(house) {
  if (!house.status?.data) return cell('State', badge('Not known', 'quiet'));
  const { text, tone, note } = killState(house);
  return cell('State', badge(text, tone), { note, tone, title: note });
}

function cycleCell(house) {
  const accounts = house.chosen.filter((each) => each.last_tick);
  if (!accounts.length) return cell('Last cycle', 'none yet', { note: 'begins at the next candle' });
  const oldest = accounts.reduce((a, b) => (Date.parse(a.last_tick) <= Date.parse(b.last_tick) ? a : b));
  const next = oldest.next_tick && Date.parse(oldest.next_tick) - clock.now();
  return cell(`Last cycle ${timeText(oldest.last_tick, { seconds: false })}`, stageMarks(oldest), {
    note: next === null ? 'no other is due' : next > 0 ? ['next in ', until(oldest.next_tick)] : 'due now',
    title: `${oldest.account}: the cycle of ${utc(oldest.last_tick)}`,
  });
}

/** The four stages of the newest cycle, each with how long it took. */
export function stageMarks(account) {
  return h('span.stages', { role: 'img', 'aria-label': STAGES.map((name) => `${name}: ${stageWord(account, name)}`).join(', ') },
    STAGES.map((name) => h('span.stage', { key: name, class: stageWord(account, name).split(' ')[0], title: `${name}: ${stageWord(account, name)}` }, name[0].toUpperCase())));
}

function stageWord(account, name) {
  const run = account.stages?.[name];
  if (!run) return 'never ran';
  if (run.tick !== account.last_tick) return 'waiting for this cycle';
  if (run.result?.refused || run.result?.error) return 'failed';
  return `done in ${span(Date.parse(run.finished_at) - Date.parse(run.started_at))}`;
}

function pricesCell(house) {
  const at = [...house.prices.values()].map((each) => each.at).filter(Boolean).sort().at(-1);
  if (!at) return cell('Prices', badge('Not live', 'quiet'), { note: 'as of the last cycle', kind: 'gives' });
  const live = house.marketLive?.live !== false && house.market.live;
  const why = house.marketLive?.detail || house.market.why;
  return cell('Prices', badge(live ? 'Live' : 'Not live', live ? 'good' : 'warn'), { note: live ? age(at) : why || age(at), kind: 'gives', tone: live ? '' : 'warn', title: live ? undefined : why });
}

function servicesCell(house) {
  const { data, error } = house.ready;
  const told = data ?? error?.document;
  if (!told?.checks) return cell('Services', badge(error ? 'No answer' : '…', error ? 'bad' : 'quiet'), { note: error?.message, kind: 'gives', tone: error ? 'bad' : '', title: error?.message });
  const troubles = [...(told.reasons ?? []), ...(told.warnings ?? [])];
  const tone = told.reasons?.length ? 'bad' : troubles.length ? 'warn' : 'good';
  return cell('Services', badge(tone === 'good' ? 'All well' : tone === 'bad' ? 'Not ready' : 'Look', tone), {
    note: troubles[0] ?? 'all answer', title: troubles.join('; ') || 'database, exchange, models', kind: 'gives', tone,
  });
}

/** How old the oldest series of candles is. */
function dataCell(house) {
  const told = (house.ready.data ?? house.ready.error?.document)?.checks?.data;
  if (!told) return null;
  return cell('Data', badge(told.stale ? 'Old' : 'Fresh', told.stale ? 'warn' : 'good'), { note: told.stale ? `${told.stale} of ${told.series} series` : `${plural(told.series, 'series', 'series')}`, tone: told.stale ? 'warn' : '' });
}

function modelBudget(house) {
  const known = house.chosen.map((each) => ({ spent: number(each.models?.spent) ?? 0, budget: number(house.config(each.account).model_options?.daily_budget) }));
  const limited = known.filter((each) => each.budget !== null);
  const spent = known.reduce((sum, each) => sum + each.spent, 0);
  if (!limited.length) return cell('Model today', cost(spent), { note: 'no budget set' });
  const budget = limited.reduce((sum, each) => sum + each.budget, 0);
  return cell('Model today', [cost(spent), h('small', null, ` of ${cost(budget)}`)], { note: meter(budget ? spent / budget : null, { label: 'Model budget used today' }) });
}

/** What the accounts take together of what the exchange answers in a minute. */
function rateBudget(house) {
  const told = house.limits.items[0]?.limits.find(({ effect }) => effect === 'requests');
  if (!told) return cell('Requests', badge(house.limits.error ? 'Not known' : '…', 'quiet'));
  return cell('Requests', [percent(told.share, 0), h('small', null, ' used')], { note: meter(told.share, { label: 'Exchange requests used this minute' }), title: `${count(told.used)} of ${count(told.allowed)}` });
}

function clockCell(house) {
  const now = new Date(clock.now()).toISOString();
  const fast = Math.round(clock.speed);
  return cell('Time', house.status?.data ? timeText(now) : '…', { note: fast > 1 ? `paper, ×${fast}` : utc(now).slice(11), title: utc(now) });
}

/* The health strip: what one would ask first, always on the screen. */

import { h } from './dom.js';
import { cost, count, number, percent, plural } from './format.js';
import { PRICES_SILENCE_MS } from './house.js';
import { icon } from './icons.js';
import { badge, meter } from './parts.js';
import { outage, overdue, readiness, state as stateOf } from './standing.js';
import { TERMS } from './terms.js';
import { age, clock, span, timeText, until, utc, wallTime } from './time.js';

const STAGES = ['fetch', 'decide', 'execute', 'reconcile'];

/** What the stream's state is to a person. */
export function liveWords(house) {
  const stream = house.trading;
  if (!stream) return { text: '…', tone: 'quiet', spoken: '' };
  if (house.silentSince !== null) return { text: 'Not live', tone: 'bad', spoken: 'Not live: no answer', note: `no answer since ${wallTime(house.silentSince)}` };
  if (stream.live) return { text: 'Live', tone: 'good', spoken: 'Live', note: heard(stream) };
  if (stream.state === 'connecting') return { text: 'Connecting', tone: 'quiet', spoken: '', note: '…' };
  if (stream.state === 'refused') return { text: 'Not live', tone: 'bad', spoken: 'Not live', note: stream.why };
  const wait = stream.retryAt === null ? 'now' : `in ${Math.max(0, Math.ceil((stream.retryAt - performance.now()) / 1000))} s`;
  return { text: 'Not live', tone: 'bad', spoken: 'Not live: reconnecting', note: `reconnecting ${wait}` };
}

function heard(stream) {
  return stream.heardAt === null ? '' : `heard ${span(Date.now() - stream.heardAt)} ago`;
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
  return h('div.vitals-box', { role: 'region', 'aria-label': 'Health' }, h('dl.vitals', { class: [all && 'all', outage(house) && 'old'].filter(Boolean).join(' ') },
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
function tradingState(house) {
  if (!house.status?.data) return cell('State', badge('Not known', 'quiet'));
  const { text, tone, note } = stateOf(house);
  return cell('State', badge(text, tone), { note, tone, title: note });
}

function cycleCell(house) {
  const accounts = house.chosen.filter((each) => each.last_tick);
  if (!accounts.length) return cell('Last cycle', 'none yet', { note: 'begins at the next candle' });
  const oldest = accounts.reduce((a, b) => (Date.parse(a.last_tick) <= Date.parse(b.last_tick) ? a : b));
  const late = overdue(house, oldest);
  return cell(h('span', { title: TERMS.stages }, `Last cycle ${timeText(oldest.last_tick, { seconds: false })}`), stageMarks(oldest), {
    note: nextWords(house, oldest, late), tone: late && !outage(house) ? 'bad' : '',
    title: `${oldest.account}: the cycle of ${utc(oldest.last_tick)}`,
  });
}

/** When the next cycle is due; nothing is promised where nobody answers, or none has come for too long. */
function nextWords(house, account, late) {
  if (outage(house)) return 'next not known';
  if (!account.next_tick) return 'no other is due';
  if (late) return 'overdue';
  return Date.parse(account.next_tick) > clock.now() ? ['next in ', until(account.next_tick)] : 'due now';
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
  const silent = house.pricedAt !== null && Date.now() - house.pricedAt > PRICES_SILENCE_MS ? `none since ${wallTime(house.pricedAt)}` : '';
  const why = outage(house)?.why || (house.marketLive?.live === false && house.marketLive.detail) || (!house.market.live && (house.market.why || 'the stream is closed')) || silent;
  return cell('Prices', badge(why ? 'Not live' : 'Live', why ? 'warn' : 'good'), { note: why || age(at), kind: 'gives', tone: why ? 'warn' : '', title: why || undefined });
}

function servicesCell(house) {
  const gone = outage(house);
  const told = readiness(house);
  if (!told) {
    const why = gone?.why ?? house.ready.error?.message;
    return cell('Services', badge(why ? 'Not known' : '…', why ? 'bad' : 'quiet'), { note: why, kind: 'gives', tone: why ? 'bad' : '', title: why });
  }
  const { reasons, warnings } = told;
  const troubles = [...reasons, ...warnings];
  const tone = reasons.length ? 'bad' : troubles.length ? 'warn' : 'good';
  return cell('Services', badge({ good: 'All well', warn: 'Look', bad: 'Not ready' }[tone], tone), {
    note: troubles[0] ?? 'all answer', title: troubles.join('; ') || 'database, exchange, models', kind: 'gives', tone,
  });
}

/** How old the oldest series of candles is. */
function dataCell(house) {
  const told = readiness(house)?.checks.data;
  if (!told) return cell('Data', badge('Not known', 'quiet'));
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
  if (outage(house)) return cell('Time', 'Not known', { note: 'the server tells it' });
  const fast = clock.speed > 20 ? Math.round(clock.speed / 10) * 10 : Math.round(clock.speed);
  return cell('Time', house.status?.data ? timeText(now) : '…', { note: fast > 1 ? `paper, ×${fast}` : utc(now).slice(11), title: utc(now) });
}

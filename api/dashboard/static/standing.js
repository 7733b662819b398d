/*
 * How it stands, as far as that can be said: the strip, the sentence of the overview and what needs an eye say the same.
 *
 * An old answer says nothing of now: where the server is not heard of, or cannot tell, nothing is called well.
 */

import { plural } from './format.js';
import { clock, durationMs, wallTime } from './time.js';

/** A cycle serves its tick until the next one comes; a whole interval later it is late. */
const MOST_INTERVALS_BEHIND = 2;

/** Why nothing can be said of now, {text, why}; null when it can. The time is that of this computer. */
export function outage(house) {
  const since = house.silentSince;
  if (since !== null) return { text: 'No answer', why: `no answer since ${wallTime(since)}` };
  const { status } = house;
  if (status?.error && status.answeredAt !== null) return { text: 'Not known', why: `not known since ${wallTime(status.answeredAt)}: ${status.error.message}` };
  return null;
}

/** Whether the cycle that *each* account had last lies too far back. */
export function overdue(house, each) {
  const interval = durationMs(house.config(each.account).interval);
  if (!interval || !each.last_tick || !each.next_tick) return false;
  return clock.now() - Date.parse(each.last_tick) > MOST_INTERVALS_BEHIND * interval;
}

/** Whether what was reckoned at *iso* is older than the account's cycles let it be. */
export function outdated(house, account, iso) {
  const interval = durationMs(house.config(account).interval);
  return Boolean(interval && iso) && clock.now() - Date.parse(iso) > MOST_INTERVALS_BEHIND * interval;
}

export function breakersOf(house, account) {
  return house.list?.items.find((each) => each.account === account)?.breakers ?? {};
}

/** What readiness said last: {reasons, warnings, checks}; null when it is not known now. */
export function readiness(house) {
  const told = house.ready.error ? house.ready.error.document : house.ready.data;
  if (!told?.checks || outage(house)) return null;
  const silent = house.chosen.filter((each) => each.models?.manage_only_since).map((each) => `no model answers ${each.account}`);
  return { checks: told.checks, reasons: told.reasons ?? [], warnings: [...silent, ...(told.warnings ?? [])] };
}

/** Everything that keeps it from trading as it should, the gravest first: {text, says, tone, note}. Empty when it trades. */
export function troubles(house) {
  const gone = outage(house);
  if (gone) return [{ text: gone.text, says: gone.why[0].toUpperCase() + gone.why.slice(1), tone: 'bad', note: gone.why }];
  const accounts = house.chosen;
  const of = (text, tone, which, says = text) => {
    const found = accounts.filter(which);
    if (!found.length) return null;
    const note = accounts.length > 1 ? `${found.length} of ${plural(accounts.length, 'account')}` : accounts[0].account;
    return { text, tone, says: `${says}: ${note}`, note };
  };
  const ready = readiness(house);
  // What readiness says of late cycles is told below, of those that are looked at.
  const reasons = (ready?.reasons ?? []).filter((each) => !each.startsWith('the last cycle'));
  const stands = reasons.length > 0 && { text: 'Cut off', tone: 'bad', says: reasons.join('; ').replace(/^./, (first) => first.toUpperCase()), note: reasons[0] };
  return [
    of('Halted', 'bad', (each) => each.status === 'halted'),
    stands,
    of('Overdue', 'bad', (each) => overdue(house, each), 'No cycle for too long'),
    of('Breaker', 'bad', (each) => Object.keys(breakersOf(house, each.account)).length > 0, 'Breaker tripped'),
    of('Paused', 'warn', (each) => each.status === 'paused'),
    of('Manages only', 'warn', (each) => each.models?.manage_only_since),
  ].filter(Boolean);
}

/** The gravest word of all, for the strip. */
export function state(house) {
  const accounts = house.chosen;
  const [gravest] = troubles(house);
  if (gravest) return gravest;
  if (!accounts.length) return { text: 'No account', tone: 'quiet', says: 'No account', note: 'none configured' };
  const eye = standing(house).some((each) => each.severity === 'critical');
  return { text: 'Trading', tone: eye ? 'warn' : 'good', says: 'Trading', note: eye ? 'a critical alert stands' : plural(accounts.length, 'account') };
}

/** The alerts that stand of the accounts that are looked at. */
export function standing(house) {
  return house.alerts.items.filter((each) => !house.account || !each.account || each.account === house.account);
}

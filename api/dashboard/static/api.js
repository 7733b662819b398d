/*
 * What the API is asked. Every failure is a Problem that says what a person can read.
 *
 * A change is sent once however often its button is pressed: the same request while one is under way is the same
 * request, and one whose answer was lost goes again under the Idempotency-Key that it had.
 */

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = document.code ?? 'unreachable';
    this.document = document;
  }

  /** Whether nobody knows what became of it: no answer came, or it is still being made. */
  get unanswered() {
    return this.status === 0 || this.code === 'idempotency_under_way';
  }

  /** What is wrong, line by line: {field, text}, with the path of the field that it is about, such as `risk.cooldown`. */
  get lines() {
    const lines = this.message.split('\n').map((line) => {
      const [, field, text] = /^(?:account \S+: )?([a-z_]+(?:\.\w+)*): (.+)$/s.exec(line) ?? [];
      return field ? { field, text } : { field: null, text: line };
    });
    if (this.document.field && lines.length === 1) lines[0].field = this.document.field;
    return lines;
  }
}

const PATIENCE_MS = 15_000;
const CHANGE_PATIENCE_MS = 90_000;
const KEYED = new Set(['POST', 'PATCH']);
const LOST_MS = 60_000;

/** *path* with what of *query* says something. */
export function address(path, query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(said).toString();
  return text ? `${path}?${text}` : path;
}

export async function get(path, query, { signal } = {}) {
  return ask(address(path, query), { signal });
}

const underWay = new Map();
const lost = new Map();

/** Change something, once. */
export function send(method, path, body) {
  const what = `${method} ${path} ${JSON.stringify(body)}`;
  if (!underWay.has(what)) underWay.set(what, change(what, method, path, body).finally(() => underWay.delete(what)));
  return underWay.get(what);
}

async function change(what, method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const before = lost.get(what);
  const key = before && performance.now() - before.at < LOST_MS ? before.key : newKey();
  if (KEYED.has(method)) headers['Idempotency-Key'] = key;
  try {
    const answer = await ask(path, { method, headers, patience: CHANGE_PATIENCE_MS, body: body === undefined ? undefined : JSON.stringify(body) });
    lost.clear();
    return answer;
  } catch (error) {
    if (error.unanswered) lost.set(what, { key, at: performance.now() });
    else lost.clear();
    throw error;
  }
}

/** A key that nobody else has. (`randomUUID` is for pages over https alone.) */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function ask(url, { signal, patience: most = PATIENCE_MS, ...options }) {
  const patience = AbortSignal.timeout(most);
  const signals = signal ? AbortSignal.any([signal, patience]) : patience;
  let response;
  try {
    response = await fetch(url, { ...options, signal: signals, headers: { Accept: 'application/json', ...options.headers } });
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = patience.aborted ? 'the server takes too long to answer' : 'the server does not answer';
    const detail = KEYED.has(options.method) ? `${why}: whether it was done is not known; asking again does nothing twice` : why;
    throw new Problem(0, { detail, code: 'unreachable' });
  }
  const text = await response.text();
  let read = {};
  try {
    read = text ? JSON.parse(text) : {};
  } catch {
    read = { detail: `the server answered ${response.status} with something that is no JSON` };
    if (response.ok) throw new Problem(response.status, read);
  }
  if (!response.ok) throw new Problem(response.status, read);
  return read;
}

/* What the API is asked. Every failure is a Problem that says what a person can read. */

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = document.code ?? 'unreachable';
    this.document = document;
  }
}

const PATIENCE_MS = 15_000;

/** *path* with what of *query* says something. */
export function address(path, query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(said).toString();
  return text ? `${path}?${text}` : path;
}

export async function get(path, query, { signal } = {}) {
  return ask(address(path, query), { signal });
}

/** Change something. Each call has a key of its own, so that a repeated delivery changes nothing twice. */
export async function send(method, path, body, { key = crypto.randomUUID?.(), version } = {}) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key && method === 'POST') headers['Idempotency-Key'] = key;
  if (version !== undefined) headers['If-Match'] = version;
  return ask(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

async function ask(url, { signal, ...options }) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const signals = signal ? AbortSignal.any([signal, patience]) : patience;
  let response;
  try {
    response = await fetch(url, { ...options, signal: signals, headers: { Accept: 'application/json', ...options.headers } });
  } catch (error) {
    if (signal?.aborted) throw error;
    const detail = patience.aborted ? 'the server takes too long to answer' : 'the server does not answer';
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

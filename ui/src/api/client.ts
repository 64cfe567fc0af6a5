// The typed client of the platform API. Every page asks through it: nothing here that docs/openapi.json does not name.
import createFetchClient, { type Middleware } from 'openapi-fetch';
import { useQuery, type Query } from '@tanstack/react-query';
import type { components, paths } from './schema';
import i18n from '../i18n';

export type Schemas = components['schemas'];

/** What the API answers when it refuses (RFC 9457), as far as the pages read it. */
export interface Problem {
  status: number;
  code: string;
  title: string;
  remedy?: string | null;
  errors?: { path: string; code: string; detail: string }[];
  requestId?: string;
}

/** The token that each request that changes something carries; it comes with `GET /api/auth/me`. */
let csrfToken: string | null = null;
export function setCsrfToken(token: string | null) {
  csrfToken = token;
}

let whenLoggedOut: () => void = () => undefined;
export function onLoggedOut(then: () => void) {
  whenLoggedOut = then;
}

export function commonHeaders(method: string): Record<string, string> {
  const headers: Record<string, string> = { 'Accept-Language': i18n.language };
  if (csrfToken && method !== 'GET' && method !== 'HEAD') headers['X-CSRF-Token'] = csrfToken;
  return headers;
}

/** A session that ended while a page was open leads to the log-in, whichever request finds it out. */
function noticeStatus(status: number, address: string) {
  if (status === 401 && !address.includes('/api/auth/')) whenLoggedOut();
}

const middleware: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(commonHeaders(request.method))) request.headers.set(name, value);
    return request;
  },
  onResponse({ request, response }) {
    noticeStatus(response.status, request.url);
  },
};

/** Where the platform API is found on whichever address served the pages. */
export const PLATFORM = '/platform';

export const client = createFetchClient<paths>({ baseUrl: PLATFORM, credentials: 'same-origin' });
client.use(middleware);

type Get<P extends keyof paths> = paths[P] extends { get: infer Operation } ? Operation : never;
type AnswerOf<Operation> = Operation extends { responses: { 200: { content: { 'application/json': infer Body } } } } ? Body : never;
type ParamsOf<Operation> = Operation extends { parameters: infer Params } ? Params : never;

interface ReadOptions<T> {
  enabled?: boolean;
  staleTime?: number;
  refetchInterval?: number | false | ((query: Query<T, Error>) => number | false);
}

/** Rows in a page of a list that is wanted whole: the most that the API gives at once. */
export const WHOLE = 500;
/** Pages of such a list, at most. */
const PAGES_MAX = 40;
/** Where the API has been asked too much in a second, a page of a list is asked for again so often, after so long. */
const AGAIN_MAX = 10;
const AGAIN_MS = 1_000;

interface PageOf<T> {
  rows: T[];
  next: string | null;
}

async function patient<T>(read: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let again = 0; ; again += 1) {
    try {
      return await read();
    } catch (error) {
      if (again === AGAIN_MAX || signal?.aborted || (error as { status?: number } | null)?.status !== 429) throw error;
      await new Promise((then) => setTimeout(then, AGAIN_MS));
    }
  }
}

/** A list to its end, page by page; `read` gives the page behind a cursor, or the first. */
async function wholeList<T>(read: (cursor?: string) => Promise<PageOf<T>>, signal?: AbortSignal): Promise<T[]> {
  const rows: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { rows: more, next } = await patient(() => read(cursor), signal);
    rows.push(...more);
    if (!next) break;
    cursor = next;
  }
  return rows;
}

/** Reads a path of the document and keeps the answer under `[path, params]`; a list that is asked for with `limit: WHOLE` is read to its end. */
export function useApi<P extends keyof paths>(path: P, params: Partial<ParamsOf<Get<P>>> = {}, options: ReadOptions<AnswerOf<Get<P>>> = {}) {
  return useQuery<AnswerOf<Get<P>>>({
    queryKey: [path, params],
    queryFn: async ({ signal }) => {
      const asked = params as { query?: Record<string, unknown> };
      const read = async (cursor?: string) => {
        const query = cursor ? { ...asked.query, cursor } : asked.query;
        const { data, error, response } = (await client.GET(path as never, { params: { ...asked, query }, signal } as never)) as { data?: unknown; error?: unknown; response: Response };
        if (error !== undefined) throw error;
        return { rows: data as unknown[], next: response.headers.get('X-Next-Cursor') };
      };
      return (asked.query?.limit === WHOLE ? await wholeList(read, signal) : (await read()).rows) as AnswerOf<Get<P>>;
    },
    ...options,
  });
}

/** A failed request, whatever it was: a problem of the API, a refusal of the back office, or no network. */
export function problemOf(error: unknown): Problem {
  if (error && typeof error === 'object') {
    const it = error as Partial<Problem> & { error?: string };
    if (typeof it.title === 'string') return { status: it.status ?? 0, code: it.code ?? '', ...it, title: it.title };
    if (typeof it.error === 'string') return { status: it.status ?? 0, code: it.code ?? '', title: it.error };
  }
  if (error instanceof TypeError) return { status: 0, code: 'offline', title: i18n.t('common.offline'), remedy: i18n.t('common.offlineRemedy') };
  return { status: 0, code: '', title: i18n.t('common.failed') };
}

async function send<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', address: string, body?: unknown, signal?: AbortSignal): Promise<{ content: T; next: string | null }> {
  const headers = commonHeaders(method);
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const response = await fetch(address.startsWith('/api/') ? PLATFORM + address : address, {
    method,
    headers,
    credentials: 'same-origin',
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  noticeStatus(response.status, address);
  const text = await response.text();
  let content: unknown = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = text;
  }
  if (!response.ok) throw { status: response.status, ...(content && typeof content === 'object' ? content : { title: `${response.status}` }) };
  return { content: content as T, next: response.headers.get('X-Next-Cursor') };
}

/** For requests whose answer the document types loosely (`Object`) or under a name that two answers share. */
export async function ask<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', address: string, body?: unknown): Promise<T> {
  return (await send<T>(method, address, body)).content;
}

/** A list of that kind, to its end or, with `newest`, its first page. */
export function askList<T>(path: string, query: Record<string, string | undefined>, { newest, signal }: { newest?: boolean; signal?: AbortSignal } = {}): Promise<T[]> {
  return wholeList<T>(async (cursor) => {
    const search = new URLSearchParams({ limit: String(WHOLE) });
    for (const [name, value] of Object.entries({ ...query, cursor })) if (value) search.set(name, value);
    const { content, next } = await send<T[]>('GET', `${path}?${search.toString()}`, undefined, signal);
    return { rows: content, next: newest ? null : next };
  }, signal);
}
